"""Sentences on matched configurations of two studies: what makes the comparison unsound, and the warnings of their runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from llem_analysis.comparability import objections
from llem_analysis.comparison_input import Compared
from llem_analysis.telling import tellings
from llem_analysis.wording import counted


def doubts(
    sides: Sequence[tuple[Compared, Compared]], columns: Collection[str], words: tuple[str, str]
) -> Iterator[str]:
    """The sentences, some of them more than once.

    Args:
        columns: of the figures that are judged.
        words: what the two studies are called.
    """
    for base, other in sides:
        same = base.study.resolve() == other.study.resolve()
        yield from (one.text for one in objections(base.result, other.result, same_study=same))
    for place, word in enumerate(words):
        rows = {id(row): row for both in sides for row in both[place].candidate.rows}
        for one in tellings(rows.values(), columns):
            if one.weight != "inform":
                yield f"of the {word} {one.runs} of {counted(one.of, 'run')} {one.text}."
