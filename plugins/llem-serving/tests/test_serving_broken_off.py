"""Tokens of the window are all that were given out in it, whoever's; requests are late and in flight for as long as they truly were."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from driven_load import load_of
from hypothesis import given, settings
from hypothesis import strategies as st
from study_run import Serve
from virtual_loop import S
from virtual_time import KnownEngine, driven_virtually

from llem.measure.given_out import count_given_out
from llem.measure.latency import timings
from llem.measure.requests_table import write_served
from llem.plugin_api import Request, RequestRecord, TokenEvent
from llem_serving.broken_off import broken_off, tokens_of_an_event
from llem_serving.config import SloConfig
from llem_serving.course import Course
from llem_serving.figures import figures_of, served
from llem_serving.generator import served_of
from llem_serving.judging import judge, rejudge

LONG: dict[str, Any] = {"rate_rps": 20, "ramp_s": 4.0, "duration_s": 1.5, "drain_s": 0.2}
"""Answers of `long` last longer than the window and its drain: of those that arrived before it some are whole, and most are not."""


def long(**more: Any) -> KnownEngine:
    return KnownEngine(**{"answer_s": lambda number: 0.4 if number % 5 == 0 else 3.5, "tokens": 36, **more})


def counted(course: Course, folder: Path) -> tuple[int, int, int, int]:
    """Output tokens of the window: by the core, by its table, by the judgement, and by the table judged again."""
    found, edges = served_of(course), (course.open_ns, course.close_ns)
    inside = timings(found.inside)
    rows = [*inside, *timings(found.beside)]
    path = folder / "requests.parquet"
    write_served(path, rows, found.unanswered, len(inside), *edges)
    columns = pq.read_table(path).to_pydict()
    judged = judge(served(course, 3), SloConfig(), *edges, 3)
    again = rejudge(columns, SloConfig(), window_s=(edges[1] - edges[0]) / 1e9, parts=3)
    assert (again.requests, again.failed, again.unanswered) == (judged.requests, judged.failed, judged.unanswered)
    return (
        count_given_out(rows, *edges, found.unanswered).output,
        sum(columns["window_tokens"]),
        judged.output_tokens,
        again.output_tokens,
    )


@pytest.mark.parametrize("drain_s", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("held", [False, True], ids=["as they come", "held back"])
@pytest.mark.parametrize("fails_after", [None, 7])
def test_every_token_of_the_window_counts_though_its_request_began_before_it_and_ends_after_the_drain(
    drain_s: float, held: bool, fails_after: int | None, tmp_path: Path
) -> None:
    engine = long(held=held, fails_after=fails_after)
    course = driven_virtually(engine, load_of(**{**LONG, "drain_s": drain_s}))
    truth = sum(course.open_ns < t_ns <= course.close_ns for t_ns in engine.given)
    assert truth > 300
    broken = [one for one in course.exchanges if one.answer is None and one.arrived_ns < course.open_ns and one.came_ns]
    assert broken, "the case that it is about"
    assert counted(course, tmp_path) == (truth,) * 4


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 6), st.floats(0, 3), st.integers(2, 40), st.integers(1, 40), st.none() | st.integers(0, 9))
def test_whatever_the_load_no_token_is_lost_or_counted_twice(
    answer_s: float, drain_s: float, tokens: int, rate: int, fails_after: int | None
) -> None:
    engine = KnownEngine(answer_s=lambda number: answer_s * (1 + number % 3), tokens=tokens, fails_after=fails_after)
    course = driven_virtually(engine, load_of(rate_rps=rate, ramp_s=1.0, duration_s=1.0, drain_s=drain_s))
    found, edges = served_of(course), (course.open_ns, course.close_ns)
    rows = timings([*found.inside, *found.beside])
    truth = sum(edges[0] < t_ns <= edges[1] for t_ns in engine.given)
    assert count_given_out(rows, *edges, found.unanswered).output == truth


def test_pieces_of_an_answer_that_broke_off_count_as_many_tokens_as_those_of_whole_ones(tmp_path: Path) -> None:
    engine = long(piece=3)
    course = driven_virtually(engine, load_of(**LONG))
    truth = 3 * sum(course.open_ns < t_ns <= course.close_ns for t_ns in engine.given)
    found, edges = served_of(course), (course.open_ns, course.close_ns)
    rows = timings([*found.inside, *found.beside])
    assert count_given_out(rows, *edges, found.unanswered).output == pytest.approx(truth, abs=2 * len(rows))


@pytest.mark.parametrize("read_late_s", [0.0, 0.045, 0.5, 2.0])
def test_tokens_that_were_read_late_count_once_and_alike(read_late_s: float, tmp_path: Path) -> None:
    """Answers of one instant, short ones among them: the loop reads them when their time is long over."""

    @dataclass
    class LateEngine(KnownEngine):
        async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
            start_ns = time.monotonic_ns()
            await asyncio.sleep(0.05)
            at_ns = time.monotonic_ns()
            await asyncio.sleep(read_late_s)
            self.given += [at_ns] * 4
            record = RequestRecord(request.id, 3, 4, start_ns, at_ns, "length", (at_ns,) * 4)
            for place in range(4):
                yield TokenEvent(None, at_ns, record if place == 3 else None)

    engine = LateEngine()
    course = driven_virtually(engine, load_of(rate_rps=100, ramp_s=4.0, duration_s=1.5, drain_s=3.0))
    by_core, by_table, judged, again = counted(course, tmp_path)
    assert by_core == by_table == judged == again > 0
    if read_late_s < 0.05:
        assert judged == sum(course.open_ns < t_ns <= course.close_ns for t_ns in engine.given)


@pytest.mark.parametrize("piece", [1, 3])
def test_an_answer_that_goes_beyond_what_was_asked_counts_no_more_than_that(piece: int) -> None:
    course = driven_virtually(long(piece=piece), load_of(**LONG))
    each = tokens_of_an_event(course.exchanges)
    broken = [one for one in course.exchanges if one.answer is None and len(one.came_ns) > 5]
    assert broken
    for one in broken:
        beyond = replace(one, request=replace(one.request, output_tokens=4))
        assert broken_off(beyond, each) == broken_off(one, each)[:4]
        assert len(broken_off(one, each)) > 4


def test_an_answer_that_broke_off_is_no_answer(tmp_path: Path) -> None:
    course = driven_virtually(long(), load_of(**LONG))
    found = figures_of(course, load_of(**LONG), SloConfig(), lambda start, end: None).metrics
    inside = [one for one in course.exchanges if course.open_ns <= one.arrived_ns < course.close_ns]
    whole = [one for one in inside if one.answer is not None]
    assert 0 < len(whole) < len(inside)
    assert found["attainment"] == len(whole) / len(inside)
    assert found["unanswered_requests"] == len(inside) - len(whole)
    good = [one for one in course.exchanges if one.answer is not None]
    truth = sum(course.open_ns < t_ns <= course.close_ns for one in good for t_ns in one.came_ns)
    assert found["good_tokens"] == truth


@pytest.mark.process
@pytest.mark.timeout(300)
def test_joules_per_token_are_those_of_the_tokens_that_took_them(serve: Serve) -> None:
    # 5 ms for each token of each request that runs, whose 10 W are beside 100 W at rest: a token costs what the two give.
    ran = serve(
        dataset={"output_tokens": 600},
        loadbed={"base_s": 0.005, "request_s": 0.0, "max_batch": 100},
        load={"rate_rps": 20, "ramp_s": 4.0, "duration_s": 2.0, "drain_s": 0.1},
    )
    (result,), (rows,) = ran.results, ran.requests
    assert result["status"] == "done", result["failure"]
    headline, window_s = result["energy"]["headline"], result["energy"]["window_s"]
    ran_s = (headline["energy_j"] - 100 * window_s) / 10
    assert result["tokens"]["output"] == pytest.approx(ran_s / 0.005, rel=0.02)
    broken = [row for row in rows if row["finish"] == "unanswered" and not row["inside"]]
    assert sum(row["window_tokens"] for row in broken) > 0.1 * result["tokens"]["output"]
    assert not {"identity_broken"} & {one["code"] for one in result["warnings"]}


def test_a_request_that_waits_for_its_turn_is_not_late_by_that() -> None:
    engine = KnownEngine(answer_s=lambda _: 0.2, tokens=3)
    fields = {"rate_rps": 20, "arrival": "constant", "max_in_flight": 2, "duration_s": 2.0, "drain_s": 60}
    course = driven_virtually(engine, load_of(**fields))
    waited = [(one.sent_ns or 0) - one.arrived_ns for one in course.exchanges]
    assert max(waited) > 1 * S
    found = figures_of(course, load_of(**fields), SloConfig(ttft_s=0.1), lambda start, end: None)
    assert found.metrics["lateness_max_s"] == pytest.approx(0.0, abs=1e-6)
    assert "late_generator" not in {one.code for one in found.caveats}
    assert found.metrics["attainment"] is not None
    assert found.metrics["attainment"] < 0.2, "latency counts the wait all the same"


@pytest.mark.parametrize("fails_after", [0, 10])
def test_requests_that_fail_are_in_flight_until_they_do(fails_after: int, tmp_path: Path) -> None:
    engine = KnownEngine(answer_s=lambda _: 1.0, tokens=21, first_s=0.5, fails_after=fails_after)
    fields = {"rate_rps": 10, "arrival": "constant", "ramp_s": 5.0, "duration_s": 10.0, "drain_s": 5.0}
    course = driven_virtually(engine, load_of(**fields))
    found = figures_of(course, load_of(**fields), SloConfig(), lambda start, end: None).metrics
    # Five in a second stay 1.5 s; five fail, after 0.5 s and 0.05 s for each token.
    truth = 5 * 1.5 + 5 * (0.5 + 0.05 * fails_after)
    assert found["in_flight_mean"] == pytest.approx(truth, rel=0.01)
    again = served_of(course)
    rows = timings([*again.inside, *again.beside])
    write_served(tmp_path / "r.parquet", rows, again.unanswered, len(again.inside), course.open_ns, course.close_ns)
    failed = [row for row in pq.read_table(tmp_path / "r.parquet").to_pylist() if row["finish"] == "error"]
    for row in failed:
        assert row["end_s"] - row["arrival_s"] == pytest.approx(0.5 + 0.05 * fails_after, abs=1e-6)
