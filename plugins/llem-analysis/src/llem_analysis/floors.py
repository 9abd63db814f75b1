"""A floor under a figure: so much, or so great a share of what a reference configuration has, as MLPerf asks of accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llem.plugin_api import ConfigError, ResultError
from llem_analysis.candidates import Candidate, has_settings
from llem_analysis.wording import amount


@dataclass(frozen=True)
class Floor:
    """At least so much of a figure.

    Attributes:
        bound: the least value; with `relative` the least share of the reference's.
        reference: settings that tell the reference, `KEY=VALUE,…`; None for the configuration that has most of the figure.
    """

    figure: str
    bound: float
    relative: bool = False
    reference: str | None = None

    def of(self, found: Sequence[Candidate], where: str) -> tuple[float, str]:
        """The least value among these configurations, and a sentence on where it comes from.

        Raises:
            ConfigError: no configuration, or several, have the reference's settings.
            ResultError: the reference lacks the figure.
        """
        if not self.relative:
            return self.bound, ""
        among = [one for one in found if self.reference is None or has_settings(one, self.reference)]
        if self.reference is not None and len(among) != 1:
            raise ConfigError(
                f"{len(among) or 'no'} configuration{'s have' if len(among) > 1 else ' has'} the settings `{self.reference}`.",
                where=where,
                remedy=f"Name one by all its settings, such as {found[0].label}.",
            )
        having = [one for one in among if self.figure in one.figures]
        if not having:
            who = "no configuration" if self.reference is None else f"the reference, {among[0].label},"
            raise ResultError(
                f"{who} has {'an' if self.reference is None else 'no'} {self.figure}.",
                where=where,
                remedy="Measure it there too, or name another reference.",
            )
        first = max(having, key=lambda one: one.figures[self.figure].mean)
        value = first.figures[self.figure].mean
        return self.bound * value, f"{self.figure}: at least {self.bound:g} of {amount(value)}, that of {first.label}"


def floor_of(figure: str, words: str, reference: str | None) -> Floor:
    """A floor in words: `0.6`, or `99%` of the reference. Raises ConfigError where it is something else."""
    text = words.strip()
    relative = text.endswith("%")
    try:
        value = float(text.rstrip("%").strip())
    except ValueError:
        value = math.nan
    bound = value / 100 if relative else value
    if not 0 < bound <= 1:
        raise ConfigError(
            f"`{words}` is no share of answers.",
            remedy="Write a share such as 0.6, or 99% for that part of what the reference has.",
        )
    if reference is not None and not relative:
        raise ConfigError(
            "a reference was named, and the floor does not depend on one.",
            remedy="Write the floor in percent, or name none.",
        )
    return Floor(figure, bound, relative, reference)


def told(floors: Sequence[Floor], found: Sequence[Candidate], where: str) -> Iterator[tuple[str, float, str]]:
    """Of each floor the figure, its least value, and the sentence on it."""
    for one in floors:
        bound, sentence = one.of(found, where)
        yield one.figure, bound, sentence
