"""The bootstrap of effects: its spread is that of theory, its intervals hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from llem.analysis import contrasts, resampling
from llem.analysis.decomposition import decompose
from llem.analysis.design import Configured
from llem.analysis.effect_models import FigureAnalysis, Parameter
from llem.analysis.figure_effects import analyse_figure
from llem.analysis.figures import FIGURES
from llem.analysis.space import make_space

PARAMETER = Parameter("a", ("a",), ("low", "high"))
HEAD = FigureAnalysis(name="tokens_per_s", label="throughput", unit="tokens/s", better="higher")


def test_drawn_means_spread_by_the_standard_error() -> None:
    rng = np.random.default_rng(1)
    values = [list(rng.normal(scale=2.0, size=3)) for _ in range(200)]
    cycles = resampling.cycles_of(values)
    moved = resampling.deviations(cycles)
    assert moved.shape == (200, 10_000)
    assert moved.mean(axis=0).std() == pytest.approx(np.sqrt(cycles.of_means.sum()) / 200, rel=0.03)
    assert moved.mean() == pytest.approx(0, abs=0.01)


def test_a_single_value_borrows_the_others_spread() -> None:
    cycles = resampling.cycles_of([[1.0], [1.0, 3.0], [2.0, 4.0, 6.0]])
    assert cycles.pooled == pytest.approx((2 + 8) / 3)
    assert cycles.variances[0] == cycles.pooled
    assert resampling.deviations(cycles)[0].std() > 0.5


def test_the_same_seed_draws_the_same() -> None:
    cycles = resampling.cycles_of([[1.0, 2.0, 4.0], [2.0, 2.5, 3.0]])
    assert (resampling.deviations(cycles, 7) == resampling.deviations(cycles, 7)).all()
    assert (resampling.deviations(cycles, 7) != resampling.deviations(cycles, 8)).any()


def test_few_values_give_welchs_interval_as_scipy() -> None:
    values = [[1.0, 1.2, 1.1], [2.0, 2.4, 2.1]]
    points = [{"a": 0}, {"a": 1}]
    cycles = resampling.cycles_of(values)
    split = decompose(make_space([PARAMETER], points), cycles.counts.astype(float))
    _, contrast = contrasts.levels_and_contrast(
        HEAD, PARAMETER, split.terms[("a",)], np.array([0, 1]), cycles, resampling.deviations(cycles), 42
    )
    expected = stats.ttest_ind(values[1], values[0], equal_var=False).confidence_interval(0.95)
    assert contrast.difference_interval is not None
    assert contrast.difference_interval.method == "t"
    found = (contrast.difference_interval.low, contrast.difference_interval.high)
    assert found == pytest.approx((expected.low, expected.high), rel=1e-9)


@pytest.mark.parametrize("draw", ["normal", "lognormal"])
def test_intervals_of_an_effect_hold_it_about_as_often_as_they_say(draw: str) -> None:
    """150 simulated studies of 2 x 4 configurations and 3 cycles; the bounds leave room for their own chance."""
    rng = np.random.default_rng(2)
    points = [{"a": a, "b": b} for a in range(2) for b in range(4)]
    other = Parameter("b", ("b",), (0, 1, 2, 3))
    space = make_space([PARAMETER, other], points)
    term = decompose(space, np.full(8, 3.0)).terms[("a",)]
    held = 0
    for _ in range(150):
        noise = rng.normal(size=(8, 3)) if draw == "normal" else rng.lognormal(sigma=0.5, size=(8, 3)) - np.exp(0.125)
        values = [[5.0 + 1.0 * p["a"] + p["b"] + float(e) for e in row] for p, row in zip(points, noise, strict=True)]
        cycles = resampling.cycles_of(values)
        _, contrast = contrasts.levels_and_contrast(
            HEAD, PARAMETER, term, space.levels["a"], cycles, resampling.deviations(cycles), 42
        )
        interval = contrast.difference_interval
        assert interval is not None
        assert interval.method == "bootstrap"
        true = 1.0 if contrast.best == "high" else -1.0
        held += interval.low <= true <= interval.high
    assert 0.88 <= held / 150 <= 0.995


def test_intervals_of_shares_hold_them_about_as_often_as_they_say() -> None:
    """60 simulated studies with shares of 1/6 and 5/6; cycles vary by a third of the smaller effect."""
    rng = np.random.default_rng(3)
    spec = FIGURES["tokens_per_s"]
    parameters = [PARAMETER, Parameter("b", ("b",), (0, 1, 2, 3))]
    held = 0
    for _ in range(60):
        configurations = [
            Configured(
                f"{a}{b}",
                None,
                [{spec.column: 5.0 + a + b + float(e)} for e in rng.normal(scale=0.3, size=3)],
                {"a": a, "b": b},
            )
            for a in range(2)
            for b in range(4)
        ]
        figure = analyse_figure(spec, configurations, parameters, "linear", 42)
        assert figure is not None
        for effect in figure.effects:
            true = 1 / 6 if effect.parameter == "a" else 5 / 6
            assert effect.share_interval is not None
            held += effect.share_interval.low <= true <= effect.share_interval.high
    assert 0.86 <= held / 120 <= 0.995
