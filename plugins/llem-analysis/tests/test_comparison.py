"""Comparisons of configurations against scipy's tests, and Holm's correction by what must always hold."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from llem.config.study import ExecutionConfig
from llem.results.models import Failure
from llem.results.rows import result_row
from llem_analysis import holm
from llem_analysis.comparison import PAIRS_CYCLES, compare, compare_all, sample_variance
from llem_analysis.configurations import summarise

A = {1: 10.1, 2: 10.4, 3: 9.9, 4: 10.2, 5: 10.6}
B = {1: 9.6, 2: 10.0, 3: 9.3, 4: 9.9, 5: 10.1}
PROBABILITIES = st.lists(st.floats(0, 1), max_size=12)


def test_every_order_is_known_to_pair_or_not() -> None:
    orders = ExecutionConfig.model_json_schema()["properties"]["order"]["enum"]
    assert set(PAIRS_CYCLES) == set(orders)


@given(st.lists(st.floats(0.5, 1.5), min_size=2, max_size=12), st.floats(-14, 0), st.floats(-8, 8))
def test_the_variance_is_that_in_fractions_however_small_beside_the_mean(
    drawn: list[float], spread: float, size: float
) -> None:
    values = [10**size * (1 + 10**spread * value) for value in drawn]
    assert sample_variance(values) == pytest.approx(statistics.variance(values), rel=1e-12)


@given(st.floats(-1e9, 1e9), st.integers(2, 60))
def test_equal_values_have_no_variance(value: float, n: int) -> None:
    assert sample_variance([value] * n) == 0


def test_cycles_that_run_together_are_paired_as_scipy_does() -> None:
    found = compare(A, B, "interleaved")
    scipy = stats.ttest_rel(list(B.values()), list(A.values()))
    assert found.paired
    assert found.p == pytest.approx(scipy.pvalue, rel=1e-9)
    expected = scipy.confidence_interval(0.95)
    assert found.difference_interval is not None
    assert (found.difference_interval.low, found.difference_interval.high) == pytest.approx(expected, rel=1e-9)
    assert (found.difference, found.n_base, found.n_other, found.df) == (pytest.approx(-0.46), 5, 5, 4)


def test_cycles_that_run_apart_are_compared_by_welch_as_scipy_does() -> None:
    found = compare(A, B, "sequential")
    scipy = stats.ttest_ind(list(B.values()), list(A.values()), equal_var=False)
    assert not found.paired
    assert found.p == pytest.approx(scipy.pvalue, rel=1e-9)
    assert found.df == pytest.approx(scipy.df, rel=1e-9)
    expected = scipy.confidence_interval(0.95)
    assert found.difference_interval is not None
    assert (found.difference_interval.low, found.difference_interval.high) == pytest.approx(expected, rel=1e-9)


def test_only_cycles_that_both_have_make_pairs() -> None:
    found = compare(A, {2: 10.0, 3: 9.3, 5: 10.1, 6: 99.0}, "shuffled")
    assert (found.paired, found.n_base, found.n_other) == (True, 3, 3)
    assert found.difference == pytest.approx((10.0 - 10.4 + 9.3 - 9.9 + 10.1 - 10.6) / 3)


def test_too_few_common_cycles_are_compared_unpaired() -> None:
    found = compare(A, {6: 9.6, 7: 10.0, 8: 9.3}, "interleaved")
    assert (found.paired, found.n_base, found.n_other) == (False, 5, 3)
    assert found.p is not None


def test_what_cannot_be_tested_says_why() -> None:
    few = compare({1: 1.0, 2: 2.0}, B, "interleaved")
    assert (few.p, few.difference_interval, few.ratio_interval) == (None, None, None)
    assert few.reason == "one of the two has 2 cycles; an interval takes 3 or more"
    assert few.ratio is not None
    steady = compare({1: 1.0, 2: 1.0, 3: 1.0}, {1: 2.0, 2: 2.0, 3: 2.0}, "interleaved")
    assert (steady.difference, steady.ratio, steady.p) == (1.0, 2.0, None)
    assert steady.reason == "the values do not vary from cycle to cycle"
    with pytest.raises(ValueError, match="no value"):
        compare({}, B, "interleaved")


def test_a_ratio_to_nearly_nothing_has_no_bounded_interval() -> None:
    found = compare({1: -1.0, 2: 1.0, 3: 0.1}, {1: 5.0, 2: 5.1, 3: 5.2}, "sequential")
    assert found.ratio is not None
    assert found.ratio_interval is None


CYCLE_VALUES = st.lists(st.floats(1, 100), min_size=3, max_size=8)


@given(a=CYCLE_VALUES, b=CYCLE_VALUES, order=st.sampled_from(["interleaved", "sequential"]))
def test_difference_ratio_and_p_agree_on_what_is_told_apart(a: list[float], b: list[float], order: str) -> None:
    base, other = dict(enumerate(a, 1)), dict(enumerate(b, 1))
    found, back = compare(base, other, order), compare(other, base, order)
    assert found.difference == pytest.approx(-back.difference)
    assert (found.p is None) == (back.p is None) == (found.difference_interval is None)
    if found.p is None or found.difference_interval is None:
        return
    assert found.p == pytest.approx(back.p)
    assert 0 <= found.p <= 1
    assert found.difference_interval.low <= found.difference <= found.difference_interval.high
    if abs(found.p - 0.05) < 1e-6:
        return
    told_apart = found.p < 0.05
    assert told_apart == (not found.difference_interval.low <= 0 <= found.difference_interval.high)
    if found.ratio_interval is not None:
        low, high = found.ratio_interval.low, found.ratio_interval.high
        assert told_apart == (not low <= 1 <= high)


def test_a_paired_ratio_is_fieller_s() -> None:
    found = compare(A, B, "interleaved")
    assert found.ratio_interval is not None
    for ratio in (found.ratio_interval.low, found.ratio_interval.high):
        at_edge = stats.ttest_1samp([B[c] - ratio * A[c] for c in A], 0.0)
        assert at_edge.pvalue == pytest.approx(0.05, rel=1e-6), "what is just not told from the ratio"


def test_several_comparisons_are_corrected_together() -> None:
    found = compare_all(A, [B, {c: v + 0.01 * c for c, v in A.items()}, {1: 1.0}], "interleaved")
    ps = [c.p for c in found]
    assert ps[2] is None
    assert found[2].p_adjusted is None
    assert [c.p_adjusted for c in found[:2]] == holm.adjusted([p for p in ps if p is not None])


def test_holm_s_worked_example() -> None:
    assert holm.adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm.adjusted([]) == []
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm.adjusted([1.2])


@given(ps=PROBABILITIES)
def test_holm_keeps_the_order_and_lies_between_no_correction_and_bonferroni_s(ps: list[float]) -> None:
    found = holm.adjusted(ps)
    for p, corrected in zip(ps, found, strict=True):
        assert p <= corrected <= min(1.0, len(ps) * p)
    by_p = [corrected for _, corrected in sorted(zip(ps, found, strict=True))]
    assert by_p == sorted(by_p), "a smaller p stays smaller"


@given(ps=st.lists(st.floats(0, 1), min_size=1, max_size=12), data=st.data())
def test_holm_does_not_depend_on_the_order_given(ps: list[float], data: st.DataObject) -> None:
    places = data.draw(st.permutations(range(len(ps))))
    found = holm.adjusted(ps)
    assert holm.adjusted([ps[i] for i in places]) == [found[i] for i in places]


@given(ps=PROBABILITIES, alpha=st.floats(0.001, 0.5))
def test_holm_rejects_what_the_steps_reject(ps: list[float], alpha: float) -> None:
    rejected = set()
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        if (len(ps) - rank) * ps[place] > alpha:
            break
        rejected.add(place)
    assert {i for i, p in enumerate(holm.adjusted(ps)) if p <= alpha} == rejected


def test_configurations_of_a_study_are_compared_by_the_cycles_that_they_have(make_result: Any) -> None:
    failure = Failure(type="Crash", message="gone", phase="window", exit_code=1, signal=None, log_tail="")
    cells = [("a" * 64, A, 0), ("b" * 64, B, 0), ("c" * 64, B, 2)]
    results = [
        make_result(
            config_hash=name,
            cycle=cycle,
            j_per_token=value,
            position=5 * place + cycle,
            failure=failure if cycle == failed else None,
        )
        for place, (name, values, failed) in enumerate(cells)
        for cycle, value in values.items()
    ]
    rows = [result_row(result, f"experiments/{place}") for place, result in enumerate(results)]
    first, *others = (c.figures["j_per_output_token"].by_cycle for c in summarise(rows))
    assert first == A
    whole, one_less = compare_all(first, others, "shuffled")
    assert whole.p == compare(A, B, "shuffled").p
    assert (one_less.n_base, one_less.n_other) == (4, 4)
    assert whole.p_adjusted is not None
    assert one_less.p_adjusted is not None
