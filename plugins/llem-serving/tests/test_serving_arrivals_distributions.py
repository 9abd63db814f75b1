"""Gaps of arrival follow the distribution that was asked for: Kolmogorov-Smirnov, mean rate, and independence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from llem_serving.arrivals import draw
from llem_serving.config import LoadConfig, Stage

N = 20_000
CRITICAL = 1.9495 / np.sqrt(N)
"""Of the statistic of Kolmogorov and Smirnov at alpha = 0.001: sqrt(-ln(alpha / 2) / 2) / sqrt(n), for large n."""

Array = NDArray[np.float64]


def statistic(values: Array, cumulative: Callable[[Array], Array], least: float = 0.0) -> float:
    """Largest distance between the distribution of values and the one that was asked for, from `least` on."""
    ordered = np.sort(values)
    looked = ordered >= least
    expected = cumulative(ordered)[looked]
    ranks = (np.arange(1, len(values) + 1) / len(values))[looked]
    return float(max(np.max(ranks - expected), np.max(expected - ranks + 1 / len(values))))


def exponential(x: Array) -> Array:
    return np.asarray(1 - np.exp(-x))


def gamma(cv: float) -> Callable[[Array], Array]:
    return lambda x: np.asarray(special.gammainc(cv**-2, x * cv**-2))


def correlation(gaps: Array) -> float:
    """Of neighbouring gaps, by their ranks, so that a heavy tail does not hide it."""
    ranks = np.argsort(np.argsort(gaps)).astype(float)
    return float(np.corrcoef(ranks[:-1], ranks[1:])[0, 1])


def gaps_of(process: str, cv: float = 1.0, rate: float = 250.0, seed: int = 11, cycle: int = 1) -> Array:
    """The first `N` gaps in units of their mean, the one before the first arrival included."""
    config = LoadConfig.model_validate({"arrival": process, "cv": cv, "rate_rps": rate, "seed": seed})
    t_ns = draw(config, cycle, 2 * N / rate).t_ns[:N]
    assert len(t_ns) == N
    return np.asarray(np.diff(t_ns, prepend=0) / 1e9 * rate)


CASES = [("poisson", 1.0), ("gamma", 0.25), ("gamma", 0.5), ("gamma", 2.0), ("gamma", 3.5)]


@pytest.mark.parametrize(("process", "cv"), CASES)
def test_gaps_have_the_distribution_that_was_asked_for(process: str, cv: float) -> None:
    gaps = gaps_of(process, cv)
    # Of gamma with a large coefficient many gaps are shorter than the nanoseconds that times are kept in.
    least = 100e-9 * 250
    assert statistic(gaps, exponential if process == "poisson" else gamma(cv), least) < CRITICAL
    assert np.mean(gaps < least) < (0.01 if cv <= 1 else 0.5)


@pytest.mark.parametrize(("process", "cv"), CASES)
def test_the_mean_rate_and_the_coefficient_of_variation_are_those_asked_for(process: str, cv: float) -> None:
    gaps = gaps_of(process, cv)
    assert abs(gaps.mean() - 1) < 3.3 * cv / np.sqrt(N)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05)


@pytest.mark.parametrize(("process", "cv"), CASES)
def test_neighbouring_gaps_are_independent(process: str, cv: float) -> None:
    assert abs(correlation(gaps_of(process, cv))) < 3.3 / np.sqrt(N)


def test_cycles_and_seeds_are_independent_of_one_another() -> None:
    first = gaps_of("poisson")
    for other in (gaps_of("poisson", cycle=2), gaps_of("poisson", seed=12)):
        assert abs(np.corrcoef(first, other)[0, 1]) < 3.3 / np.sqrt(N)


def test_arrivals_of_a_ramp_have_the_density_of_its_rate() -> None:
    """Given their number, arrivals of a Poisson process are distributed as its cumulative rate."""
    length = np.sqrt(2 * N / 10)
    config = LoadConfig(stages=[Stage(duration_s=float(length), rate_rps=0.0, to_rps=float(10 * length))], seed=11)
    t_s = draw(config, 1, float(length)).t_ns / 1e9
    assert abs(len(t_s) - N) < 3.3 * np.sqrt(N)
    assert statistic(t_s, lambda t: np.asarray((t / length) ** 2)) < 1.9495 / np.sqrt(len(t_s))


def test_these_tests_notice_other_processes() -> None:
    gaps = gaps_of("poisson")
    assert statistic(gaps, gamma(1.05)) > CRITICAL
    assert statistic(gaps_of("gamma", 1.05), exponential) > CRITICAL
    assert abs(correlation(np.repeat(gaps[: N // 10], 10))) > 0.5, "each gap repeated ten times"
    assert statistic(np.repeat(gaps[: N // 10], 10), exponential) < 3 * CRITICAL, (
        "of which the distribution tells little"
    )
