"""Means of configurations with cycle and place taken out: against scipy where the two are the same, and by arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from llem_analysis.cell_means import CellMeans
from llem_analysis.run_layout import RunLayout
from llem_analysis.timeline import Timeline, timeline

DIFFERENCE = np.array([-1.0, 1.0])


def in_cycles(values: list[list[float]], orders: list[list[int]] | None = None) -> CellMeans:
    """Values of each configuration by cycle, run cycle after cycle, each in the order given."""
    size, cycles = len(values), len(values[0])
    orders = orders or [list(range(size))] * cycles
    runs = [(cell, cycle) for cycle in range(cycles) for cell in orders[cycle]]
    cell = np.array([c for c, _ in runs])
    when = timeline(cell, [k for _, k in runs], list(range(len(runs))), size)
    return CellMeans(np.array([values[c][k] for c, k in runs]), RunLayout(cell, size, when))


def one_after_another(values: list[list[float]]) -> CellMeans:
    runs = [(cell, k) for cell, found in enumerate(values) for k in range(len(found))]
    cell = np.array([c for c, _ in runs])
    when = timeline(cell, [k for _, k in runs], list(range(len(runs))), len(values))
    return CellMeans(np.array([values[c][k] for c, k in runs]), RunLayout(cell, len(values), when))


def test_two_configurations_in_cycles_are_compared_as_by_the_paired_t_test() -> None:
    first, second = [1.0, 1.3, 0.9, 1.7], [1.4, 1.6, 1.5, 2.0]
    found = in_cycles([first, second]).estimate(DIFFERENCE)
    expected = stats.ttest_rel(second, first)
    assert found.value == pytest.approx(np.mean(second) - np.mean(first))
    assert found.df == pytest.approx(3)
    assert found.p == pytest.approx(expected.pvalue)


def test_two_configurations_one_after_another_are_compared_as_by_welch() -> None:
    first, second = [1.0, 1.3, 0.9, 1.7], [1.4, 5.6, 2.5, 2.0]
    found = one_after_another([first, second]).estimate(DIFFERENCE)
    expected = stats.ttest_ind(second, first, equal_var=False)
    assert found.df == pytest.approx(expected.df)
    assert found.p == pytest.approx(expected.pvalue)


def test_what_a_cycle_adds_to_all_changes_no_contrast_and_no_error() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(6, 3))
    plain = in_cycles(values.tolist())
    shifted = in_cycles((values + np.array([0.0, 5.0, -3.0])).tolist())
    row = np.array([1, 1, 1, -1, -1, -1]) / 3
    for one, other in ((plain, shifted),):
        assert one.estimate(row).value == pytest.approx(other.estimate(row).value)
        assert one.estimate(row).variance == pytest.approx(other.estimate(row).variance)


def test_a_drift_within_cycles_is_found_and_taken_out_exactly() -> None:
    orders = [[0, 1, 2, 3, 4], [4, 2, 0, 3, 1], [1, 3, 4, 0, 2]]
    truth = np.array([0.0, 0.5, 1.0, 0.2, 0.3])
    rng = np.random.default_rng(2)
    values = np.zeros((5, 3))
    for cycle, order in enumerate(orders):
        for place, cell in enumerate(order):
            values[cell, cycle] = truth[cell] + 0.04 * place / 4 + 1e-6 * rng.normal()
    means = in_cycles(values.tolist(), orders)
    slope = means.slope()
    assert slope is not None
    assert slope.value == pytest.approx(0.04, abs=1e-5)
    assert means.estimate(np.array([-1.0, 1, 0, 0, 0])).value == pytest.approx(0.5, abs=1e-5)


def test_the_same_place_in_every_cycle_leaves_no_slope() -> None:
    means = in_cycles(np.random.default_rng(3).normal(size=(5, 3)).tolist())
    assert means.slope() is None
    assert means.layout.timeline.order == "fixed places"


@pytest.mark.parametrize(
    ("cycles", "positions", "order"),
    [
        ([1, 1, 1], [1, 2, 3], "one cycle"),
        ([1, 2, 1, 2], [1, 2, 3, 4], "one after another"),
        ([1, 1, 2, 2], [1, 2, 3, 4], "fixed places"),
        ([1, 1, 2, 2], [None, 2, 3, 4], "unknown"),
    ],
)
def test_an_order_is_read_from_cycles_and_positions(cycles: list[int], positions: list[int], order: str) -> None:
    cell = np.array([0, 0, 1, 1]) if order == "one after another" else np.array([0, 1, 0, 1][: len(cycles)])
    assert timeline(cell, cycles, positions, 2).order == order


def test_every_configuration_has_the_error_of_its_own_runs() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(scale=0.01, size=(8, 40))
    values[0] *= 20
    means = in_cycles(values.tolist())
    noisy = means.estimate(np.array([-1.0, 1, 0, 0, 0, 0, 0, 0]))
    quiet = means.estimate(np.array([0, 0, 0, 0, 0, 0, -1.0, 1]))
    assert noisy.variance is not None
    assert quiet.variance is not None
    assert noisy.variance > 20 * quiet.variance
    assert noisy.df < 60 < quiet.df


def test_a_configuration_that_ran_once_borrows_the_others_spread() -> None:
    cell = np.array([0, 0, 0, 1, 1, 1, 2])
    logs = np.array([1.0, 1.1, 1.2, 2.0, 2.3, 2.1, 3.0])
    means = CellMeans(logs, RunLayout(cell, 3, Timeline("unknown", np.zeros(7, dtype=np.int64), None, None)))
    assert means.pooled is not None
    assert means.variances[2] == pytest.approx(means.pooled)
    assert means.estimate(np.array([0.0, -1, 1])).variance == pytest.approx(means.variances[1] / 3 + means.pooled)


def test_the_test_of_a_single_sum_is_its_t_test() -> None:
    means = in_cycles(np.random.default_rng(5).normal(size=(6, 3)).tolist())
    row = np.array([1.0, -1, 0, 0, 0, 0])
    assert means.p_of_all(row[None, :]) == pytest.approx(means.estimate(row).p)


def test_the_test_of_several_sums_does_not_depend_on_how_they_are_written() -> None:
    means = in_cycles(np.random.default_rng(6).normal(size=(6, 3)).tolist())
    rows = np.array([[1.0, -1, 0, 0, 0, 0], [1, 0, -1, 0, 0, 0]])
    other = np.array([[0.0, 2, -2, 0, 0, 0], [1, 0, -1, 0, 0, 0], [3, -3, 0, 0, 0, 0]])
    assert means.p_of_all(rows) == pytest.approx(means.p_of_all(other))


def test_with_equal_noise_the_test_of_several_sums_rejects_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    rows = np.array([[1.0, -1, -1, 1, 0, 0], [1, 0, -1, 0, 0, 0]])
    rows[1] = [1, -1, 0, 0, -1, 1]
    rejected = 0
    for _ in range(300):
        p = in_cycles(rng.normal(size=(6, 3)).tolist()).p_of_all(rows)
        assert p is not None
        rejected += p <= 0.05
    assert 3 <= rejected <= 27


def test_without_repetition_there_is_no_error() -> None:
    cell = np.array([0, 1])
    means = CellMeans(np.array([1.0, 2.0]), RunLayout(cell, 2, timeline(cell, [1, 1], [1, 2], 2)))
    assert not means.repeats
    assert means.estimate(DIFFERENCE).p is None
    assert means.estimate(DIFFERENCE).half_width(0.95) is None


@given(st.lists(st.floats(-5, 5), min_size=18, max_size=18), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_weights_of_runs_give_the_same_sums_as_the_means(values: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(6).tolist() for _ in range(3)]
    means = in_cycles(np.array(values).reshape(6, 3).tolist(), orders)
    row = rng.normal(size=6)
    row -= row.mean()
    assert float((means.weights(row[None, :]) @ means.logs)[0]) == pytest.approx(float(row @ means.means), abs=1e-8)
