"""The looks of all figures: sizes for print, colours by name, shapes and dashes beside colour.

Sizes are in pixels of a page; a file for print is `PRINT_SCALE` of that in points, which makes text 8 points high. Colours
are those of Okabe and Ito (Color Universal Design, 2008), told apart with any common colour vision, darkened where a thin line
on white needs it. Nothing is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from llem_analysis.wording import as_written

Theme = Literal["light", "dark"]
Width = Literal["single", "double"]

TOTAL: Mapping[Width, int] = {"single": 364, "double": 756}
"""Width of a whole figure in pixels."""

PRINT_SCALE = 2 / 3
"""Points in print for one pixel: 364 become 243 points (86 mm, one column), 756 become 504 (178 mm, two)."""

FONT_PX = 12
CHAR_PX = 6.3
"""Mean width of a character at `FONT_PX`."""

THEMES: Mapping[Theme, Mapping[str, str]] = {
    "light": {
        "bg": "#ffffff",
        "fg": "#1b1f24",
        "muted": "#57606a",
        "line": "#d5dae1",
        "grid": "#e4e8ed",
        "c1": "#0072b2",
        "c2": "#d55e00",
        "c3": "#009e73",
        "c4": "#b0508a",
        "c5": "#a87800",
        "c6": "#3a8fc7",
        "c7": "#5b5b5b",
    },
    "dark": {
        "bg": "#12161c",
        "fg": "#e6e9ee",
        "muted": "#a3adba",
        "line": "#38414d",
        "grid": "#2a323d",
        "c1": "#56b4e9",
        "c2": "#ff8a4a",
        "c3": "#2fc59a",
        "c4": "#e29bc9",
        "c5": "#e6b93c",
        "c6": "#8fd0ff",
        "c7": "#b8b8b8",
    },
}
"""Colours by name; the page's style sheet has the same."""

BG, FG, MUTED, LINE, GRID = (f"var(--{name})" for name in ("bg", "fg", "muted", "line", "grid"))
SERIES = tuple(f"var(--c{number})" for number in range(1, 8))
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-left")

PHASE_COLOURS: Mapping[str, str] = {
    "idle_baseline": SERIES[6],
    "load": SERIES[4],
    "resident_baseline": SERIES[3],
    "warmup": SERIES[2],
    "settle": SERIES[1],
    "window": SERIES[0],
    "close": LINE,
}
"""Phases in their order."""

PHASE_NAMES: Mapping[str, str] = {
    "idle_baseline": "idle",
    "load": "load",
    "resident_baseline": "resident",
    "warmup": "warm-up",
    "settle": "settle",
    "window": "measured window",
    "close": "close",
}


def document(view: Mapping[str, Any]) -> dict[str, Any]:
    """A whole Vega-Lite document of a view."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "background": "transparent",
        "padding": 4,
        **view,
        "config": _CONFIG,
    }


_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, Helvetica, sans-serif"
_CONFIG: dict[str, Any] = {
    "font": _FONT,
    "axis": {
        "labelColor": FG,
        "titleColor": FG,
        "labelFontSize": FONT_PX - 1,
        "titleFontSize": FONT_PX,
        "titleFontWeight": "normal",
        "domainColor": MUTED,
        "tickColor": MUTED,
        "gridColor": GRID,
        "titlePadding": 6,
    },
    "axisY": {"grid": False},
    "legend": {
        "labelColor": FG,
        "titleColor": FG,
        "labelFontSize": FONT_PX - 1,
        "titleFontSize": FONT_PX,
        "titleFontWeight": "normal",
        "labelLimit": 300,
    },
    "title": {"color": FG, "fontSize": FONT_PX, "fontWeight": "bold", "anchor": "start", "frame": "group", "offset": 6},
    "header": {"labelColor": FG, "titleColor": FG, "labelFontSize": FONT_PX},
    "view": {"stroke": None},
    "concat": {"spacing": 14},
}


def quantity(label: str, unit: str, *, estimated: bool = False) -> str:
    """An axis's title: what and in which unit; an estimate says so."""
    return f"{label}, {unit}{' (estimate)' if estimated else ''}"


NUMBER = ",.4~r"
"""Format of an axis's numbers: four significant digits at most, no exponent."""


def shortened(text: str, length: int) -> str:
    """At most so many characters, the middle left out: labels differ at both ends."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


def short_label(settings: Mapping[str, Any], label: str) -> str:
    """A configuration in few words: the key is left out where the value is a word that speaks for itself.

    Args:
        label: is taken where there are no settings, as in a study of one configuration.
    """
    parts = [
        value if isinstance(value, str) else f"{key.rpartition('.')[2]}={as_written(value)}"
        for key, value in settings.items()
    ]
    return ", ".join(parts) or label


def distinct_labels(labels: Sequence[str], length: int) -> list[str]:
    """Labels shortened as far as they still differ; those that would not are numbered."""
    short = [shortened(label, length) for label in labels]
    if len(set(short)) == len(set(labels)):
        return short
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels), start=1)}
    return [f"{numbers[label]}. {shortened(label, length - 4)}" for label in labels]


def label_width(labels: Sequence[str]) -> int:
    """Room that labels of an axis take, in pixels."""
    return int(max((len(label) for label in labels), default=0) * CHAR_PX) + 14


def labels_above(y: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    """A layer that writes each label above its row, where one column of a paper has no room beside it.

    Rows are then `ABOVE_PX` high, and their marks stand `BELOW_PX` lower.
    """
    return {
        "data": {"values": [{"label": label} for label in labels]},
        "mark": {"type": "text", "align": "left", "fontSize": FONT_PX - 1, "color": FG, "dy": -9},
        "encoding": {"y": y, "x": {"value": 0}, "text": {"field": "label"}},
    }


ABOVE_PX, BELOW_PX = 33, 7


def spans_decades(values: Sequence[float]) -> bool:
    """Tell whether an axis of these is better logarithmic: all above 0, the largest 12 times the smallest."""
    return bool(values) and min(values) > 0 and max(values) / min(values) >= 12
