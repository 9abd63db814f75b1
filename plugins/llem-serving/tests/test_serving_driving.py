"""The course of a load: an early end where it saturates, ends in ramp, window and drain, and engines that do not let go."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from driven_load import PlainWindow, SleepingEngine, drive_of, driven, load_of

from llem.plugin_api import ConfigError, Request, TokenEvent
from llem_serving import in_flight, loop
from llem_serving.config import SloConfig
from llem_serving.course import Course
from llem_serving.figures import figures_of
from llem_serving.loop import Loop

MANY = [Request(id=one, output_tokens=1, prompt="hi") for one in range(50)]
HOPELESS: dict[str, Any] = {"rate_rps": 200, "arrival": "constant", "parts": 20, "duration_s": 6, "drain_s": 0.1}
"""Load for an engine that answers 40 in a second."""


def slow() -> SleepingEngine:
    return SleepingEngine(answer_s=0.05, at_once=2)


def caveats(course: Course, **load: Any) -> dict[str, str]:
    found = figures_of(course, load_of(**load), SloConfig(), lambda start, end: None)
    return {one.code: one.message for one in found.caveats}


def test_a_window_in_which_the_load_saturates_closes_early_and_says_how_many_wait() -> None:
    window = PlainWindow()
    course = driven(slow(), MANY, load_of(**HOPELESS), window=window)
    assert course.verdict == "saturated"
    assert course.saturation is not None
    parts = len(course.edges_ns) - 1
    assert 3 <= parts < 20
    assert window.edges[0] == "open"
    assert window.edges.count("close") == 1
    assert course.close_ns == course.edges_ns[-1]
    assert course.close_ns - course.open_ns < 4e9
    said = caveats(course, **HOPELESS)["saturated"]
    assert f"{course.saturation.in_flight:,.0f} were waiting" in said
    assert "of the 6 s" in said
    under_way = sum(
        e.arrived_ns <= course.close_ns and not (e.ended_ns or 2**62) <= course.close_ns for e in course.exchanges
    )
    assert course.saturation.in_flight == pytest.approx(under_way, abs=0.5 * under_way)


def test_a_load_that_saturates_before_the_window_has_a_window_of_one_part() -> None:
    fields = {**HOPELESS, "steady_s": 60.0}
    course = driven(slow(), MANY, load_of(**fields))
    assert course.verdict == "saturated"
    assert len(course.edges_ns) == 2
    assert course.waited_s < 10
    assert "ended early" in caveats(course, **fields)["saturated"]


def test_a_window_that_is_cut_short_stays_so_where_the_engine_recovers_in_it() -> None:
    engine = slow()

    class Relieved(PlainWindow):
        def open(self) -> int:
            engine.answer_s = 0.0
            return super().open()

    course = driven(engine, MANY, load_of(**{**HOPELESS, "steady_s": 60.0}), window=Relieved())
    assert course.verdict == "saturated"
    assert course.saturation is not None
    assert len(course.edges_ns) == 2


class Stalled(SleepingEngine):
    """Answers two, and then nobody until it is let go."""

    let_go = False

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        while not self.let_go and request.id >= 2:
            await asyncio.sleep(0.005)
        async for event in super().stream(request):
            yield event


@pytest.mark.parametrize("recovers", [True, False])
def test_requests_that_piled_up_before_the_window_and_are_worked_off_in_it_are_no_saturation(recovers: bool) -> None:
    engine = Stalled()

    class Relieved(PlainWindow):
        def open(self) -> int:
            engine.let_go = recovers
            return super().open()

    fields = {"rate_rps": 5, "ramp_s": 0.8, "steady_s": 1.5, "duration_s": 1.5, "drain_s": 0.2}
    course = driven(engine, MANY, load_of(**fields), window=Relieved())
    assert course.verdict == ("unsteady" if recovers else "saturated")
    assert not (recovers and course.saturation), "too few requests to be certain"
    assert ("worked off" in " ".join(course.reasons)) is recovers


def test_a_steady_state_is_waited_for_in_as_many_parts_as_fit() -> None:
    window = PlainWindow()
    course = driven(SleepingEngine(), MANY, load_of(rate_rps=3, steady_s=0.9, duration_s=0.9), window=window)
    assert course.verdict != "saturated"
    assert window.edges[: window.edges.index("open")].count("instant") == 1 + 3
    assert "fewer than 3 parts" not in course.reasons


def test_a_load_that_is_kept_up_with_has_its_whole_window() -> None:
    fields = {"rate_rps": 100, "arrival": "constant", "parts": 8, "duration_s": 0.8}
    course = driven(SleepingEngine(), MANY, load_of(**fields))
    assert len(course.edges_ns) == 9
    assert course.verdict is None
    assert "saturated" not in caveats(course, **fields)


@pytest.mark.parametrize(
    "fields",
    [{"concurrency": 100}, {"rate_rps": None, "stages": [{"duration_s": 9, "rate_rps": 200}]}],
    ids=["users", "stages"],
)
def test_loads_that_grow_by_themselves_are_held_to_their_end(fields: dict[str, Any]) -> None:
    load = load_of(**{**HOPELESS, "rate_rps": None, "arrival": "constant", "duration_s": 1, **fields})
    course = driven(slow(), MANY, load)
    assert len(course.edges_ns) == 21
    assert course.verdict is None


def stopped_in(phase: str, engine: SleepingEngine, **load: Any) -> PlainWindow:
    """A drive that is cancelled as soon as it says that it is in this phase."""
    window = PlainWindow()
    drive = drive_of(engine, MANY, load_of(**load), window=window)

    async def cancelled() -> None:
        task = asyncio.create_task(drive.run())
        while phase not in window.told and not task.done():
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(cancelled())
    return window


@pytest.mark.parametrize("phase", ["ramp", "waiting for a steady state", "window", "drain"])
@pytest.mark.parametrize("source", [{"rate_rps": 100}, {"concurrency": 5}], ids=["arrivals", "users"])
def test_whatever_phase_a_load_is_cancelled_in_nothing_is_left(phase: str, source: dict[str, Any]) -> None:
    engine = SleepingEngine(answer_s=1.0)
    steady_s = 30.0 if phase.startswith("waiting") else 0.0
    stopped_in(phase, engine, **source, ramp_s=0.6, duration_s=1.8, steady_s=steady_s, drain_s=30)
    assert engine.asked
    assert engine.under_way == 0
    assert engine.cancelled > 0
    assert not [one.name for one in threading.enumerate() if one.name.startswith(("llem-pacer", "llem-window"))]


def test_an_engine_that_ignores_cancellation_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "CANCEL_S", 0.1)
    monkeypatch.setattr(loop, "CLOSE_S", 0.1)
    engine, own = SleepingEngine(deaf=True), Loop()
    fields = {"rate_rps": 50, "arrival": "constant", "drain_s": 0.2}
    begun = time.monotonic()
    course = own.run(drive_of(engine, MANY, load_of(**fields)).run())
    assert course.kept_on == engine.under_way > 0
    assert "went on with" in caveats(course, **fields)["cancellation_ignored"]
    assert "requests_lost" in caveats(course, **fields)
    own.close()
    own.close()
    assert time.monotonic() - begun < 60
    assert engine.under_way > 0


def test_what_ends_after_the_drain_changes_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "CANCEL_S", 0.05)
    engine = SleepingEngine(deaf=True)

    async def late() -> Course:
        course = await drive_of(engine, MANY, load_of(rate_rps=50, arrival="constant", drain_s=0)).run()
        engine.deaf = False  # from here on it answers
        while engine.under_way:
            await asyncio.sleep(0.01)
        return course

    course = asyncio.run(late())
    assert course.exchanges
    for one in course.exchanges:
        assert (one.answer, one.first_ns, one.ended_ns, one.error) == (None, None, None, None)


@pytest.mark.parametrize("edge", ["open", "instant", "close"])
def test_a_window_that_fails_ends_the_load(edge: str) -> None:
    class Broken(PlainWindow):
        def _break(self) -> int:
            raise RuntimeError("the meter is gone")

    window = Broken()
    setattr(window, edge, window._break)
    engine = SleepingEngine(answer_s=5)
    with pytest.raises(RuntimeError, match="meter is gone"):
        driven(engine, MANY, load_of(rate_rps=100), window=window)
    assert engine.under_way == 0


def write_trace(folder: Path, rows: Sequence[tuple[int, int, int]]) -> dict[str, Any]:
    """A trace of (time in ms, prompt, answer), and the dataset that is made of it."""
    lines = [json.dumps({"timestamp": t, "input_length": i, "output_length": o}) for t, i, o in rows]
    (folder / "t.jsonl").write_text("\n".join(lines))
    return {"name": "trace", "path": "t.jsonl", "n": len(rows)}


def test_a_trace_of_load_and_dataset_gives_each_row_its_own_time(tmp_path: Path) -> None:
    dataset = write_trace(tmp_path, [(t, 5, 1) for t in (0, 100, 150, 400, 9_000)])
    requests = MANY[:5]
    fields: dict[str, Any] = {"arrival": "trace", "time_scale": 2.0, "duration_s": 1, "drain_s": 0}
    course = driven(SleepingEngine(), requests, load_of(**fields), dataset=dataset, base_dir=str(tmp_path))
    start_ns = course.exchanges[0].arrived_ns
    told = [(one.request.id, round((one.arrived_ns - start_ns) / 1e6)) for one in course.exchanges]
    assert told == [(0, 0), (1, 200), (2, 300), (3, 800)]
    assert course.paired
    assert caveats(course, **fields).keys() - {"late_generator"} == {"steadiness_untested"}


def test_rows_beyond_the_dataset_are_refused_with_the_number_that_arrives(tmp_path: Path) -> None:
    dataset = {**write_trace(tmp_path, [(t, 5, 1) for t in range(0, 1_000, 100)]), "n": 4}
    load = load_of(arrival="trace", duration_s=0.4, drain_s=0.15)
    with pytest.raises(ConfigError, match=r"6 rows of the trace t\.jsonl arrive") as told:
        driven(SleepingEngine(), MANY[:4], load, dataset=dataset, base_dir=str(tmp_path))
    assert "Set it to 6" in (told.value.remedy or "")


def test_a_paired_trace_gives_no_prompt_twice(tmp_path: Path) -> None:
    # The rows that arrive in time have prompts; those that come later, while an edge waits, have none and do not arrive.
    class Slow(PlainWindow):
        def open(self) -> int:
            time.sleep(1)
            return super().open()

    dataset = {**write_trace(tmp_path, [(0, 5, 1), (100, 5, 1), (600, 5, 1), (700, 5, 1), (1_000, 5, 1)]), "n": 2}
    load = load_of(arrival="trace", duration_s=0.3, drain_s=0.2)
    course = driven(SleepingEngine(), MANY[:2], load, dataset=dataset, base_dir=str(tmp_path), window=Slow())
    assert [one.request.id for one in course.exchanges] == [0, 1]


@pytest.mark.parametrize(
    "more",
    [{"name": "synthetic", "input_tokens": 5, "n": 2}, {"name": "trace", "path": "t.jsonl", "n": 2, "shuffle": True}],
)
def test_a_trace_beside_another_dataset_gives_times_alone(tmp_path: Path, more: dict[str, Any]) -> None:
    write_trace(tmp_path, [(t, 5, 1) for t in (0, 50, 100, 150)])
    fields: dict[str, Any] = {"arrival": "trace", "trace": "t.jsonl"}
    course = driven(SleepingEngine(), MANY[:2], load_of(**fields), dataset=more, base_dir=str(tmp_path))
    assert [one.request.id for one in course.exchanges] == [0, 1, 0, 1]
    assert not course.paired
    said = caveats(course, **fields)
    assert "t.jsonl" in said["trace_times_alone"]
    assert "0.15 s" in said["trace_ended"]


@pytest.mark.parametrize(("lasts_s", "told"), [(0.2, True), (0.4, False)])
def test_stages_that_end_before_the_window_are_told(lasts_s: float, told: bool) -> None:
    fields: dict[str, Any] = {"stages": [{"duration_s": lasts_s, "rate_rps": 50}]}
    said = caveats(driven(SleepingEngine(), MANY, load_of(**fields)), **fields)
    assert ("0.2 s" in said.get("stages_ended", "")) is told


def test_lost_requests_are_told_with_what_most_of_them_failed_of() -> None:
    fields: dict[str, Any] = {"rate_rps": 50, "arrival": "constant"}
    said = caveats(driven(SleepingEngine(fails=frozenset(range(5))), MANY, load_of(**fields)), **fields)
    assert said["requests_lost"].endswith("): RuntimeError: told to fail")


def test_the_most_requests_in_flight_are_also_those_that_were_under_way_at_the_opening() -> None:
    load = load_of(concurrency=3, ramp_s=0.4, duration_s=0.2)
    course = driven(SleepingEngine(answer_s=2.0), MANY, load)
    assert figures_of(course, load, SloConfig(), lambda *_: None).metrics["in_flight_max"] == 3


def test_pieces_count_for_energy_where_they_came() -> None:
    load = load_of(rate_rps=50, arrival="constant")
    course = driven(SleepingEngine(), MANY, load)
    for one in course.exchanges:
        if one.answer is not None:
            record = one.answer.records[0]
            one.answer.records[:] = [replace(record, token_ns=None, piece_ns=record.token_ns)]
    told = figures_of(course, load, SloConfig(), lambda *_: 1.0).metrics
    assert told["energy_parts_cv"] is not None
    assert told["good_tokens"]


def test_a_trace_without_a_file_is_told() -> None:
    with pytest.raises(ConfigError, match=r"load\.trace"):
        driven(SleepingEngine(), MANY, load_of(arrival="trace"))
