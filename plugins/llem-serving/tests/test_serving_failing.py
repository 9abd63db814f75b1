"""Requests that fail: a load of which a twentieth or more does so is not steady, and says why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from driven_load import PlainWindow, drive_of, load_of
from hypothesis import given
from hypothesis import strategies as st
from virtual_loop import run_virtually
from virtual_time import KnownEngine, driven_virtually

from llem.plugin_api import Request
from llem_serving.config import SloConfig
from llem_serving.course import Course
from llem_serving.figures import figures_of
from llem_serving.steadiness import LoadPart, SteadyGate, failing

LOAD: dict[str, Any] = {"rate_rps": 10, "arrival": "constant", "ramp_s": 5.0, "steady_s": 120.0, "duration_s": 60.0}


@dataclass
class FailingEngine(KnownEngine):
    """Answers as `KnownEngine`, and every so many requests fail at once; from a moment on, where one is given."""

    tokens: int = 4
    every: int = 0
    is_failing: bool = True

    async def stream(self, request: Request) -> Any:
        if self.every and self.is_failing and self._asked % self.every == 0:
            self._asked += 1
            raise RuntimeError("429: not now")
        async for event in super().stream(request):
            yield event


def told(course: Course) -> tuple[float | None, dict[str, str]]:
    """The result's verdict, 1 for steady, and its caveats by code."""
    found = figures_of(course, load_of(**LOAD), SloConfig(), lambda start, end: None)
    return found.metrics["steady"], {one.code: one.message for one in found.caveats}


@given(st.integers(0, 200), st.integers(0, 2000))
def test_a_twentieth_of_what_ends_is_the_limit(failures: int, answers: int) -> None:
    reason = failing(failures, failures + answers)
    assert (reason is not None) == (failures > 0 and 20 * failures >= failures + answers)


def test_the_gate_counts_failures_over_three_parts_and_says_how_many() -> None:
    parts = [LoadPart(200, 200, failures=count) for count in (5, 5, 20)]
    gate = SteadyGate()
    assert [gate.feed(one) for one in parts][-1] == "not_yet"
    assert gate.reasons[0] == "30 of 600 requests that ended failed (5.0%)"
    few = SteadyGate()
    assert [few.feed(LoadPart(200, 200, failures=9)) for _ in range(3)][-1] == "steady"


@pytest.mark.parametrize(("every", "steady"), [(0, 1.0), (50, 1.0), (10, 0.0), (2, 0.0)])
def test_a_load_whose_requests_fail_is_steady_only_where_few_do(every: int, steady: float) -> None:
    found, caveats = told(driven_virtually(FailingEngine(every=every), load_of(**LOAD)))
    assert found == steady
    assert ("unsteady" in caveats) is (steady == 0.0)
    if steady == 0.0:
        assert "requests that ended failed" in caveats["unsteady"]
    assert ("requests_lost" in caveats) is (every > 0)


def test_requests_that_fail_in_the_window_alone_take_the_steady_state_away() -> None:
    engine = FailingEngine(every=4, is_failing=False)

    class Breaking(PlainWindow):
        def open(self) -> int:
            engine.is_failing = True
            return super().open()

    requests = [Request(id=one, output_tokens=20, prompt="hi") for one in range(50)]

    async def drive() -> Course:
        return await drive_of(engine, requests, load_of(**LOAD), window=Breaking()).run()  # type: ignore[arg-type]

    course = run_virtually(drive)
    found, caveats = told(course)
    assert found == 0.0
    assert course.lost is not None
    assert caveats["unsteady"].startswith("the load was steady after")
    assert re.search(r"requests that ended failed \(2[45]\.\d%\)", caveats["unsteady"])


@pytest.mark.parametrize(("every", "limit_s"), [(1, None), (0, 1e-6), (2, None), (0, None)])
def test_a_window_without_a_good_token_says_so(every: int, limit_s: float | None) -> None:
    course = driven_virtually(FailingEngine(every=every), load_of(**LOAD))
    found = figures_of(course, load_of(**LOAD), SloConfig(e2e_s=limit_s), lambda start, end: None)
    has_none = every == 1 or limit_s is not None
    assert (found.metrics["good_tokens"] == 0) is has_none
    assert ("no_good_tokens" in {one.code for one in found.caveats}) is has_none
