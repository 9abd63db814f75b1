"""Numbers and values in sentences: three significant digits, signed changes, values as in YAML."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llem_analysis.intervals import Interval

if TYPE_CHECKING:
    from llem_analysis.study_models import FigureAnalysis

ESTIMATE = "~ is an estimate (CPU utilisation times rated power), not a measurement."
"""Said below figures of which some have the mark."""

MINUS = "\N{MINUS SIGN}"


def amount(value: float) -> str:
    """Three significant digits at least: `0.0873`, `12.3`, `1,234`."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    places = max(0, min(9, 2 - math.floor(math.log10(abs(value)))))
    return f"{value:,.{places}f}".replace("-", MINUS)


def percent(share: float) -> str:
    """`83 %`, `0.4 %`, `0 %`; `99.6 %` is not rounded up to the whole, nor `0.01 %` down to nothing."""
    found = share * 100
    if 0 < abs(found) < 0.05:
        return "< 0.1 %"
    if 99.95 <= found < 100:
        return "> 99.9 %"
    places = 0 if found == 0 or 1 <= abs(found) <= 99 or abs(found) >= 100 else 1
    return f"{found:.{places}f} %".replace("-", MINUS)


def change(ratio: float, places: int | None = None) -> str:
    """A ratio as a change: 0.2 is `−80 %`, 1.5 is `+50 %`, 12 is `×12`; `places` are decimals of the percentage."""
    if ratio >= 3:
        return f"×{amount(ratio)}"
    found = (ratio - 1) * 100
    if places is None:
        places = 0 if abs(found) >= 1 else 1
    if 0 < ratio < 0.01:  # nothing that is left of a figure is rounded away: 0.002 is −99.8 %
        places = max(places, math.ceil(-math.log10(ratio)) - 2)
    text = f"{abs(found):.{places}f}"
    sign = "±" if not float(text) else MINUS if found < 0 else "+"
    return f"{sign}{text} %"


def change_span(found: Interval) -> str:
    """An interval of ratios: `−84 % to −82 %`, with as many decimals as its width shows.

    Figures are never below 0, so neither are their ratios: an interval that few values make wider ends at −100 %.
    """
    width = abs(found.high - found.low) * 100
    places = max(0, min(2, math.ceil(-math.log10(width)) if width else 0))
    return f"{change(max(0.0, found.low), places)} to {change(found.high, places)}"


def p_text(p: float) -> str:
    """`p < 0.001`, `p = 0.03`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def as_written(value: Any) -> str:
    """A configured value as in YAML; several keys as `key: value, …`."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{key}: {as_written(v)}" for key, v in value.items())
    return json.dumps(value, ensure_ascii=False)


def counted(n: int, word: str) -> str:
    """`1 run`, `3 runs`."""
    return f"{n:,} {word}{'s' * (n != 1)}"


def and_(names: Sequence[str], word: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def label_of(figure: FigureAnalysis) -> str:
    """Name of a figure; `estimated …` where it is."""
    return f"estimated {figure.label}" if figure.estimated else figure.label


def mark_of(figure: FigureAnalysis) -> str:
    """`~` before numbers that are estimated."""
    return "~" if figure.estimated else ""
