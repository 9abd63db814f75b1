"""Answers of `analyze`, for a study and each of its figures: plain frozen dataclasses, JSON-able by `StudyAnalysis.document()`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from llem_analysis.effect_models import TOLD_AT, Better, Effect, Interaction, Parameter
from llem_analysis.intervals import Interval
from llem_analysis.timeline import Order

Design = Literal["complete", "incomplete", "saturated"]


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
class Conclusion:
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
    findings: tuple[Conclusion, ...]
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
