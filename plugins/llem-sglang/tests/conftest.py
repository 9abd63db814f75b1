"""Engines that are closed when a test ends, and a small model on disk. Tests marked `sglang` are skipped where there is no SGLang."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
# The small model and what transformers answers with it are those of vLLM's tests.
sys.path.insert(0, str(Path(__file__).parents[2] / "llem-vllm" / "tests"))

MadeOnce = Callable[[str, Callable[[Path], object]], Path]
HAS_SGLANG = importlib.util.find_spec("sglang") is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests that kill an engine behind others of it, in whatever order all were put; leave out what needs SGLang where it is
    not installed, and say so."""
    items.sort(key=lambda item: "doomed" in getattr(item, "fixturenames", ()))
    if HAS_SGLANG:
        return
    for item in items:
        if item.get_closest_marker("sglang"):
            item.add_marker(pytest.mark.skip(reason="SGLang is not installed here: make test-sglang sets it up"))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Several engines beside one another on a few cores would wait for each other's threads."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def load() -> Iterator[Callable[..., Any]]:
    """Takes a model source, the section `sglang` and further sections; returns a loaded engine as a `Session`."""
    from sglang_lab import Session, start

    sessions: list[Session] = []

    def one(source: str, sglang: Mapping[str, Any] | None = None, **sections: Any) -> Session:
        sessions.append(start(source, sglang or {}, **sections))
        return sessions[-1]

    yield one
    for session in sessions:
        session.engine.close()


@pytest.fixture(scope="session")
def reference(made_once: MadeOnce, model_folder: Path) -> dict[str, Any]:
    """Prompts and their ids, answers of 24 tokens, and answers through the stop token, by transformers alone."""
    from vllm_lab import transformers_answers

    def write(folder: Path) -> None:
        (folder / "answers.json").write_text(json.dumps(transformers_answers(model_folder)))

    found: dict[str, Any] = json.loads((made_once("answers-of-transformers", write) / "answers.json").read_text())
    return found


@pytest.fixture(scope="session")
def model_folder(made_once: MadeOnce) -> Path:
    """A small model with its tokenizer, whose stop token comes in some answers."""
    from vllm_lab import write_model

    return made_once("small-model", write_model)
