"""The share of 95 % intervals that hold the true mean, by simulation: `python -m bench.interval_coverage`.

For studies of n cycles, drawn from a normal and from two skewed distributions whose means are known: the interval that
llem shows, and the methods that it could show. Last, the interval that `execution.until` ends on: a study that stops when
its interval is narrow stops on the luckier ones, and covers less.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from bench.report import Figure, arguments, machine, publish
from llem_analysis import intervals

SIZES = (3, 5, 10, 20)
SEED = 20_260_101
CV = 0.02
"""Spread of one cycle around its mean, as a share of it; where a study stops depends on it, coverage alone does not."""

Draw = Callable[[random.Random], float]
Bounds = tuple[float, float]
Means = Any
"""The means of a study's resamples, as differences from its own mean: a pyarrow array."""


@dataclass(frozen=True)
class Population:
    """The distribution that cycles are drawn from, and its true mean."""

    draw: Draw
    mean: float


def _population(raw: Draw, mean: float, sd: float) -> Population:
    """Moved and scaled to mean 1 and the deviation `CV`: the shape stays."""
    return Population(lambda rng: 1 + CV * (raw(rng) - mean) / sd, 1.0)


SIGMA = 0.5
POPULATIONS = {
    "normal": _population(lambda rng: rng.gauss(0, 1), 0, 1),
    "lognormal": _population(
        lambda rng: rng.lognormvariate(0, SIGMA),
        math.exp(SIGMA**2 / 2),
        math.sqrt((math.exp(SIGMA**2) - 1) * math.exp(SIGMA**2)),
    ),
    "exponential": _population(lambda rng: rng.expovariate(1), 1, 1),
}
"""Skewness 0, 1.75 and 2. A machine that is sometimes disturbed is skewed, for disturbance only ever costs."""


def shown(values: Sequence[float]) -> Bounds:
    """The interval that llem shows."""
    found = intervals.interval(values)
    assert found is not None
    return found.low, found.high


def student_t(values: Sequence[float]) -> Bounds:
    """Student's t."""
    found = intervals.t_interval(values)
    assert found is not None
    return found.low, found.high


def expanded(values: Sequence[float], means: Means) -> Bounds:
    """The expanded percentile bootstrap, also for fewer values than llem shows it for."""
    return _cut(values, means, intervals.expanded_tail(len(values)))


def percentile(values: Sequence[float], means: Means) -> Bounds:
    """The plain percentile bootstrap: 2.5 % cut off at each end."""
    return _cut(values, means, 0.025)


def bca(values: Sequence[float], means: Means) -> Bounds:
    """The bias-corrected and accelerated bootstrap (Efron, Better bootstrap confidence intervals, JASA 82, 1987)."""
    normal, n, middle = statistics.NormalDist(), len(values), intervals.mean(values)
    below = (pc.sum(pc.less(means, 0.0)).as_py() + pc.sum(pc.equal(means, 0.0)).as_py() / 2) / len(means)
    bias = normal.inv_cdf(min(max(below, 1e-9), 1 - 1e-9))
    jackknife = [(middle - value) / (n - 1) for value in values]
    squares = math.fsum(j * j for j in jackknife)
    acceleration = -math.fsum(j**3 for j in jackknife) / (6 * squares**1.5)

    def share(tail: float) -> float:
        z = bias + normal.inv_cdf(tail)
        return normal.cdf(bias + z / (1 - acceleration * z))

    return _cut(values, means, share(0.025), share(0.975))


def _cut(values: Sequence[float], means: Means, low: float, high: float | None = None) -> Bounds:
    found = pc.quantile(means, q=[low, 1 - low if high is None else high]).to_pylist()
    return intervals.mean(values) + found[0], intervals.mean(values) + found[1]


PLAIN: dict[str, Callable[[Sequence[float]], Bounds]] = {"shown": shown, "t": student_t}
RESAMPLED: dict[str, Callable[[Sequence[float], Means], Bounds]] = {
    "expanded": expanded,
    "percentile": percentile,
    "bca": bca,
}
METHODS = (*PLAIN, *RESAMPLED)


def coverage(population: Population, n: int, studies: int, methods: Sequence[str] = METHODS) -> dict[str, float]:
    """The share of simulated studies of n cycles whose interval holds the true mean, by method."""
    rng = random.Random(f"{SEED}:{n}")
    hits = dict.fromkeys(methods, 0)
    for _ in range(studies):
        values = [population.draw(rng) for _ in range(n)]
        means = intervals.resampled_means(values) if set(methods) & set(RESAMPLED) else None
        for name in methods:
            low, high = PLAIN[name](values) if name in PLAIN else RESAMPLED[name](values, means)
            hits[name] += low <= population.mean <= high
    return {name: count / studies for name, count in hits.items()}


def coverage_until(
    population: Population, ci_width: float, fewest: int, most: int, studies: int
) -> tuple[float, float]:
    """Coverage of the interval that a study ends on that repeats until it is narrow, and how many cycles it took on average."""
    rng = random.Random(f"{SEED}:{ci_width}:{fewest}")
    hits, cycles = 0, 0
    for _ in range(studies):
        values = [population.draw(rng) for _ in range(fewest)]
        low, high = shown(values)
        while len(values) < most and high - low > ci_width * intervals.mean(values):
            values.append(population.draw(rng))
            low, high = shown(values)
        hits += low <= population.mean <= high
        cycles += len(values)
    return hits / studies, cycles / studies


def main() -> int:
    """Simulate, print the tables, publish the figures."""
    options = arguments(__doc__).parse_args()
    where = machine()
    studies = 60 if options.quick else 4_000
    figures: dict[str, Figure] = {}

    def figure(share: float) -> Figure:
        return Figure(share, "1", studies, 1.96 * math.sqrt(share * (1 - share) / studies))

    print(f"share of {studies:,} simulated studies whose 95 % interval holds the true mean\n")
    print(f"{'cycles':<14}{'drawn from':<14}" + "".join(f"{name:>12}" for name in METHODS))
    for n in SIZES:
        for name, population in POPULATIONS.items():
            found = coverage(population, n, studies)
            print(f"{n:<14}{name:<14}" + "".join(f"{share * 100:>10.1f} %" for share in found.values()), flush=True)
            suffix = "" if name == "normal" else f"_{name}"
            figures[f"coverage_n{n}{suffix}"] = figure(found["shown"])
            for method in ("t", "expanded", "percentile", "bca"):
                figures[f"{method}_n{n}{suffix}"] = figure(found[method])
    print(f"\nuntil the interval is 2 % wide, at most 20 cycles; one cycle varies by {CV * 100:g} %\n")
    print(f"{'min_cycles':<14}{'drawn from':<14}{'coverage':>12}{'cycles':>12}")
    for fewest in (3, 5, 10):
        for name, population in POPULATIONS.items():
            share, cycles = coverage_until(population, 0.02, fewest, 20, studies // 4)
            print(f"{fewest:<14}{name:<14}{share * 100:>10.1f} %{cycles:>12.1f}", flush=True)
            suffix = "" if name == "normal" else f"_{name}"
            half = 1.96 * math.sqrt(share * (1 - share) / (studies // 4))
            figures[f"coverage_until_min{fewest}{suffix}"] = Figure(share, "1", studies // 4, half)
    publish("interval_coverage", where, figures, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
