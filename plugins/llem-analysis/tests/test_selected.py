"""The best of several: its interval holds the truth, its estimate is not too good, and equals are named as equal."""

from __future__ import annotations

import json
import math
import random
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from llem.plugins import default_registry
from llem_analysis.commands.pareto import pareto as pareto_command
from llem_analysis.commands.pick import pick as pick_command
from llem_analysis.front import pareto
from llem_analysis.intervals import mean
from llem_analysis.picking import pick
from llem_analysis.selected import (
    Noise,
    chosen_ratio,
    chosen_value,
    contenders,
    log_interval,
    noise_of,
)

WriteDesign = Callable[..., Path]
FORTY = [{"a.x": x} for x in range(40)]


def drawn(generator: random.Random, truths: Sequence[float], cycles: int, noise: float) -> list[dict[int, float]]:
    """Cycles of configurations around their true figures, as logarithms."""
    return [{c: math.log(t * (1 + generator.gauss(0, noise))) for c in range(cycles)} for t in truths]


@pytest.mark.parametrize("cycles", [3, 10])
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.5])
def test_the_intervals_of_the_chosen_one_hold_the_truth(cycles: int, spread: float) -> None:
    """Of 40 equal ones, of some that differ by little, and of some that differ by much; 92 % and more in each."""
    generator, studies = random.Random(7), 120
    held = {"value": 0, "base": 0, "others": 0}
    errors = []
    for _ in range(studies):
        truths = [math.exp(generator.gauss(0, spread)) for _ in FORTY]
        logs = drawn(generator, truths, cycles, 0.03)
        means = [mean(list(one.values())) for one in logs]
        best = min(range(40), key=means.__getitem__)
        noise = noise_of(logs, paired=True)
        assert noise is not None
        value = chosen_value(means, noise, best)
        held["value"] += value.interval.low <= truths[best] <= value.interval.high
        errors.append(math.log(value.estimate / truths[best]))
        others = [i for i in range(40) if i != best]
        base = [0 if best else 1]
        for name, reference in (("base", base), ("others", others)):
            ratio = chosen_ratio(means, noise, best, reference)
            true = truths[best] / math.exp(mean([math.log(truths[i]) for i in reference]))
            held[name] += ratio.interval.low <= true <= ratio.interval.high
    assert min(held.values()) >= 0.92 * studies, held
    assert abs(statistics.median(errors)) < 0.012, "without correction it would be 0.037 for three cycles of equal ones"


@given(
    st.integers(0, 2**32), st.integers(2, 12), st.integers(3, 6), st.floats(1e-6, 0.5), st.booleans(), st.floats(0, 1)
)
def test_an_interval_holds_its_own_estimate_and_only_what_is_possible(
    seed: int, many: int, cycles: int, noise: float, paired: bool, spread: float
) -> None:
    generator = random.Random(seed)
    logs = [{c: generator.gauss(0, noise) + spread * i for c in range(cycles)} for i in range(many)]
    means = [mean(list(one.values())) for one in logs]
    best = min(range(many), key=means.__getitem__)
    found = noise_of(logs, paired=paired)
    assert found is not None
    for one in (chosen_value(means, found, best), chosen_ratio(means, found, best, [(best + 1) % many])):
        assert 0 < one.interval.low <= one.estimate <= one.interval.high < math.inf
    assert chosen_value(means, found, best).estimate >= math.exp(means[best]) * (1 - 1e-9), (
        "luck is taken out, not put in"
    )
    assert best in contenders(means, found, best)


@given(st.lists(st.floats(1e-6, 1e6), min_size=3, max_size=10))
def test_the_interval_of_a_positive_figure_never_reaches_zero(values: list[float]) -> None:
    found = log_interval(values)
    assert found is not None
    assert 0 < found.low <= statistics.geometric_mean(values) * (1 + 1e-9)
    assert found.high >= statistics.geometric_mean(values) * (1 - 1e-9)
    assert log_interval(values[:2]) is None


def test_a_winner_that_is_far_ahead_has_the_interval_of_student_alone() -> None:
    noise = Noise(own=(0.01**2,) * 3, dfs=(6.0,) * 3, shared=0.0, whole_df=6.0)
    found = chosen_value([0.0, 1.0, 2.0], noise, 0)
    assert found.estimate == 1.0
    assert math.log(found.interval.high) == pytest.approx(0.01 * 2.4469, rel=1e-4)
    assert math.log(found.interval.low) == pytest.approx(-0.01 * 2.4469, rel=1e-4)


def test_what_cycles_share_is_an_error_of_a_value_and_none_of_a_difference() -> None:
    """A cycle that is 20 % above the others for all alike."""
    generator = random.Random(3)
    logs = [{c: 0.1 * i + 0.2 * (c == 0) + generator.gauss(0, 0.001) for c in range(4)} for i in range(5)]
    blocks, plain = noise_of(logs, paired=True), noise_of(logs, paired=False)
    assert blocks is not None
    assert plain is not None
    assert blocks.own[0] < plain.own[0] / 100
    assert blocks.shared > 100 * blocks.own[0]
    means = [mean(list(one.values())) for one in logs]
    assert contenders(means, blocks, 0) == [0]
    assert contenders(means, plain, 0) != [0]


