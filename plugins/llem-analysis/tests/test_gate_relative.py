"""`llem gate --relative-to`: a reference takes away what machines and their drift do, and is refused where it does not stand for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.cli import main
from llem.errors import ConfigError, ResultError
from llem.results.job_directory import RESULT
from llem_analysis import gate
from llem_analysis.relative import ratios

WriteDesign = Callable[..., Path]
POINTS = [{"pytorch.batch_size": size} for size in (1, 2, 4)]
REFERENCE = "pytorch.batch_size=1"
DRIFT = (0.8, 1.25, 0.9, 1.1, 1.0)
"""Factor of each cycle: what the room's temperature may do to all that runs in it."""


def energy(point: Mapping[str, Any]) -> float:
    return 4.0 / float(point["pytorch.batch_size"])


@pytest.fixture
def drifting(write_design: WriteDesign) -> Callable[..., Path]:
    """Writes a study on a machine of its own, whose cycles drift by a fifth, all configurations alike."""

    def write(
        name: str, *, factor: Callable[[Mapping[str, Any]], float] = lambda _: 1.0, seed: int = 1, **more: Any
    ) -> Path:
        slower = 2.0 if name == "candidate" else 1.0
        wobble = {
            (size, cycle): 1 + 0.002 * ((size * 7 + cycle * 5 + seed) % 5 - 2)
            for size in (1, 2, 4)
            for cycle in range(1, 6)
        }

        def each(point: Mapping[str, Any], cycle: int) -> Mapping[str, Any]:
            noise = wobble[point["pytorch.batch_size"], cycle]
            return {
                "energy": energy(point)
                * factor(point)
                * slower
                * DRIFT[cycle - 1 if name == "candidate" else -cycle]
                * noise,
                "environment": {"cpu": {"model": name}},
                **(more["each"](point, cycle) if "each" in more else {}),
            }

        return write_design(POINTS, energy=energy, cycles=5, name=name, each=each)

    return write


def test_what_a_machine_does_to_all_alike_falls_out(drifting: Callable[..., Path]) -> None:
    before, after = drifting("baseline"), drifting("candidate", seed=2)
    assert gate(before, after, max_increase=0.03).verdict == "undecided"
    assert gate(before, after, max_increase=0.03, anyway=True).verdict == "failed"
    found = gate(before, after, max_increase=0.03, relative_to=REFERENCE)
    assert found.verdict == "passed"
    assert [pair.name for pair in found.pairs] == ["pytorch.batch_size=2", "pytorch.batch_size=4"]
    assert (found.relative_to, found.unit) == (REFERENCE, "1")
    assert f"in ratio to {REFERENCE}" in found.rule
    assert found.pairs[0].comparison is not None
    assert found.pairs[0].comparison.base_mean == pytest.approx(0.5, rel=0.01)


