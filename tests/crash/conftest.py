"""The common part of all crash tests."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from crash import preload
from crash.processes import kill, marked
from crash.study import Study, assert_told


@pytest.fixture(scope="session")
def crash_preload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared object of `crash.preload`, compiled."""
    return preload.build(tmp_path_factory.mktemp("preload"))


@pytest.fixture
def study(crash_preload: Path, tmp_path: Path) -> Iterator[Study]:
    """A study that has not begun."""
    found = Study(tmp_path / "study", crash_preload)
    yield found
    for pid in marked(found.mark):
        kill(pid)


@pytest.fixture(scope="session")
def ran_once(crash_preload: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study that has run to its end, to be copied."""
    study = Study(tmp_path_factory.mktemp("ran"), crash_preload)
    study.start()
    assert study.settle() == 0, study.said[-1].read_text()
    study.check_complete()
    return study


@pytest.fixture
def finished(ran_once: Study, tmp_path: Path) -> Iterator[Study]:
    """A study that has run to its end."""
    shutil.copytree(ran_once.root, tmp_path / "study")
    copy = Study(tmp_path / "study", ran_once.preload, finished=dict(ran_once.finished))
    yield copy
    for pid in marked(copy.mark):
        kill(pid)


Refused = Callable[..., str]


@pytest.fixture
def refused() -> Refused:
    """Takes a study and words, calls llem with them, and returns its refusal: one paragraph."""

    def call(study: Study, *words: str) -> str:
        code, text = study.call(*words)
        assert code != 0, text
        assert_told(text)
        return text

    return call
