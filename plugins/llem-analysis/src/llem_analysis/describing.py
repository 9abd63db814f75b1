"""Sentences of a study that ran once: what ran, and what it would take to tell more. Nothing is ranked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from llem_analysis.study_models import Conclusion, CyclesNeeded, FigureAnalysis
from llem_analysis.wording import amount, and_, change, counted, label_of, mark_of, percent

FIRST_RANGES = 2
"""Number of metrics in the first sentence, which a report shows by itself."""


def described(figures: Sequence[FigureAnalysis], interest: float) -> Iterator[Conclusion]:
    """Description of the runs, and the number of cycles that would tell the difference seen."""
    ranges = [text for figure in figures if (text := _range(figure))]
    first = figures[0]
    once = "Every configuration ran once" if first.values <= first.configurations else "Some configurations ran once"
    yield Conclusion(
        f"{once}, and one cycle ranks nothing. Over {counted(first.configurations, 'configuration')} "
        f"{and_(ranges[:FIRST_RANGES])}.",
        first.name,
        (),
        "no cycles",
    )
    needed = first.needed
    if needed is not None and abs(math.log(needed.ratio)) >= math.log1p(interest):
        yield Conclusion(_needed(first, needed), first.name, (needed.parameter,), "no cycles")
    if others := ranges[FIRST_RANGES:]:
        yield Conclusion(f"Besides, {and_(others)}.", first.name, (), "no cycles")


def _range(figure: FigureAnalysis) -> str | None:
    if figure.lowest is None or figure.highest is None:
        return None
    mark = mark_of(figure)
    return f"{label_of(figure)} was {mark}{amount(figure.lowest)} to {mark}{amount(figure.highest)} {figure.unit}"


def _needed(figure: FigureAnalysis, needed: CyclesNeeded) -> str:
    seen = f"a difference as large as the largest that was seen ({needed.parameter}: {mark_of(figure)}{change(needed.ratio)})"
    if needed.spread is None:
        return (
            f"How many cycles would tell {seen} depends on how much one configuration varies from cycle to cycle, which one "
            "cycle does not show. Run three (`--cycles 3`), or name an earlier study with cycles (`--pilot STUDY`)."
        )
    many = "more than 100 cycles" if needed.cycles is None else f"about {counted(needed.cycles, 'cycle')}"
    return f"To tell {seen} from noise takes {many}, if cycles vary by {percent(needed.spread)} as in {needed.source}."
