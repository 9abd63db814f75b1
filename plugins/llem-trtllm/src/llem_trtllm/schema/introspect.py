"""Reads every option out of the installed TensorRT-LLM. The only part of the schema that imports it.

`llem_engines.option_types` makes facts of its types and defaults; models of its configuration become parts with fields of their own.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic
from tensorrt_llm import SamplingParams, __version__
from tensorrt_llm.llmapi import llm_args

from llem_engines import option_types

Raw = dict[str, Any]


def introspect() -> Raw:
    """`trtllm` (the version) and the groups of fields, as they are in this environment; `description` is TensorRT-LLM's help text."""
    torch_fields = llm_args.TorchLlmArgs.model_fields
    # Later versions have no TensorRT engines any more.
    tensorrt = getattr(llm_args, "TrtLlmArgs", None)
    apart = {} if tensorrt is None else {n: f for n, f in tensorrt.model_fields.items() if n not in torch_fields}
    return {
        "trtllm": __version__.partition("+")[0],
        "engine": list(_of_models(torch_fields)),
        "tensorrt": list(_of_models(apart)),
        "sampling": list(_of_parameters(inspect.signature(SamplingParams).parameters)),
    }


def _of_models(fields: Mapping[str, Any]) -> Iterator[Raw]:
    for name, field in fields.items():
        required = field.is_required()
        default = None if required else field.get_default(call_default_factory=True)
        found = _fact(name, field.annotation, default)
        part = _part(field.annotation)
        if part is not None:
            found["default"], found["value"] = None, {"type": "object"}
            found["fields"] = list(_of_models(part.model_fields))
        found["description"] = " ".join((field.description or "").split())
        yield found


def _of_parameters(parameters: Mapping[str, inspect.Parameter]) -> Iterator[Raw]:
    for name, parameter in parameters.items():
        default = None if parameter.default is inspect.Parameter.empty else parameter.default
        default = None if isinstance(default, type(dataclasses.MISSING)) else default
        yield _fact(name, parameter.annotation, default) | {"description": ""}


def _fact(name: str, hint: Any, default: Any) -> Raw:
    found: Raw = {"name": name, "type": option_types.written(hint), "default": option_types.plain(default)}
    value = option_types.values(hint)
    if value is not None:
        found["value"] = option_types.with_default(value, found["default"])
        if named := [one for one in option_types.choices(value) if one is not None]:
            found["choices"] = named
    return found


def _part(hint: Any) -> Any:
    """The one model of TensorRT-LLM's configuration that a type names; None where there is none, or several."""
    models = [
        one for one in option_types.branches(hint) if isinstance(one, type) and issubclass(one, pydantic.BaseModel)
    ]
    return models[0] if len(models) == 1 else None
