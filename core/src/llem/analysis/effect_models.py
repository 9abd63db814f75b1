"""What `analyze` answers with: plain frozen dataclasses. Each is JSON-able by `StudyAnalysis.document()`.

Every figure is in the unit that its `FigureAnalysis` names. What cannot be told is None, and a `reason` beside it says why.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from llem.analysis.intervals import Interval

Better = Literal["lower", "higher"]
Scale = Literal["linear", "log"]
Design = Literal["complete", "pairs", "main"]


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
        mean: the figure's mean at this value, with every other parameter's values counting the same.
        interval: 95 %, over cycles; None where cycles do not tell it.
        configurations, values: how many of each have this value and the figure.
    """

    value: Any
    mean: float
    interval: Interval | None
    configurations: int
    values: int


@dataclass(frozen=True)
class Contrast:
    """A parameter's worst value against its best one, other parameters averaged over.

    Attributes:
        worst, best: the two values.
        worst_mean, best_mean: the figure's means at them.
        difference: best - worst, in the figure's unit.
        ratio: best / worst; None where worst is 0.
        difference_interval, ratio_interval: 95 % together over all pairs of values (Bonferroni), so that picking the
            extremes afterwards does not spoil them; None where cycles do not tell them.
    """

    worst: Any
    best: Any
    worst_mean: float
    best_mean: float
    difference: float
    ratio: float | None
    difference_interval: Interval | None = None
    ratio_interval: Interval | None = None


@dataclass(frozen=True)
class Effect:
    """What one parameter does to one figure.

    Attributes:
        parameter: its name, as in `StudyAnalysis.parameters`.
        backend: where it is nested in one; its levels are means over that backend's configurations.
        rank: from 1, by `share_total`.
        share: first order: share of the variance between configurations that its levels' means explain.
        share_total: with every interaction that it takes part in.
        share_within: first order, of the variance within its backend; None where it is not nested.
        share_interval, share_total_interval: 95 %, bootstrap over cycles.
        contrast: worst value against best.
        levels: the figure at each value.
        p: of the F test that all values have the same mean, against the variation between cycles.
        p_adjusted: Holm-corrected over all effects and interactions of this figure.
        reason: why intervals and p are missing, where they are.
    """

    parameter: str
    backend: str | None
    rank: int
    share: float | None
    share_total: float | None
    share_within: float | None
    contrast: Contrast
    levels: tuple[Level, ...]
    share_interval: Interval | None = None
    share_total_interval: Interval | None = None
    p: float | None = None
    p_adjusted: float | None = None
    reason: str | None = None

    @property
    def told(self) -> bool | None:
        """Whether it is told from noise at 5 %; None where cycles cannot say."""
        return None if self.p_adjusted is None else self.p_adjusted <= 0.05


@dataclass(frozen=True)
class Cell:
    """The figure's mean at one value of each of two parameters, others averaged over."""

    values: tuple[Any, Any]
    mean: float


@dataclass(frozen=True)
class Interaction:
    """How far the effect of one parameter depends on the value of another.

    Attributes:
        parameters: the two.
        rank: from 1, by `share`.
        share: of the variance between configurations, beyond both first-order effects.
        cells: the figure at each pair of values, the first parameter's values outermost.
        p, p_adjusted, reason: as for an `Effect`.
    """

    parameters: tuple[str, str]
    rank: int
    share: float | None
    cells: tuple[Cell, ...]
    share_interval: Interval | None = None
    p: float | None = None
    p_adjusted: float | None = None
    reason: str | None = None

    @property
    def told(self) -> bool | None:
        """Whether it is told from noise at 5 %; None where cycles cannot say."""
        return None if self.p_adjusted is None else self.p_adjusted <= 0.05


@dataclass(frozen=True)
class FigureAnalysis:
    """One figure over the whole study.

    Attributes:
        name: such as `j_per_output_token`; label: for people; unit; better: which direction is.
        estimated: it is no measurement: show it with a `~`.
        scope, method: of energy.
        configurations, values: how many have it.
        mean: over configurations, every parameter's values counting the same; sd: between configurations, likewise.
        noise_sd: standard deviation between cycles of one configuration, pooled; None with one cycle.
        design: `complete`: every combination is there, shares are exact; `pairs`: combinations are missing, effects and
            some interactions are estimated by least squares; `main`: interactions cannot be told from effects.
        unexplained: share that neither effects nor listed interactions explain: interactions of three and more
            parameters, and what was not fitted.
        effects, interactions: ranked.
        untold: pairs of parameters whose interaction this design cannot tell.
        confounded: parameters whose effect it cannot tell from the others'; they have no effect here.
        reason: why it was not analysed; then the rest is empty.
    """

    name: str
    label: str
    unit: str
    better: Better
    estimated: bool = False
    scope: str | None = None
    method: str | None = None
    scale: Scale = "linear"
    configurations: int = 0
    values: int = 0
    mean: float | None = None
    sd: float | None = None
    noise_sd: float | None = None
    design: Design | None = None
    unexplained: float | None = None
    effects: tuple[Effect, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    untold: tuple[tuple[str, str], ...] = ()
    confounded: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class Finding:
    """One plain sentence, with what it is about.

    Attributes:
        text: the sentence; estimates carry a `~`.
        figure: the figure's name.
        parameters: none, one, or two (an interaction).
        certainty: `told` (from noise, at 5 % after correction), `not told`, or `no cycles` to say so.
    """

    text: str
    figure: str
    parameters: tuple[str, ...]
    certainty: Literal["told", "not told", "no cycles"]


@dataclass(frozen=True)
class StudyAnalysis:
    """Which parameters matter, for each figure.

    Attributes:
        study: its name; directory: its folder.
        cycles: fewest and most values that a configuration has.
        parameters: what varies.
        figures: in the order asked for, those without a value in the study left out.
        findings: the most important first.
        caveats: what a reader must know: failed runs, throttling, estimates, few cycles.
        resamples, seed: of the bootstrap.
    """

    study: str
    directory: str
    configurations: int
    cycles: tuple[int, int]
    parameters: tuple[Parameter, ...]
    figures: tuple[FigureAnalysis, ...]
    findings: tuple[Finding, ...]
    caveats: tuple[str, ...]
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
        """What a notebook shows."""
        from llem.analysis.display import analysis_html

        return analysis_html(self)
