"""Starts vLLM. Whatever it says against a configuration becomes one paragraph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llem.config.experiment import ModelConfig
from llem.config.section import Section
from llem.errors import ModelError
from llem_vllm.loading import path_or_name
from llem_vllm.metrics import StepCounter


@dataclass(frozen=True)
class Started:
    """vLLM under way.

    Attributes:
        engine: its LLMEngine.
        counter: takes its counts.
        lora: the adapter of every request, or None.
    """

    engine: Any
    counter: StepCounter
    lora: Any


def start(arguments: dict[str, Any], options: Section, model: ModelConfig, base_dir: str) -> Started:
    """Make the engine.

    Args:
        arguments: keywords of EngineArgs.
        options: the section.
        model: what is loaded, for messages.
        base_dir: the folder that relative paths start from.

    Raises:
        ModelError: vLLM refuses the model or the options, or its processes failed.
    """
    from vllm import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    counter = StepCounter()
    lora = None
    if (adapter := getattr(options, "lora_adapter", None)) is not None:
        from vllm.lora.request import LoRARequest

        arguments["enable_lora"] = True
        lora = LoRARequest("adapter", 1, path_or_name(adapter, base_dir))
    speculative = arguments.get("speculative_config")
    if speculative and speculative.get("model"):
        arguments["speculative_config"] = {**speculative, "model": path_or_name(speculative["model"], base_dir)}
    arguments["worker_extension_cls"] = "llem_vllm.worker_extension.WorkerExtension"
    try:
        engine = LLMEngine.from_engine_args(EngineArgs(**arguments), stat_loggers=[lambda *_: counter])
    except (ValueError, TypeError, KeyError, OSError, ImportError, RuntimeError, AssertionError) as error:
        raise ModelError(
            f"vLLM cannot load it: {_reason(error)}.",
            where=model.source,
            remedy="worker.log has all that vLLM said; `llem config schema` describes the options.",
        ) from error
    return Started(engine, counter, lora)


def _reason(error: BaseException) -> str:
    """The first line that says something; pydantic's errors begin with a count."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and "validation error" in lines[0] and len(lines) > 1:
        lines = lines[1:]
    return (lines[0] if lines else type(error).__name__).partition(" [type=")[0].rstrip(".")