def test_what_one_configuration_takes_more_is_found(
    drifting: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = drifting("baseline")
    after = drifting("candidate", factor=lambda point: 1.1 if point["pytorch.batch_size"] == 4 else 1.0, seed=2)
    words = ["gate", str(before), str(after), "--max-increase", "3%", "--relative-to"]
    assert main([*words, REFERENCE]) == 1
    told = capsys.readouterr().out
    assert "in ratio to pytorch.batch_size=1" in told
    found = gate(before, after, max_increase=0.03, relative_to=REFERENCE)
    assert [pair.verdict for pair in found.pairs] == ["passed", "failed"]
    assert found.pairs[1].comparison is not None
    assert found.pairs[1].comparison.ratio == pytest.approx(1.1, rel=0.01)


def test_only_cycles_that_both_have_are_divided(drifting: Callable[..., Path]) -> None:
    def without_one(point: Mapping[str, Any], cycle: int) -> Mapping[str, Any]:
        return {"energy": None} if point["pytorch.batch_size"] == 1 and cycle == 2 else {}

    found = gate(
        drifting("baseline"), drifting("candidate", each=without_one), max_increase=0.03, relative_to=REFERENCE
    )
    assert {(pair.comparison.n_base, pair.comparison.n_other) for pair in found.pairs if pair.comparison} == {(5, 4)}


def test_a_reference_may_be_named_by_its_hash(drifting: Callable[..., Path]) -> None:
    import json

    before, after = drifting("baseline"), drifting("candidate")
    first = json.loads((before / "experiments" / "00001" / RESULT).read_text())
    found = gate(before, after, max_increase=0.03, relative_to=first["identity"]["config_hash"][:12])
    assert found.relative_to == REFERENCE


@pytest.mark.parametrize("wanted", ["pytorch.batch_size=3", "backend=nothing", ""])
def test_a_reference_that_is_none_is_told_with_those_that_there_are(drifting: Callable[..., Path], wanted: str) -> None:
    with pytest.raises(ConfigError, match="--relative-to") as caught:
        gate(drifting("baseline"), drifting("candidate"), max_increase=0.03, relative_to=wanted)
    assert "pytorch.batch_size=1" in str(caught.value)


@pytest.mark.parametrize(
    ("each", "why"),
    [
        (
            lambda point, _: {"energy": None} if point["pytorch.batch_size"] == 1 else {},
            "has no energy per output token",
        ),
        (
            lambda point, _: {"energy": 0.0} if point["pytorch.batch_size"] == 1 else {},
            "has no energy per output token",
        ),
        (
            lambda point, _: {"environment": {"cpu": {"model": "other"}}} if point["pytorch.batch_size"] == 4 else {},
            "differs from its own in CPU",
        ),
        (
            lambda _, cycle: {"environment": {"cpu": {"model": "other"}}} if cycle > 2 else {},
            "pytorch.batch_size=1, environment=other ran on machines that differ in CPU",
        ),
        (
            lambda point, _: {"scope": "cpu", "method": "estimate"} if point["pytorch.batch_size"] == 4 else {},
            "found by another method",
        ),
        (
            lambda point, _: {"dataset_sha256": "e" * 64} if point["pytorch.batch_size"] == 1 else {},
            "did different work",
        ),
    ],
)
def test_what_is_no_reference_for_all_is_refused(
    drifting: Callable[..., Path], each: Callable[[Mapping[str, Any], int], Mapping[str, Any]], why: str
) -> None:
    with pytest.raises(ResultError, match=why):
        gate(drifting("baseline"), drifting("candidate", each=each), max_increase=0.03, relative_to=REFERENCE)


def test_one_experiment_has_no_reference(drifting: Callable[..., Path]) -> None:
    before, after = drifting("baseline"), drifting("candidate")
    with pytest.raises(ConfigError, match="one experiment"):
        gate(before / "experiments" / "00001", after, max_increase=0.03, relative_to=REFERENCE)


def test_warnings_of_the_reference_are_told(drifting: Callable[..., Path]) -> None:
    def throttled(point: Mapping[str, Any], _cycle: int) -> Mapping[str, Any]:
        return {"warnings": {"throttled": "it was hot"}} if point["pytorch.batch_size"] == 1 else {}

    found = gate(drifting("baseline"), drifting("candidate", each=throttled), max_increase=0.03, relative_to=REFERENCE)
    assert any("5 of" in text and "candidate" in text for text in found.warnings)


POSITIVE = st.floats(1e-6, 1e6)


@given(st.dictionaries(st.integers(1, 50), st.tuples(POSITIVE, POSITIVE, POSITIVE), max_size=10))
def test_a_factor_of_each_cycle_falls_out(values: dict[int, tuple[float, float, float]]) -> None:
    one = {cycle: value for cycle, (value, _, _) in values.items()}
    to = {cycle: value for cycle, (_, value, _) in values.items()}
    factor = {cycle: value for cycle, (_, _, value) in values.items()}
    plain = ratios(one, to)
    drifted = ratios({c: one[c] * factor[c] for c in one}, {c: to[c] * factor[c] for c in to})
    assert plain.keys() == drifted.keys() == values.keys()
    assert all(drifted[cycle] == pytest.approx(plain[cycle], rel=1e-9) for cycle in plain)


def test_nothing_is_divided_by_0() -> None:
    assert ratios({1: 2.0, 2: 3.0}, {1: 0.0, 2: 2.0}) == {2: 1.5}


@pytest.mark.parametrize("far_out", [1e-300, 1e200, 1.7e308])
@pytest.mark.parametrize("batch", [1, 4])
def test_a_figure_that_no_arithmetic_holds_is_left_out_and_told(
    drifting: Callable[..., Path], far_out: float, batch: int
) -> None:
    def broken(point: Mapping[str, Any], cycle: int) -> Mapping[str, Any]:
        return {"energy": far_out} if point["pytorch.batch_size"] == batch and cycle == 2 else {}

    before = drifting("baseline")
    after = drifting("candidate", each=broken)
    found = gate(before, after, max_increase=0.03, relative_to=REFERENCE)
    assert found.verdict == "passed"
    judged = [pair.comparison.n_other for pair in found.pairs if pair.comparison is not None]
    assert judged == ([4, 4] if batch == 1 else [5, 4])
    assert any("impossible_value" in text for text in found.warnings)


def test_a_reference_of_other_cycles_is_told_as_that(drifting: Callable[..., Path]) -> None:
    def apart(point: Mapping[str, Any], cycle: int) -> Mapping[str, Any]:
        return {"energy": None} if (point["pytorch.batch_size"] == 1) == (cycle > 2) else {}

    found = gate(drifting("baseline"), drifting("candidate", each=apart), max_increase=0.03, relative_to=REFERENCE)
    reason = "the candidate has no cycle in which it and the reference both have energy per output token"
    assert {pair.reason for pair in found.pairs} == {reason}
    assert found.verdict == "undecided"
