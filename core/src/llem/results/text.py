"""Numbers, values, times and tables as text for people."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

NOTHING = "–"
"""Stands where nothing was measured; never a 0."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that move a cursor, recolour, retitle or turn text around, what some take for the end of a line, and halves of
surrogate pairs. A tab and the end of a line stay."""


def plain(text: str) -> str:
    """Text that tells a terminal nothing: each control character is written out, as JSON writes it (`\\u001b`)."""
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def decimals(value: float) -> int:
    """Number of decimals that show three to four significant digits of this value."""
    if value == 0 or not math.isfinite(value):
        return 0
    return max(0, min(9, 2 - math.floor(math.log10(abs(value)))))


def number(value: float | None, sd: float | None = None) -> str:
    """A figure with three significant digits at least; with its standard deviation in the same decimals."""
    if value is None:
        return NOTHING
    places = decimals(value)
    text = f"{value:,.{places}f}"
    return text if sd is None else f"{text} ± {sd:,.{places}f}"


def span(low: float, high: float) -> str:
    """An interval, `0.5271 … 0.5355`: with as many decimals as show its width in two digits."""
    places = decimals(max(abs(low), abs(high)))
    if high > low:
        places = max(places, min(9, 1 - math.floor(math.log10(high - low))))
    return f"{low:,.{places}f} … {high:,.{places}f}"


def value(data: Any) -> str:
    """A configured value as it would stand in YAML."""
    if data is None:
        return NOTHING
    if isinstance(data, bool):
        return "true" if data else "false"
    if isinstance(data, float):
        return f"{data:g}"
    if isinstance(data, dict):
        return ", ".join(f"{k}={value(v)}" for k, v in data.items())
    return "[" + ", ".join(value(v) for v in data) + "]" if isinstance(data, list) else str(data)


def counted(number: int, noun: str) -> str:
    """`1 experiment`, `2,000 experiments`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    whole = round(seconds)
    for size, big, small_size, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small_size
            return f"{whole // size} {big}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


PARAGRAPH = 1_000
"""Characters of a warning or a failure that are shown: its end says what to do, and is not to be cut."""


def one_line(text: str, limit: int = 200) -> str:
    """Text on one line, cut where it is long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def energy_text(figure: str, unit: str, scope: str | None, method: str | None, unreliable: bool) -> str:
    """A figure of energy that cannot be read without how it came about: `0.53 J (gpu counter)`, `~0.53 J (cpu estimate)`."""
    doubt = ", unreliable" if unreliable else ""
    return f"{'~' if method == 'estimate' else ''}{figure} {unit} ({scope} {method}{doubt})"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 0) -> str:
    """Lay out a table; the first `left` columns are left-aligned, the others right-aligned."""
    widths = [max(len(line[i]) for line in (headers, *rows)) for i in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()

    return "\n".join([line(headers), line(["─" * w for w in widths]), *map(line, rows)])
