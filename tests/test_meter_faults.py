"""Each kind of fault of the benchmark `meter_faults` on the simulated clock, its honest runs, and that it can find a fault."""

from __future__ import annotations

import pytest

from bench.faults import end_to_end, honest
from bench.faults.kinds import FAILED, Kind, Told, unmarked
from bench.meter_faults import KINDS
from llem_analysis.warning_codes import kind_of


@pytest.mark.process
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name.replace(" ", "-"))
def test_what_misbehaves_is_named_and_leaves_no_unmarked_figure(kind: Kind) -> None:
    assert unmarked(kind, kind.happen()) is None


@pytest.mark.process
@pytest.mark.parametrize("number", range(2 * len(honest.FAMILIES)))
def test_an_honest_run_bears_no_mark(number: int) -> None:
    run = honest.run(number)
    assert run.false == [], run.what


def test_a_kind_counts_once_and_each_code_is_one_of_the_table() -> None:
    names = [kind.name for kind in KINDS]
    assert len(names) == len(set(names))
    assert len(names) >= 40
    assert len(end_to_end.RUNS) >= 10
    assert set(end_to_end.RUNS) <= set(names), "each is one of the simulated kinds"
    for code in {kind.code for kind in KINDS} - {FAILED, "baseline_discarded"}:
        assert kind_of(code).code == code


KIND = Kind(who="meter", name="m", code="counter_stuck", word="stood still", happen=lambda: Told(said=[]))


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (Told(said=[]), "no `counter_stuck`"),
        (Told(said=[("counter_froze", "it stood still")]), "no `counter_stuck`"),
        (Told(said=[("counter_stuck", "something is wrong")]), "does not speak of"),
    ],
)
def test_a_fault_without_its_cause_is_unmarked(told: Told, why: str) -> None:
    assert why in str(unmarked(KIND, told))


def test_a_wrong_figure_is_unmarked_where_its_warning_only_informs() -> None:
    informs = Kind(who="meter", name="m", code="same_meter", word="twice", happen=lambda: Told(said=[]))
    said = [("same_meter", "it is there twice")]
    assert "nothing marks them" in str(unmarked(informs, Told(said=said, figure_j=200, truth_j=100)))
    assert unmarked(informs, Told(said=said, figure_j=101, truth_j=100)) is None
    assert unmarked(informs, Told(said=said, figure_j=200, truth_j=100, is_unreliable=True)) is None


def test_a_mark_on_an_honest_run_and_a_figure_that_is_off_are_false() -> None:
    marked = honest.Run(what="x", told=Told(said=[("power_stuck", "it stuck")]))
    assert marked.false == ["power_stuck: it stuck"]
    assert honest.Run(what="x", told=marked.told, true={"power_stuck"}).false == []
    assert honest.Run(what="x", told=Told(said=[], figure_j=120, truth_j=100)).false
