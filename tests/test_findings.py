"""Findings of simulated studies: what the benchmark counts, and that a few dozen studies keep to what a thousand showed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bench import findings

STUDIES = 30


def surprising(count: int, of: int, share: float) -> bool:
    """True where so many or more of these, at the share that should hold, are less likely than one in ten thousand."""
    tail = sum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(count, of + 1))
    return tail < 1e-4


@pytest.mark.parametrize("design", sorted(findings.DESIGNS))
def test_few_studies_claim_what_is_null_and_intervals_hold_the_truth(design: str) -> None:
    tally = findings.simulate(design, STUDIES)
    assert not surprising(tally.false, tally.studies, 0.07)
    assert not surprising(tally.intervals - tally.held, tally.intervals, 0.08)
    assert tally.told == tally.could
    assert tally.refused == tally.refusable
    assert tally.could + tally.refusable == 3 * STUDIES


def test_effects_of_five_percent_are_found_at_one_percent_of_noise() -> None:
    found, of = findings.power(20)
    assert found >= 0.9 * of


def test_nothing_that_cannot_be_is_printed() -> None:
    assert findings.impossible(60) == 0


def test_shares_are_those_of_statsmodels() -> None:
    assert findings.share_error(3) < 1


def test_a_claim_of_a_null_effect_is_counted_as_false() -> None:
    generator = np.random.default_rng(1)
    truth = findings.complete(generator)
    found = findings.analysed(truth, generator)
    assert not findings.claims_nothing(truth, found)
    assert findings.claims_nothing(replace(truth, real=frozenset()), found)


def test_a_claim_about_several_effects_together_is_false_where_none_of_them_is_there() -> None:
    generator = np.random.default_rng(2)
    truth = findings.half_fraction(generator)
    found = findings.analysed(truth, generator)
    assert not findings.claims_nothing(truth, found)
    assert findings.claims_nothing(replace(truth, real=frozenset()), found)


def test_a_true_ratio_is_over_the_combinations_that_ran_with_both() -> None:
    truth = findings.missing(np.random.default_rng(3))
    assert findings.true_ratio(truth, findings.DTYPE, "float32", "bfloat16") == pytest.approx(0.5)
    assert findings.true_ratio(truth, findings.BATCH, 1, 512) == pytest.approx(1 / 512)


def test_what_cannot_be_is_counted() -> None:
    generator = np.random.default_rng(4)
    truth = findings.complete(generator)
    (figure,) = findings.analysed(truth, generator).figures
    values = [truth.energy(point) for point in truth.points]
    assert findings._wrong(figure, values) == 0
    effect = figure.effects[0]
    negative = replace(effect, contrast=replace(effect.contrast, start_mean=-1.0))
    assert findings._wrong(replace(figure, effects=(negative,)), values) > 0
    interval = effect.contrast.ratio_interval
    assert interval is not None
    missed = replace(effect, contrast=replace(effect.contrast, ratio=interval.high * 2))
    assert findings._wrong(replace(figure, effects=(missed,)), values) > 0


@pytest.mark.parametrize("cycles", [3, 10])
def test_the_interval_of_what_is_picked_among_equals_holds_the_truth(cycles: int) -> None:
    held, of = findings.pick_coverage(12, cycles)
    assert not surprising(of - held, of, 0.08)
