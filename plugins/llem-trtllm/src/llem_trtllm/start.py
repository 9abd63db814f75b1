"""Starts TensorRT-LLM. Whatever it says against a configuration becomes one paragraph."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.plugin_api import ModelError, Section
from llem_engines.loading import Prepared
from llem_engines.reasons import reason_of
from llem_trtllm.arguments import build_inputs
from llem_trtllm.devices import counted_j, difference_j, kinds_of
from llem_trtllm.engine_cache import Cost, Entry, Inputs, entry_for
from llem_trtllm.loading import identity_of, on_disk
from llem_trtllm.preflight import INSTALL

_OF_THE_BUILD = ("load_format", "quant_config", "calib_config", "fast_build", "embedding_parallel_mode", "revision")
"""Arguments that a built engine has inside, and that are not given again when it is loaded."""


def start(arguments: Mapping[str, Any], source: str) -> Any:
    """TensorRT-LLM's `LLM` on PyTorch.

    Args:
        arguments: its keywords.
        source: of the model, for messages.

    Raises:
        ModelError: it is not installed, refuses the model or the options, or its processes failed.
    """
    return _made(_torch_llm(), arguments, source)


def start_built(
    arguments: Mapping[str, Any], options: Section, prepared: Prepared, source: str, cards: Sequence[str]
) -> tuple[Any, Entry]:
    """TensorRT-LLM's `LLM` on an engine that TensorRT built, now or before; what building took is in the entry.

    Args:
        arguments: its keywords.
        options: the section of the study.
        prepared: the model.
        source: of the model, for messages.
        cards: ids of the GPUs that it takes.

    Raises:
        ModelError: see `start`; also where the cache folder cannot be written.
    """
    llm = _tensorrt_llm()
    folder = on_disk(prepared)
    inputs = Inputs(
        version=importlib.metadata.version("tensorrt_llm"),
        tensorrt=importlib.metadata.version("tensorrt"),
        build={**build_inputs(options), "load_format": arguments.get("load_format", "auto")},
        model=identity_of(prepared, folder),
        gpus=kinds_of(len(cards)),
    )

    def build(into: Path) -> Cost:
        begun, before = time.monotonic(), counted_j(cards)
        built = _made(llm, {**_without(arguments, ("revision",)), "model": str(folder)}, source)
        try:
            built.save(str(into))
        finally:
            built.shutdown()
        return Cost(time.monotonic() - begun, difference_j(before, counted_j(cards), cards))

    entry = entry_for(inputs, build)
    return _made(llm, {**_without(arguments, _OF_THE_BUILD), "model": str(entry.folder)}, source), entry


def told(entry: Entry) -> dict[str, Any]:
    """The build of an engine, for the result: apart from every measured figure."""
    found: dict[str, Any] = {
        "engine_origin": entry.origin,
        "engine_key": entry.folder.parent.name,
        "engine_build_s": entry.cost.seconds,
    }
    if entry.cost.joules is not None:
        found["engine_build_j"] = entry.cost.joules
    if entry.why:
        found["engine_rebuilt_because"] = entry.why
    return found


def _torch_llm() -> Any:
    try:
        from tensorrt_llm import LLM
    except ImportError as error:
        raise _missing(error) from error
    return LLM


def _tensorrt_llm() -> Any:
    try:
        from tensorrt_llm._tensorrt_engine import LLM
    except ImportError as error:
        if (error.name or "").startswith("tensorrt_llm."):
            raise ModelError(
                "this TensorRT-LLM builds no engines any more.",
                where="trtllm.engine",
                remedy="Say trtllm.engine: pytorch, or install TensorRT-LLM 1.2.",
            ) from error
        raise _missing(error) from error
    return LLM


def _missing(error: ImportError) -> ModelError:
    return ModelError(
        f"TensorRT-LLM cannot be imported: {reason_of(error)}.", where="the environment of the worker", remedy=INSTALL
    )


def _made(llm: Any, arguments: Mapping[str, Any], source: str) -> Any:
    try:
        return llm(**_with_classes(arguments))
    except Exception as error:
        raise ModelError(
            f"TensorRT-LLM cannot load it: {reason_of(error)}.",
            where=source,
            remedy="worker.log has all that TensorRT-LLM said; `llem config schema` describes the options.",
        ) from error


def _with_classes(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The same, with an object in the place of a mapping that TensorRT-LLM does not read as it is."""
    found = dict(arguments)
    if isinstance(quant := found.get("quant_config"), Mapping):
        from tensorrt_llm.llmapi import QuantAlgo, QuantConfig

        algorithms = {name: QuantAlgo(quant[name]) for name in ("quant_algo", "kv_cache_quant_algo") if name in quant}
        found["quant_config"] = QuantConfig(**{**quant, **algorithms})
    return found


def _without(arguments: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name not in names}
