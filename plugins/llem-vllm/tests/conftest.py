"""Engines that are closed when a test ends, and a small model on disk. Tests marked `vllm` are skipped where there is no vLLM."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

HAS_VLLM = importlib.util.find_spec("vllm") is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs vLLM where it is not installed, and say so."""
    if HAS_VLLM:
        return
    for item in items:
        if item.get_closest_marker("vllm"):
            item.add_marker(pytest.mark.skip(reason="vLLM is not installed here: make test-vllm sets it up"))


@pytest.fixture(scope="session", autouse=True)
def _little_memory() -> None:
    """vLLM reserves 4 GiB or more for its cache on a CPU unless told otherwise."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")


@pytest.fixture(scope="module")
def load() -> Iterator[Callable[..., Any]]:
    """Takes a model source, the section `vllm` and further sections; returns a loaded engine as a `Session`."""
    from vllm_lab import Session, start

    sessions: list[Session] = []

    def one(source: str, vllm: Mapping[str, Any] | None = None, **sections: Any) -> Session:
        sessions.append(start(source, vllm or {}, **sections))
        return sessions[-1]

    yield one
    for session in sessions:
        session.engine.close()


@pytest.fixture(scope="session")
def reference(model_folder: Path) -> dict[str, Any]:
    """Prompts and their ids, answers of `LENGTH` tokens, and answers through the stop token, by transformers alone."""
    from vllm_lab import transformers_answers

    return transformers_answers(model_folder)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with its tokenizer, whose stop token comes in some answers."""
    from vllm_lab import write_model

    return write_model(tmp_path_factory.mktemp("small-model"))
