"""A stand-in for the interface of TensorRT-LLM, which answers nothing: it takes what the reference files name, and refuses the rest."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llem_trtllm.schema.references import parameters

REFERENCES = Path(__file__).parent / "references"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs TensorRT-LLM where it is not installed, and say so."""
    if importlib.util.find_spec("tensorrt_llm") is not None:
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(
                pytest.mark.skip(
                    reason="TensorRT-LLM is not installed here: make gpu-trtllm sets it up, on a machine with a GPU"
                )
            )


@dataclass
class Interface:
    """All that was asked of the stand-in.

    Attributes:
        made: keywords of each `LLM`, in order.
        asked: keywords of each request, in order.
        sampled: keywords of each SamplingParams, in order.
        saved: folders into which an engine was written.
        refusal: what `LLM` raises in place of being made; None for nothing.
    """

    made: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    sampled: list[dict[str, Any]] = field(default_factory=list)
    saved: list[str] = field(default_factory=list)
    refusal: Exception | None = None


def only_known(file: str, method: str, keywords: dict[str, Any], more: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The keywords, where the reference file names each of them."""
    unknown = keywords.keys() - parameters(REFERENCES / f"{file}.yaml", method).keys() - more
    if unknown:
        raise TypeError(f"{method} got an unexpected keyword argument: {sorted(unknown)}")
    return keywords


@pytest.fixture
def interface(monkeypatch: pytest.MonkeyPatch) -> Interface:
    """`tensorrt_llm` by its interface alone."""
    seen = Interface()
    of_tensorrt = frozenset(parameters(REFERENCES / "tensorrt_llm_args.yaml"))

    class Llm:
        known: frozenset[str] = frozenset()

        def __init__(self, **keywords: Any) -> None:
            if seen.refusal is not None:
                raise seen.refusal
            seen.made.append(only_known("llm", "__init__", keywords, self.known))

        def generate_async(self, inputs: Any, sampling_params: Any, **keywords: Any) -> Any:
            seen.asked.append(only_known("llm", "generate_async", {"inputs": inputs, **keywords}))
            raise ValueError("this stand-in answers nothing")

        def shutdown(self) -> None:
            """Nothing was started."""

    class BuiltLlm(Llm):
        known = of_tensorrt

        def save(self, engine_dir: str) -> None:
            seen.saved.append(engine_dir)
            Path(engine_dir).mkdir()
            (Path(engine_dir) / "rank0.engine").write_bytes(b"built")
            (Path(engine_dir) / "config.json").write_text("{}")

    class SamplingParams:
        def __init__(self, **keywords: Any) -> None:
            seen.sampled.append(only_known("sampling_params", "__init__", keywords))

    class QuantConfig:
        def __init__(self, **keywords: Any) -> None:
            self.keywords = only_known("quant_config", "__init__", keywords)

    package, engines, llmapi = (
        types.ModuleType(name) for name in ("tensorrt_llm", "tensorrt_llm._tensorrt_engine", "tensorrt_llm.llmapi")
    )
    package.LLM, package.SamplingParams, package.__path__ = Llm, SamplingParams, []  # type: ignore[attr-defined]
    engines.LLM = BuiltLlm  # type: ignore[attr-defined]
    llmapi.QuantConfig, llmapi.QuantAlgo = QuantConfig, str  # type: ignore[attr-defined]
    for module in (package, engines, llmapi):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    version = importlib.metadata.version
    told = {"tensorrt_llm": "1.2.1", "tensorrt": "10.14.1.48"}
    monkeypatch.setattr(importlib.metadata, "version", lambda name: told.get(name) or version(name))
    return seen


@pytest.fixture
def configured() -> Callable[..., Any]:
    """Takes the section `trtllm` and further sections; returns the experiment."""
    from llem.config.compose import Composer
    from llem.plugins import default_registry
    from llem.specs.kinds import BACKENDS, SCENARIOS

    def one(trtllm: dict[str, Any] | None = None, **sections: Any) -> Any:
        document = {"model": "random:smollm2-135m", "backend": "trtllm", "trtllm": trtllm or {}, **sections}
        return Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)

    return one
