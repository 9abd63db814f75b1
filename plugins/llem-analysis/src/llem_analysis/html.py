"""Small tables for notebooks: escaped, of bounded size, in the notebook's own colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

MOST_ROWS = 20
"""Number of rows that are shown; of more the rest is counted."""

MOST_NOTES = 10

LONGEST_CELL = 200


def block(title: str, *parts: str) -> str:
    """The display of one object: a line in bold, and its parts below."""
    return f"<div><p><b>{text(title)}</b></p>{''.join(parts)}</div>"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, total: int | None = None) -> str:
    """A table.

    Args:
        rows: at most `MOST_ROWS` are shown.
        left: so many columns are of words, and aligned left; the others are figures.
        total: how many rows there are, where not all are given.
    """

    def line(tag: str, cells: Sequence[str]) -> str:
        aligned = ("left" if i < left else "right" for i in range(len(cells)))
        return "".join(f'<{tag} style="text-align:{a}">{text(c)}</{tag}>' for a, c in zip(aligned, cells, strict=True))

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows[:MOST_ROWS])
    more = (len(rows) if total is None else total) - min(len(rows), MOST_ROWS)
    rest = f"<p>… and {more:,} more</p>" if more > 0 else ""
    return f"<table><thead><tr>{line('th', headers)}</tr></thead><tbody>{body}</tbody></table>{rest}"


def notes(found: Iterable[str]) -> str:
    """Remarks as a list; empty where there are none."""
    every = list(found)
    if not every:
        return ""
    items = "".join(f"<li>{text(note, limit=600)}</li>" for note in every[:MOST_NOTES])
    more = len(every) - MOST_NOTES
    return f"<ul>{items}{f'<li>… and {more:,} more</li>' if more > 0 else ''}</ul>"


def text(found: str, *, limit: int = LONGEST_CELL) -> str:
    """A text as it may stand in HTML, cut where it is long."""
    flat = " ".join(found.split())
    return escape(flat if len(flat) <= limit else f"{flat[: limit - 1]}…")
