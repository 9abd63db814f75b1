"""Answers as long as parts of the window, in whole runs in virtual time: a low load is no saturation, and one that is too high is."""

from __future__ import annotations

from typing import Any

import pytest
from driven_load import load_of
from virtual_time import KnownEngine, driven_virtually

LONG: dict[str, Any] = {"duration_s": 15.0, "parts": 3, "drain_s": 12.0}
"""Parts of 5 s, for answers of 10 s."""


@pytest.mark.parametrize("held", [False, True], ids=["as they come", "held back"])
@pytest.mark.parametrize(("ramp_s", "steady_s"), [(0.0, 0.0), (0.0, 30.0), (10.0, 15.0)])
def test_a_low_load_is_not_called_saturated(ramp_s: float, steady_s: float, held: bool) -> None:
    for cycle in range(1, 16):
        engine = KnownEngine(answer_s=lambda _: 10.0, tokens=2, held=held)
        load = load_of(**LONG, rate_rps=10, ramp_s=ramp_s, steady_s=steady_s)
        course = driven_virtually(engine, load, cycle)
        assert course.verdict != "saturated", cycle
        assert len(course.edges_ns) == 4, "nor is it ended early"


@pytest.mark.parametrize("held", [False, True], ids=["as they come", "held back"])
def test_a_load_that_is_a_fifth_too_high_is_called_saturated(held: bool) -> None:
    for cycle in (1, 2, 3):
        engine = KnownEngine(answer_s=lambda _: 10.0, tokens=2, servers=335, held=held)
        course = driven_virtually(engine, load_of(**LONG, rate_rps=40, ramp_s=5.0, steady_s=60.0), cycle)
        assert course.verdict == "saturated", cycle
