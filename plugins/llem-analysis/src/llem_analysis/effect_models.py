"""The answers of `analyze`: plain frozen dataclasses. Each is JSON-able by `StudyAnalysis.document()`.

Figures are positive, and analysed as logarithms: effects are ratios, means are geometric. What cannot be told is None, and a
`reason` beside it says why.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from llem.plugin_api import Interval
from llem_analysis.timeline import Order

Better = Literal["lower", "higher"]
Design = Literal["complete", "incomplete", "saturated"]

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


@dataclass(frozen=True)
class Alias:
    """An effect that the design cannot tell from others, or leaves nothing to test with. It is refused by name.

    Attributes:
        parameter: whose effect it is.
        others: parameters, and interactions as `a × b`, that change the same runs in the same way.
        saturated: nothing is left to test the model with that would tell it.
        start, end: two of its values.
        ratio: by which the figure changes between them, through any of these; interval: 95 %.
        p, p_adjusted: that nothing of it is there, as for an `Effect`.
    """

    parameter: str
    others: tuple[str, ...]
    saturated: bool
    start: Any
    end: Any
    ratio: float | None = None
    interval: Interval | None = None
    p: float | None = None
    p_adjusted: float | None = None

    @property
    def told(self) -> bool | None:
        """Told from noise that something of it is there; None where cycles cannot say."""
        return None if self.p_adjusted is None else self.p_adjusted <= TOLD_AT


@dataclass(frozen=True)
class Trend:
    """A drift over the place in the cycle, or in the study.

    Attributes:
        order: as `timeline.Order`.
        ratio: the last place against the first one; interval: 95 %.
        taken_out: effects are given without it: it is a covariate.
        inseparable: it may be all that there is: configurations kept their places, and differ by no more than a drift explains.
        p, p_adjusted: that there is none.
    """

    order: Order
    ratio: float
    interval: Interval | None
    taken_out: bool
    inseparable: bool = False
    p: float | None = None
    p_adjusted: float | None = None

    @property
    def told(self) -> bool | None:
        """Told from noise; None where cycles cannot say."""
        return None if self.p_adjusted is None else self.p_adjusted <= TOLD_AT


@dataclass(frozen=True)
class Misfit:
    """Remainder that effects and interactions of two leave unexplained: interactions of three parameters and more.

    Attributes:
        df: configurations beyond what these need; p, p_adjusted: that there is nothing, as for an `Effect`.
    """

    df: int
    p: float | None = None
    p_adjusted: float | None = None

    @property
    def told(self) -> bool | None:
        """Told from noise; None where cycles cannot say."""
        return None if self.p_adjusted is None else self.p_adjusted <= TOLD_AT


@dataclass(frozen=True)
class CyclesNeeded:
    """Number of cycles that would tell a difference as large as the one that was seen.

    Attributes:
        parameter: whose step it is; ratio: this step.
        cycles: so many tell it in 80 % of studies; None where more than 100 would be needed, or the spread is not known.
        spread: relative standard deviation from cycle to cycle.
        source: where the spread is from: `this study`, or the name of an earlier one; None where it is not known.
    """

    parameter: str
    ratio: float
    cycles: int | None
    spread: float | None
    source: str | None


@dataclass(frozen=True)
class FigureAnalysis:
    """One figure over the whole study.

    Attributes:
        name: such as `j_per_output_token`; label: for people; unit; better: which direction is.
        estimated: it is no measurement: show it with a `~`.
        scope, method: of energy.
        configurations, values: how many have it.
        lowest, highest: of the configurations' geometric means.
        mean: geometric, over the configurations that ran; sd: between configurations, of logarithms.
        noise_sd: from cycle to cycle within a configuration, of logarithms, pooled; None with one cycle.
        order: of the runs, as their positions show it.
        design: `complete`: every combination is there; `incomplete`: some are missing, and values are compared over those
            that they share; `saturated`: there are no more configurations than the effects need, so that nothing is left to
            test with that they do not depend on one another.
        unexplained: share that neither effects nor listed interactions explain.
        effects, interactions: ranked.
        refused: effects that the design cannot tell, with what they go together with.
        untold: pairs of parameters whose interaction this design cannot tell.
        trend, misfit, needed: None where there is nothing to say.
        reason: why it was not analysed; then the rest is empty.
    """

    name: str
    label: str
    unit: str
    better: Better
    estimated: bool = False
    scope: str | None = None
    method: str | None = None
    configurations: int = 0
    values: int = 0
    lowest: float | None = None
    highest: float | None = None
    mean: float | None = None
    sd: float | None = None
    noise_sd: float | None = None
    order: Order = "unknown"
    design: Design | None = None
    unexplained: float | None = None
    effects: tuple[Effect, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    refused: tuple[Alias, ...] = ()
    untold: tuple[tuple[str, str], ...] = ()
    trend: Trend | None = None
    misfit: Misfit | None = None
    needed: CyclesNeeded | None = None
    reason: str | None = None

    def effect(self, parameter: str) -> Effect | None:
        """The effect of one parameter; None where it has none here."""
        return next((e for e in self.effects if e.parameter == parameter), None)


@dataclass(frozen=True)
class Finding:
    """One plain sentence, with what it is about.

    Attributes:
        text: the sentence; estimates carry a `~`.
        figure: the figure's name, the first one where it is about several.
        parameters: none, one, or more.
        certainty: `told` (from noise, at 5 % after correction), `not told`, `refused` (the design cannot tell), or `no cycles`.
    """

    text: str
    figure: str
    parameters: tuple[str, ...]
    certainty: Literal["told", "not told", "refused", "no cycles"]


@dataclass(frozen=True)
class StudyAnalysis:
    """The parameters that matter, for each figure.

    Attributes:
        study: its name; directory: its folder.
        cycles: fewest and most values that a configuration has.
        parameters: what varies.
        figures: in the order asked for, those without a value in the study left out.
        findings: the most important first.
        caveats: what a reader must know: the order, the design, failed runs, throttling, estimates, few cycles.
        interest: changes smaller than this share get no sentence of their own.
        resamples, seed: of the intervals of shares.
    """

    study: str
    directory: str
    configurations: int
    cycles: tuple[int, int]
    parameters: tuple[Parameter, ...]
    figures: tuple[FigureAnalysis, ...]
    findings: tuple[Finding, ...]
    caveats: tuple[str, ...]
    interest: float
    resamples: int
    seed: int

    def figure(self, name: str) -> FigureAnalysis:
        """The analysis of one figure. Raises KeyError where the study has none of this name."""
        for figure in self.figures:
            if figure.name == name:
                return figure
        raise KeyError(name)

    def document(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return asdict(self)

    def _repr_html_(self) -> str:
        """The display in a notebook."""
        from llem_analysis.display import analysis_html

        return analysis_html(self)
