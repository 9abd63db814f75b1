"""Columns of a CSV file by their names, one line at a time."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence


def split(line: str) -> list[str]:
    """The cells of a line.

    Raises:
        ValueError: quotes that do not end on it.
    """
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error as error:
        raise ValueError(f"it is no line of CSV ({error})") from error


def normal(name: str) -> str:
    """A column's name in the form by which columns are compared."""
    return name.strip().lower()


def column_picker(header: str, names: Sequence[str]) -> Callable[[str], list[str]]:
    """A function that takes a line and gives its cells in these columns.

    Args:
        header: the file's first line.
        names: of columns; others may stand between them.

    Raises:
        ValueError: a column is missing or there twice; the function raises it where a line has too few or too many cells.
    """
    columns = [normal(name) for name in split(header)]
    for name in names:
        if columns.count(normal(name)) != 1:
            raise ValueError(
                f"it has {columns.count(normal(name)) or 'no'} columns {name!r}; its columns are {header[:200]!r}"
            )
    places, width = [columns.index(normal(name)) for name in names], len(columns)

    def pick(line: str) -> list[str]:
        cells = split(line)
        if len(cells) != width:
            raise ValueError(f"it has {len(cells)} cells where the header has {width}")
        return [cells[place] for place in places]

    return pick
