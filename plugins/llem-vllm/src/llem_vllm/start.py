"""Starts vLLM. Whatever it says against a configuration becomes one paragraph."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from vllm.engine.arg_utils import EngineArgs

from llem.plugin_api import ExperimentConfig, ModelError
from llem_engines.reasons import reason_of
from llem_vllm.arguments import completed
from llem_vllm.driver import Driver
from llem_vllm.drivers import AsyncDriver, StepDriver
from llem_vllm.loading import adapter_of


@dataclass(frozen=True)
class Started:
    """vLLM under way.

    Attributes:
        driver: runs it.
        lora: vLLM's request for the adapter of every request, or None.
    """

    driver: Driver
    lora: Any


def start(arguments: dict[str, Any], config: ExperimentConfig, base_dir: str) -> Started:
    """Start vLLM in the way that serves the experiment.

    Args:
        arguments: keywords of EngineArgs.
        config: the experiment.
        base_dir: the folder that relative paths start from.

    Raises:
        ModelError: vLLM refuses the model or the options, or its processes failed.
    """
    lora = None
    if (adapter := adapter_of(config.options, base_dir)) is not None:
        from vllm.lora.request import LoRARequest

        lora = LoRARequest("adapter", 1, adapter)
    arguments = completed(arguments, config.options, base_dir)
    as_server = "streaming" in config.needs or arguments.get("data_parallel_size", 1) > 1
    try:
        made = {name: _made(name, value) for name, value in arguments.items()}
        return Started(AsyncDriver(made) if as_server else StepDriver(made), lora)
    except (ValueError, TypeError, KeyError, OSError, ImportError, RuntimeError, AssertionError) as error:
        raise ModelError(
            f"vLLM cannot load it: {reason_of(error)}.",
            where=config.model.source,
            remedy="worker.log has all that vLLM said; `llem config schema` describes the options.",
        ) from error


def _made(name: str, value: Any) -> Any:
    """A mapping becomes the class that EngineArgs holds there, where it does not make it itself."""
    if not isinstance(value, dict):
        return value
    owner = next((hint for hint in _classes(name)), None)
    return value if owner is None else owner(**value)


def _classes(name: str) -> Iterator[Any]:
    """Configuration classes in the annotation of one of EngineArgs' fields; none where it also takes a mapping."""
    hint: Any = EngineArgs.__annotations__.get(name)
    found = hint if get_origin(hint) is None else get_args(hint)
    branches = found if isinstance(found, tuple) else (found,)
    if not any(one is dict or getattr(one, "__origin__", None) is dict for one in branches):
        yield from (one for one in branches if isinstance(one, type) and dataclasses.is_dataclass(one))
