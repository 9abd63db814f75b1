"""Findings of an analysis, in plain sentences, made of nothing but what its tables hold.

One sentence for each parameter that matters, over all figures; one for each interaction; one for what is not told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from llem_analysis.describing import described
from llem_analysis.effect_models import Contrast, Effect, Interaction
from llem_analysis.figure_effects import ONCE, STEADY
from llem_analysis.intervals import Interval
from llem_analysis.refusing import refused
from llem_analysis.study_models import Conclusion, FigureAnalysis
from llem_analysis.wording import amount, and_, as_written, change, change_span, label_of, mark_of, p_text, percent


def find(figures: Sequence[FigureAnalysis], interest: float) -> tuple[Conclusion, ...]:
    """The sentences, the largest effects first."""
    return tuple(_Findings([f for f in figures if f.effects or f.refused], interest).all())


class _Findings:
    """The sentences of one analysis.

    Attributes:
        interest: changes smaller than this share get no sentence of their own.
    """

    def __init__(self, figures: Sequence[FigureAnalysis], interest: float) -> None:
        self.figures, self.interest = figures, interest
        self.names = list(dict.fromkeys(e.parameter for figure in figures for e in figure.effects))

    def all(self) -> Iterator[Conclusion]:
        """Every sentence."""
        once = [figure for figure in self.figures if any(e.reason == ONCE for e in figure.effects)]
        if once:
            yield from described(once, self.interest)
        for figure in self.figures:
            for effect in figure.effects:
                if self._first_figure(effect.parameter) is figure:
                    yield self._effect(figure, effect)
        yield from self._interactions()
        yield from refused(self.figures)
        yield from self._small()
        yield from self._untold()

    def _matters(self, effect: Effect | None) -> bool:
        return effect is not None and is_told(effect) and self._is_large(effect.contrast.ratio)

    def _is_large(self, ratio: float) -> bool:
        return abs(math.log(ratio)) >= math.log1p(self.interest)

    def _first_figure(self, name: str) -> FigureAnalysis | None:
        return next((figure for figure in self.figures if self._matters(figure.effect(name))), None)

    def _effect(self, figure: FigureAnalysis, effect: Effect) -> Conclusion:
        where = f" (among {effect.backend} configurations)" if effect.backend else ""
        label = label_of(figure)
        most = " most" if self._is_most(figure, effect) else ""
        share = ""
        if effect.share is not None and effect.share_total is not None:
            alone, in_all = percent(effect.share), percent(effect.share_total)
            share = f": it explains {alone} of the variance between configurations"
            share += f", {in_all} with its interactions" if alone != in_all else ""
        text = f"{label[0].upper()}{label[1:]} depends{most} on {effect.parameter}{where}{share}. "
        text += contrast_text(figure, effect) + self._elsewhere(figure, effect)
        return Conclusion(text, figure.name, (effect.parameter,), "told")

    def _is_most(self, figure: FigureAnalysis, effect: Effect) -> bool:
        """Its ratio is told to be larger than every other one's."""
        others = [e for e in figure.effects if e is not effect]
        own = _nearest(effect.contrast)
        return bool(others) and effect.rank == 1 and all(own > _farthest(e.contrast) for e in others)

    def _elsewhere(self, figure: FigureAnalysis, effect: Effect) -> str:
        """Clause on the same step's effect on the other figures, where it is told."""
        found = []
        for other in self.figures:
            same = other.effect(effect.parameter)
            if other is figure or same is None or not self._matters(same):
                continue
            ratio, interval = _same_step(same, effect.contrast)
            if ratio is None or not self._is_large(ratio) or not (interval is None or _excludes_1(interval)):
                continue
            mark = mark_of(other)
            span = "" if interval is None else f" ({change_span(interval)})"
            found.append(f"{label_of(other)} by {mark}{change(ratio)}{span}")
        return f" The same step changes {and_(found)}." if found else ""

    def _interactions(self) -> Iterator[Conclusion]:
        pairs = dict.fromkeys(i.parameters for figure in self.figures for i in figure.interactions)
        for pair in pairs:
            found = [
                (figure, i)
                for figure in self.figures
                for i in figure.interactions
                if i.parameters == pair
                and _interaction_is_told(i)
                and self._is_large(i.extremes.ratios[1] / i.extremes.ratios[0])
            ]
            if found:
                yield _interaction(*found[0], others=[label_of(figure) for figure, _ in found[1:]])
        for figure in self.figures:
            if figure.misfit is not None and figure.misfit.told:
                yield Conclusion(
                    f"Effects on {label_of(figure)} depend on three parameters or more together "
                    f"(Holm-corrected {p_text(figure.misfit.p_adjusted or 0.0)}): read combinations one by one.",
                    figure.name,
                    (),
                    "told",
                )

    def _small(self) -> Iterator[Conclusion]:
        """Sentence on effects that are told from noise and too small to be of interest."""
        for figure in self.figures[:1]:
            small = [e for e in figure.effects if is_told(e) and not self._is_large(e.contrast.ratio)]
            if small:
                listed = and_([f"{e.parameter} ({mark_of(figure)}{change(e.contrast.ratio)})" for e in small])
                yield Conclusion(
                    f"{listed} {'change' if len(small) > 1 else 'changes'} {label_of(figure)} by less than "
                    f"{percent(self.interest)}.",
                    figure.name,
                    tuple(e.parameter for e in small),
                    "told",
                )

    def _untold(self) -> Iterator[Conclusion]:
        """One sentence for the parameters of which no effect is told on any figure."""
        together = {
            name for f in self.figures for i in f.interactions if _interaction_is_told(i) for name in i.parameters
        }
        names = [
            name
            for name in self.names
            if name not in together
            and any(e.told is False for f in self.figures if (e := f.effect(name)) is not None)
            and not any(is_told(e) for f in self.figures if (e := f.effect(name)) is not None)
        ]
        if not names:
            return
        figures = [
            f for f in self.figures if any(e.told is False for name in names if (e := f.effect(name)) is not None)
        ]
        ps = [e.p_adjusted for f in figures for n in names if (e := f.effect(n)) and e.p_adjusted is not None]
        text = (
            f"No effect of {and_(names)} on {and_([label_of(f) for f in figures], 'or')} is told from the variation "
            f"between cycles (Holm-corrected {p_text(min(ps))}{' or more' * (max(ps) > min(ps))})."
        )
        lead = figures[0]
        if lead.needed is not None and lead.needed.parameter in names and self._is_large(lead.needed.ratio):
            many = "more than 100" if lead.needed.cycles is None else f"about {lead.needed.cycles}"
            text += (
                f" The largest step seen of {lead.needed.parameter} ({mark_of(lead)}{change(lead.needed.ratio)}) would take "
                f"{many} cycles to tell."
            )
        yield Conclusion(text, lead.name, tuple(names), "not told")


