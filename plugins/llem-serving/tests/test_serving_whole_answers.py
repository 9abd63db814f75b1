"""Answers that come at one instant: a result and `llem slo` judge them alike, since the time of a first token is told by one code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from driven_load import load_of
from virtual_time import KnownEngine, driven_virtually

from llem.measure.latency import timings
from llem.measure.requests_table import write_served
from llem_serving.config import SloConfig
from llem_serving.course import Course
from llem_serving.figures import figures_of
from llem_serving.generator import served_of
from llem_serving.judging import rejudge
from llem_serving.judging.again import scenario_metrics

LOAD: dict[str, Any] = {"rate_rps": 20, "arrival": "constant", "ramp_s": 1.0, "duration_s": 10.0}


def again(course: Course, slo: SloConfig, folder: Path) -> dict[str, float | None]:
    """The metrics of the same load as its table of requests tells them."""
    found, path = served_of(course), folder / "requests.parquet"
    inside = timings(found.inside)
    rows = [*inside, *timings(found.beside)]
    write_served(path, rows, found.unanswered, len(inside), course.open_ns, course.close_ns)
    window_s = (course.close_ns - course.open_ns) / 1e9
    return dict(scenario_metrics(rejudge(pq.read_table(path).to_pydict(), slo, window_s=window_s, parts=3)))


@pytest.mark.parametrize("tenths", [0, 3, 7, 10])
@pytest.mark.parametrize("limits", [{"ttft_s": 0.2}, {"tpot_s": 0.1}, {"ttft_s": 0.2, "e2e_s": 2.0}, {"e2e_s": 0.5}])
def test_a_result_and_its_table_of_requests_judge_them_alike(
    tenths: int, limits: dict[str, float], tmp_path: Path
) -> None:
    engine = KnownEngine(answer_s=lambda number: 0.0 if number % 10 < tenths else 1.0)
    course, slo = driven_virtually(engine, load_of(**LOAD)), SloConfig(**limits)
    found = figures_of(course, load_of(**LOAD), slo, lambda start, end: None)
    told = again(course, slo, tmp_path)
    assert {name: found.metrics[name] for name in told} == told


def test_where_first_tokens_are_not_seen_an_objective_of_them_is_missed_and_the_result_says_so() -> None:
    course = driven_virtually(KnownEngine(answer_s=lambda _: 0.0), load_of(**LOAD))
    found = figures_of(course, load_of(**LOAD), SloConfig(ttft_s=5), lambda start, end: None)
    (caveat,) = [one for one in found.caveats if one.code == "objectives_unseen"]
    assert "of 200 requests that arrived in the window 200 were answered and lack a time" in caveat.message
    assert found.metrics["attainment"] == 0.0
    seen = figures_of(course, load_of(**LOAD), SloConfig(e2e_s=5), lambda start, end: None)
    assert seen.metrics["attainment"] == 1.0
    assert "objectives_unseen" not in {one.code for one in seen.caveats}
