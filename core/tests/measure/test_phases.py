"""Phases: in order, without gaps, and told."""

from __future__ import annotations

from pathlib import Path

import pytest

from llem.measure.phases import PHASES, PREPARE, REPORT, PhaseLog
from llem.results.job_directory import EventLog, EventReader


@pytest.fixture
def log(tmp_path: Path) -> PhaseLog:
    return PhaseLog(EventLog(tmp_path / "events.jsonl"))


def test_each_starts_where_the_one_before_ended(log: PhaseLog, tmp_path: Path) -> None:
    assert log.current == PREPARE
    for name in PHASES:
        log.enter(name)
    log.leave()
    assert log.current == REPORT
    assert [phase.name for phase in log.finished] == list(PHASES)
    assert all(a.end_ns == b.start_ns for a, b in zip(log.finished, log.finished[1:], strict=False))
    events = list(EventReader(tmp_path / "events.jsonl").new())
    assert [(e["name"], e["state"]) for e in events] == [(n, s) for n in PHASES for s in ("start", "end")]
    assert [e["t_ns"] for e in events] == [t for p in log.finished for t in (p.start_ns, p.end_ns)]


def test_an_edge_may_be_set_to_an_exact_instant(log: PhaseLog) -> None:
    log.enter(PHASES[0], 100)
    log.enter(PHASES[1], 250)
    assert (log.finished[0].start_ns, log.finished[0].end_ns) == (100, 250)


def test_one_out_of_order_is_refused(log: PhaseLog) -> None:
    log.enter(PHASES[0])
    with pytest.raises(RuntimeError, match="next"):
        log.enter(PHASES[2])


def test_an_abandoned_phase_ends_and_is_still_named(log: PhaseLog, tmp_path: Path) -> None:
    log.enter(PHASES[0])
    log.enter(PHASES[1])
    log.abandon()
    assert log.current == PHASES[1]
    assert [phase.name for phase in log.finished] == list(PHASES[:2])
    assert list(EventReader(tmp_path / "events.jsonl").new())[-1]["state"] == "end"


def test_a_failure_before_the_first_phase_leaves_none(log: PhaseLog) -> None:
    log.abandon()
    assert log.finished == []
