"""The fuzzing benchmark counts what it claims to: each kind of failure is seen, and the mutants go on behind it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.process
def test_a_traceback_a_hang_an_escape_and_a_death_are_counted_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bench import fuzzing
    from bench.fuzz.folders import EscapeError

    def one(target: str, seed: int) -> str:
        match seed:
            case 1:
                raise ValueError("wrong")
            case 2:
                raise EscapeError("out")
            case 3:
                os._exit(3)
            case 4:
                time.sleep(3600)
            case 5:
                time.sleep(0.5)
        return "used"

    monkeypatch.setattr(fuzzing, "one", one)
    monkeypatch.setattr(fuzzing, "HANG_S", 0.3)
    monkeypatch.setattr(fuzzing, "LOST_S", 5.0)
    kinds = {seed: kind for seed, kind, _ in fuzzing.outcomes("streams", 8)}
    assert kinds == {
        0: "used",
        1: "tracebacks",
        2: "escapes",
        3: "tracebacks",
        4: "hangs",
        5: "hangs",
        6: "used",
        7: "used",
    }


def test_a_write_outside_of_the_study_is_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.fuzz import folders
    from bench.fuzz.mutations import Mutant

    name = "manifest.json"
    data = folders.recordings()[name]
    try:
        assert folders.read(name, Mutant(data, ("none",)), 0) == "used"

        def touch(study: Path, seed: int) -> None:
            (study.parent / "victim" / "result.json").rename(study / "taken")

        monkeypatch.setattr(folders, "_use", touch)
        with pytest.raises(folders.EscapeError):
            folders.read(name, Mutant(data, ("none",)), 0)
    finally:
        folders.clear()


def test_the_study_that_is_mutated_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    from bench.fuzz import folders
    from llem.study.resume.request import ResumeRequest
    from llem.study.resume.resume import find

    try:
        reporter: Any = folders._Quiet()
        found = find(folders._template(), folders._registry(), reporter, ResumeRequest(as_started=True))
        assert found.inspection.kept == {1: "done", 2: "done"}
        assert not found.inspection.damaged
        assert found.remaining == []
    finally:
        folders.clear()


def test_a_number_is_always_the_same_mutant() -> None:
    from bench.fuzz import folders

    try:
        recordings = folders.recordings()
        others = list(recordings.values())
        for seed, (name, data) in enumerate(recordings.items()):
            assert folders.mutate(name, data, seed, others) == folders.mutate(name, data, seed, others)
    finally:
        folders.clear()
