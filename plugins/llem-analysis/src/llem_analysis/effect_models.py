"""Effects of parameters and their interactions, as `analyze` answers: plain frozen dataclasses.

Figures are positive, and analysed as logarithms: effects are ratios, means are geometric. What cannot be told is None, and a
`reason` beside it says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from llem_analysis.intervals import Interval

Better = Literal["lower", "higher"]

TOLD_AT = 0.05
"""An effect is told from noise where its corrected p is at most this."""


@dataclass(frozen=True)
class Parameter:
    """A swept parameter, or several that vary together and cannot be told apart.

    Attributes:
        name: dotted key, such as `pytorch.batch_size`; of several that vary together all of them, joined by ` + `.
        keys: its dotted keys.
        values: its values, one for each level, numbers ascending; a mapping of key to value where there are several keys.
        backend: the only backend that has it, where the study has others too (it is nested in this one); else None.
    """

    name: str
    keys: tuple[str, ...]
    values: tuple[Any, ...]
    backend: str | None = None


@dataclass(frozen=True)
class Level:
    """One value of a parameter.

    Attributes:
        value: as in the study.
        mean: the figure's geometric mean over the configurations that ran with it. Means of two values compare only where
            both ran with the same values of everything else: `Effect.steps` does that.
        interval: 95 %; None where cycles do not tell it.
        configurations, values: how many of each have this value and the figure.
    """

    value: Any
    mean: float
    interval: Interval | None
    configurations: int
    values: int


@dataclass(frozen=True)
class Step:
    """One value of a parameter against another, over the combinations of everything else that both ran with.

    Attributes:
        start, end: the two values.
        start_mean, end_mean: geometric means over the shared combinations; None where there are none, and the ratio is that of
            a model of effects and interactions of two.
        ratio: end / start.
        interval: 95 % of the ratio; None where cycles do not tell it.
        p: two-sided, that the ratio is 1; not corrected.
        shared: how many combinations both ran with, of `combinations` that one of them ran with.
    """

    start: Any
    end: Any
    start_mean: float | None
    end_mean: float | None
    ratio: float
    shared: int
    combinations: int
    interval: Interval | None = None
    p: float | None = None


@dataclass(frozen=True)
class Contrast:
    """Largest effect of a parameter on a figure, as a step from one of its values to another.

    Where the effect is told from noise, from the worst of its values to the best one; else from the first to the last, which
    were not picked for their figures, and no direction is claimed.

    Attributes:
        start, end, start_mean, end_mean, ratio, shared, combinations: as of a `Step`.
        ratio_interval: 95 %. Where several values may as well be the worst or the best, it holds for all these together
            (Bonferroni), so that picking the extremes does not spoil it.
    """

    start: Any
    end: Any
    start_mean: float | None
    end_mean: float | None
    ratio: float
    shared: int
    combinations: int
    ratio_interval: Interval | None = None


@dataclass(frozen=True)
class Effect:
    """The effect of one parameter on one figure.

    Attributes:
        parameter: its name, as in `StudyAnalysis.parameters`.
        backend: where it is nested in one; its levels are those of that backend's configurations.
        rank: from 1: those that are told come first, larger ratios before smaller ones; None without repetition.
        contrast: its largest step.
        steps: every pair of values that ran with the same values of everything else.
        apart: pairs of values that share no combination of everything else, and are not compared.
        levels: the figure at each value.
        best: the value that is told from every other one that it can be compared with, as the better; None where none is.
        share: first order: share of the variance between configurations (of logarithms) that its levels' means explain; None
            where combinations are missing, without repetition, and where nothing is told of the figure.
        share_total: with every interaction that it takes part in.
        share_within: first order, of the variance within its backend; None where it is not nested.
        share_interval, share_total_interval: 95 %, by drawing the means again from their errors.
        p: that no step is there: the smallest of the steps' p times their number.
        p_adjusted: Holm-corrected over everything that this analysis could claim.
        reason: why intervals and p are missing, where they are.
    """

    parameter: str
    backend: str | None
    contrast: Contrast
    steps: tuple[Step, ...]
    levels: tuple[Level, ...]
    apart: tuple[tuple[Any, Any], ...] = ()
    rank: int | None = None
    best: Any = None
    share: float | None = None
    share_total: float | None = None
    share_within: float | None = None
    share_interval: Interval | None = None
    share_total_interval: Interval | None = None
    p: float | None = None
    p_adjusted: float | None = None
    reason: str | None = None

    @property
    def told(self) -> bool | None:
        """Told from noise; None where cycles cannot say."""
        return None if self.p_adjusted is None else self.p_adjusted <= TOLD_AT

    def step(self, start: Any, end: Any) -> Step | None:
        """The step between two values, in this direction; None where they are not compared."""
        for one in self.steps:
            if (one.start, one.end) == (start, end):
                return one
        return None


@dataclass(frozen=True)
class Cell:
    """The figure's geometric mean over the configurations that ran with one value of each of two parameters."""

    values: tuple[Any, Any]
    mean: float


@dataclass(frozen=True)
class Extremes:
    """Extremes of an interaction: what one step of the first parameter does at two values of the second.

    Attributes:
        start, end: two values of the first parameter.
        at: two values of the second.
        ratios: end / start at each of them; intervals: 95 % of each.
    """

    start: Any
    end: Any
    at: tuple[Any, Any]
    ratios: tuple[float, float]
    intervals: tuple[Interval | None, Interval | None] = (None, None)


@dataclass(frozen=True)
class Interaction:
    """Interaction: dependence of one parameter's ratio on the value of another.

    Attributes:
        parameters: the two.
        rank: from 1, those that are told first; None without repetition.
        extremes: where it is the largest.
        cells: the figure at each pair of values that ran.
        share: of the variance between configurations, beyond both first-order effects; None as for an `Effect`.
        p, p_adjusted, reason: as for an `Effect`.
    """

    parameters: tuple[str, str]
    extremes: Extremes
    cells: tuple[Cell, ...]
    rank: int | None = None
    share: float | None = None
    share_interval: Interval | None = None
    p: float | None = None
    p_adjusted: float | None = None
    reason: str | None = None

    @property
    def told(self) -> bool | None:
        """Told from noise; None where cycles cannot say."""
        return None if self.p_adjusted is None else self.p_adjusted <= TOLD_AT
