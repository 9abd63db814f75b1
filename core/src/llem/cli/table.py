"""Tables for people: aligned columns of plain text."""

from __future__ import annotations

from collections.abc import Sequence

from llem.results.text import NOTHING, number, one_line, span, value

__all__ = ["NOTHING", "number", "one_line", "span", "table", "value"]


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 0) -> str:
    """Lay out a table; the first `left` columns are left-aligned, the others right-aligned."""
    widths = [max(len(line[i]) for line in (headers, *rows)) for i in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()

    return "\n".join([line(headers), line(["─" * w for w in widths]), *map(line, rows)])