def is_told(effect: Effect) -> bool:
    """Told from noise, or the same in every cycle and not the same for every value."""
    return bool(effect.told) or (effect.reason == STEADY and effect.contrast.ratio != 1)


def _interaction_is_told(one: Interaction) -> bool:
    low, high = one.extremes.ratios
    return bool(one.told) or (one.reason == STEADY and not math.isclose(low, high, rel_tol=1e-9))


def contrast_text(figure: FigureAnalysis, effect: Effect) -> str:
    """`From 1 to 32 it falls by 83 % (0.52 to 0.09 J; 95 % interval of the change −84 % to −82 %).`"""
    contrast, mark = effect.contrast, mark_of(figure)
    parts = []
    if contrast.start_mean is not None and contrast.end_mean is not None:
        parts.append(f"{mark}{amount(contrast.start_mean)} to {mark}{amount(contrast.end_mean)} {figure.unit}")
    if contrast.ratio_interval is not None:
        parts.append(f"95 % interval of the change {change_span(contrast.ratio_interval)}")
    elif effect.reason == STEADY:
        parts.append("the same change in every cycle")
    if 0 < contrast.shared < contrast.combinations:
        parts.append(
            f"over the {contrast.shared} of {contrast.combinations} combinations of the rest that ran with both"
        )
    ends = f"From {as_written(contrast.start)} to {as_written(contrast.end)}"
    return f"{ends} it {_moves(contrast.ratio, mark)} ({'; '.join(parts)})."


def _moves(ratio: float, mark: str) -> str:
    if ratio >= 3:
        return f"rises {mark}{amount(ratio)}-fold"
    verb = "falls" if ratio < 1 else "rises"
    return f"{verb} by {mark}{percent(abs(ratio - 1))}"


def _interaction(figure: FigureAnalysis, one: Interaction, others: Sequence[str]) -> Conclusion:
    a, b = one.parameters
    found, mark = one.extremes, mark_of(figure)
    low, high = (
        f"{mark}{change(ratio)}{'' if interval is None else f' ({change_span(interval)})'}"
        for ratio, interval in zip(found.ratios, found.intervals, strict=True)
    )
    first, second = as_written(found.at[0]), as_written(found.at[1])
    text = (
        f"What {a} does to {label_of(figure)} depends on {b}: from {as_written(found.start)} to {as_written(found.end)} it "
        f"changes it by {low} where {b} is {first}, and by {high} where it is {second}."
    )
    text += f" So it does for {and_(others)}." if others else ""
    return Conclusion(text, figure.name, one.parameters, "told")


def _nearest(contrast: Contrast) -> float:
    """The smallest change that the interval holds, as a logarithm."""
    found = contrast.ratio_interval
    if found is None:
        return abs(math.log(contrast.ratio))
    return min(abs(math.log(found.low)), abs(math.log(found.high))) if _excludes_1(found) else 0.0


def _farthest(contrast: Contrast) -> float:
    found = contrast.ratio_interval
    if found is None:
        return abs(math.log(contrast.ratio))
    return max(abs(math.log(found.low)), abs(math.log(found.high)))


def _excludes_1(found: Interval) -> bool:
    return found.low > 1 or found.high < 1


def _same_step(effect: Effect, contrast: Contrast) -> tuple[float | None, Interval | None]:
    """The ratio of an effect's step between two values, in that direction, with its interval."""
    if (step := effect.step(contrast.start, contrast.end)) is not None:
        return step.ratio, step.interval
    if (step := effect.step(contrast.end, contrast.start)) is None:
        return None, None
    found = step.interval
    turned = None if found is None else Interval(1 / found.high, 1 / found.low, found.method, found.level)
    return 1 / step.ratio, turned
