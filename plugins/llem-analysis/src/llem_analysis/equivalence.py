"""One figure of two studies: equal within a margin, apart by more, or not to be told. Pure functions over values by cycle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from llem_analysis.comparison import Comparison, compare, p_above
from llem_analysis.cycles_needed import MOST_CYCLES, cycles_against, pooled_spread
from llem_analysis.intervals import FEWEST, Interval

Verdict = Literal["equivalent", "different", "undecided"]

EXIT: dict[Verdict, int] = {"equivalent": 0, "different": 1, "undecided": 5}
"""Exit code of each verdict."""

ERROR = 0.05
"""The chance, at the most, that figures exactly a margin apart are called equivalent, and that they are called different."""

LEVEL = 1 - 2 * ERROR
"""Of the interval: two one-sided tests at 5 % are its two ends (Schuirmann, A comparison of the two one-sided tests procedure and
the power approach, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987)."""

MARGIN = 0.05
"""Of a ratio, where nobody asks for another."""

_STUDIES = "sequential"
"""Cycles of two studies did not run together, so they make no pairs."""


@dataclass(frozen=True)
class Equivalence:
    """A figure of a replica against that of the original.

    Attributes:
        n_base, n_other: cycles of the original and of the replica; base_mean, other_mean: over them.
        ratio: of the means, replica to original.
        interval: of it, 90 %; None where there is none.
        p_equivalent, p_different: of the two tests, each small where it decides; None where there is no test.
        cycles: with so many of the replica four of five would decide, were the truth what was seen; None where it is decided, takes
            more than 100, or is not to be told.
        reason: why it is undecided; None where it is not.
    """

    verdict: Verdict
    n_base: int
    n_other: int
    base_mean: float
    other_mean: float
    ratio: float | None
    interval: Interval | None = None
    p_equivalent: float | None = None
    p_different: float | None = None
    cycles: int | None = None
    reason: str | None = None


def equivalence(base: Mapping[int, float], other: Mapping[int, float], margin: float = MARGIN) -> Equivalence:
    """Tell whether the ratio of two means lies between 1 / (1 + margin) and 1 + margin.

    Equivalent where both one-sided tests at 5 % say that it does: the 90 % interval lies inside. Different where it lies outside and
    a test at 5 % against the whole margin says so too. That test asks for more than the interval only where the noise is wide
    beside the margin, so that the interval may lie outside by chance on either side of it.

    Args:
        base, other: cycle to value; each at least one.
        margin: as a share, above 0.

    Raises:
        ValueError: one of them has no value.
    """
    found = compare(base, other, _STUDIES, LEVEL)
    p_equivalent, p_different = p_values(base, other, margin)
    verdict = verdict_of(p_equivalent, p_different)
    cycles = reason = None
    if verdict == "undecided":
        cycles = _cycles(found, base, other, margin)
        reason = _why(found, cycles, margin)
    return Equivalence(
        verdict=verdict,
        n_base=found.n_base,
        n_other=found.n_other,
        base_mean=found.base_mean,
        other_mean=found.other_mean,
        ratio=found.ratio,
        interval=found.ratio_interval,
        p_equivalent=p_equivalent,
        p_different=p_different,
        cycles=cycles,
        reason=reason,
    )


def p_values(base: Mapping[int, float], other: Mapping[int, float], margin: float) -> tuple[float | None, float | None]:
    """The p of equivalence and that of a difference; None where there are too few cycles.

    The latter is of the nearer end of the margin, and adds the chance to be as far beyond the other one: at an end of the
    margin it holds 5 % however wide the noise is.
    """
    most = 1 + margin
    above = [p_above(base, other, _STUDIES, ratio) for ratio in (most, 1 / most)]
    below = [p_above(other, base, _STUDIES, ratio) for ratio in (most, 1 / most)]
    up, down = [[p for p in ps if p is not None] for ps in (above, below)]
    if len(up) < 2 or len(down) < 2:
        return None, None
    return max(1 - up[0], 1 - down[0]), min(1.0, sum(up), sum(down))


def verdict_of(p_equivalent: float | None, p_different: float | None) -> Verdict:
    """The verdict of `p_values`."""
    if p_equivalent is not None and p_equivalent < ERROR:
        return "equivalent"
    return "different" if p_different is not None and p_different < ERROR else "undecided"


def _cycles(found: Comparison, base: Mapping[int, float], other: Mapping[int, float], margin: float) -> int | None:
    """Number of cycles of the replica that would decide, the original's being what they are."""
    if found.n_base < FEWEST or not found.ratio or found.ratio <= 0:
        return None
    seen, most = math.log(found.ratio), math.log1p(margin)
    distances = [most - seen, most + seen] if abs(seen) < most else [abs(seen) - most]
    logs = [[math.log(value) for value in side.values() if value > 0] for side in (base, other)]
    sd = pooled_spread(logs)
    if sd is None or min(distances) <= 0:
        return None
    return cycles_against(distances, sd, found.n_base, max(FEWEST, found.n_other + 1), ERROR)


def _why(found: Comparison, cycles: int | None, margin: float) -> str:
    if found.n_base < FEWEST:
        return f"the original has {found.n_base} of the {FEWEST} cycles that an interval takes, which no cycle here makes up for"
    would = f"about {cycles} cycles here would tell it, were the truth what was seen"
    if found.n_other < FEWEST:
        few = f"it takes {FEWEST} cycles or more"
        return few if cycles is None else f"{few}; {would}"
    interval = found.ratio_interval
    outside = interval is not None and (interval.low > 1 + margin or interval.high < 1 / (1 + margin))
    where = (
        "the interval lies beyond the margin, and is so wide that it may by chance"
        if outside
        else "an end of the margin lies inside the interval"
    )
    if cycles is None:
        return (
            f"{where}, and {MOST_CYCLES} cycles here would not tell it: what was seen lies too near the end, or the "
            f"{found.n_base} cycles of the original vary too much"
        )
    return f"{where}; {would}"