def test_a_configuration_that_varies_more_is_not_lent_the_others_certainty() -> None:
    generator = random.Random(5)
    logs = [{c: generator.gauss(0, 0.2 if i == 0 else 0.002) for c in range(6)} for i in range(6)]
    noise = noise_of(logs, paired=False)
    assert noise is not None
    assert noise.own[0] > 2 * noise.own[1]
    assert noise.dfs[0] == 5


def test_without_repetition_or_without_any_variation_no_noise_is_known() -> None:
    assert noise_of([{1: 0.0}, {1: 1.0}], paired=True) is None
    assert noise_of([{1: 0.0, 2: 0.1}, {1: 1.0, 2: 1.1}], paired=True) is None, "two cycles give no interval"
    assert noise_of([dict.fromkeys(range(3), 0.0)] * 2, paired=True) is None


@pytest.mark.parametrize("cycles", [3, 10])
def test_forty_equal_ones_are_named_as_equal_and_the_choice_promises_nothing(
    write_design: WriteDesign, cycles: int
) -> None:
    folder = write_design(FORTY, energy=lambda _: 1.0, cycles=cycles, noise=0.03, seed=cycles)
    found = pick(folder)
    figure = found.figures["j_per_output_token"]
    assert figure.measured < 1.0 < figure.interval.high  # type: ignore[union-attr]
    assert figure.measured < figure.value
    assert abs(figure.value - 1.0) < 0.012
    assert found.as_good is not None
    assert len(found.as_good) >= 35
    assert all(gain.interval.high > 1 > 0.96 < gain.ratio for gain in found.advantages)
    text = CliRunner().invoke(pick_command, [str(folder)], obj=default_registry()).output
    assert "when corrected for being the best of 40 (measured 0.9" in text
    assert "as good as far as cycles tell" in text


def test_a_clear_winner_is_told_with_what_it_brings(write_design: WriteDesign) -> None:
    points = [{"a.x": x} for x in (1, 2, 4)]
    found = pick(write_design(points, energy=lambda p: 4.0 / p["a.x"], cycles=4, noise=0.01, relative=True))
    assert found.settings == {"a.x": 4}
    assert found.as_good == ()
    base, others = found.advantages
    assert base.over == "a.x=1"
    assert base.ratio == pytest.approx(0.25, rel=0.03)
    assert base.interval.low < 0.25 < base.interval.high
    assert others.over == "the 2 others on average"


def test_a_figure_that_is_to_be_high_is_corrected_downwards(write_design: WriteDesign) -> None:
    folder = write_design(FORTY, energy=lambda _: 1.0, speed=lambda _: 100.0, cycles=3, noise=0.03, relative=True)
    figure = pick(folder, "tokens_per_s").figures["tokens_per_s"]
    assert figure.interval is not None
    assert figure.measured > figure.value
    assert figure.interval.low < 100.0 < figure.interval.high


def test_one_cycle_ranks_nothing(write_design: WriteDesign) -> None:
    folder = write_design(FORTY[:4], energy=lambda p: 1.0 + p["a.x"])
    found = pick(folder)
    assert found.as_good is None
    assert found.advantages == ()
    assert found.figures["j_per_output_token"].interval is None
    assert "no ranking" in CliRunner().invoke(pick_command, [str(folder)], obj=default_registry()).output
    assert {p.membership for p in pareto(folder, ["j_per_output_token", "mean_w"]).points} == {None}


def test_a_front_tells_who_is_on_it_for_sure_and_who_may_be(write_design: WriteDesign) -> None:
    """1 and 2 trade one figure for the other; 3 is as 2 but for noise; 4 is beaten by all in both."""
    energy, speed = {1: 1.0, 2: 2.0, 3: 2.0, 4: 9.0}, {1: 100.0, 2: 200.0, 3: 200.0, 4: 50.0}
    folder = write_design(
        FORTY[1:5],
        energy=lambda p: energy[p["a.x"]],
        speed=lambda p: speed[p["a.x"]],
        cycles=5,
        noise=0.005,
        relative=True,
    )
    front = pareto(folder)
    places = {p.settings["a.x"]: p for p in front.points}
    assert {x: p.membership for x, p in places.items()} == {1: "on", 2: "open", 3: "open", 4: "off"}
    assert any(p.alike == (q.label,) for p, q in ((places[2], places[3]), (places[3], places[2])))
    text = CliRunner().invoke(pareto_command, [str(folder)], obj=default_registry()).output
    assert "of 2 cycles do not tell whether they are" in text
    assert "equal as far as cycles tell: a.x=" in text
    assert "a.x=4" not in text


def test_a_point_of_the_front_keeps_its_interval_however_much_it_varies(write_design: WriteDesign) -> None:
    values = iter([0.1, 1.0, 8.0, 2.0, 2.0, 2.1])
    folder = write_design(FORTY[:2], energy=lambda _: next(values), speed=lambda _: 5.0, cycles=3)
    document = json.loads(CliRunner().invoke(pareto_command, [str(folder), "--json"], obj=default_registry()).output)
    intervals = [p["intervals"]["j_per_output_token"] for p in document["points"]]
    assert len(intervals) == 2
    assert all(0 < one["low"] < one["high"] for one in intervals)
