"""One figure as a file: PNG, SVG or PDF, drawn without a browser and without the network."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from llem.plugin_api import PluginError, ResultError
from llem_report.charts.style import PRINT_SCALE, THEMES, TOTAL, Theme

if TYPE_CHECKING:
    from llem_report.charts.drawn import Drawn

Format = Literal["png", "svg", "pdf"]

DPI = 300
"""Of PNG, at the size in print."""


def require_extra() -> None:
    """Raise PluginError where what a report is made with is not installed."""
    try:
        import numpy
        import scipy
        import vl_convert
    except ImportError as error:
        raise PluginError(
            f"a report needs numpy, scipy and vl-convert-python ({error}).", remedy="pip install 'llem[report]'"
        ) from error
    del numpy, scipy, vl_convert


def themed(spec: dict[str, Any], theme: Theme) -> dict[str, Any]:
    """A document with a theme's colours in place of their names, on the theme's background."""
    colours = THEMES[theme]
    text = re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], json.dumps(spec))
    found: dict[str, Any] = json.loads(text)
    return {**found, "background": colours["bg"]}


def rendered(drawn: Drawn, form: Format, theme: Theme = "light") -> bytes:
    """The file's content, exactly as wide as the column in print that it was drawn for (see `llem_report.charts.style`).

    Raises:
        ResultError: there is nothing to draw.
        PluginError: vl-convert, numpy or scipy is not installed.
    """
    if drawn.spec is None:
        raise ResultError(f"there is no figure `{drawn.name}`: {drawn.why_not}")
    require_extra()
    import vl_convert

    svg = _as_wide_as(TOTAL[drawn.width], vl_convert.vegalite_to_svg(themed(drawn.spec, theme)))
    if form == "svg":
        return _in_points(svg, "pt").encode()
    if form == "png":
        png: bytes = vl_convert.svg_to_png(svg, scale=PRINT_SCALE, ppi=DPI)
        return png
    pdf: bytes = vl_convert.svg_to_pdf(_in_points(svg, ""))  # a PDF's own unit is the point
    return pdf


def save(drawn: Drawn, path: Path, form: Format, theme: Theme = "light") -> None:
    """Write a figure's file, whole or not at all. Raises as `rendered`, and OSError where it cannot be written."""
    content = rendered(drawn, form, theme)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _as_wide_as(total: int, svg: str) -> str:
    """An SVG of that width in pixels: room at both sides of what is narrower, as text is; what is wider is scaled down."""
    head, end, rest = svg.partition(">")
    found = re.search(r'width="([\d.]+)" height="([\d.]+)" viewBox="0 0 ', head)
    if found is None:
        raise ResultError(
            "vl-convert wrote an SVG without its size.", remedy="Install the version that llem[report] asks for."
        )
    own, height = float(found[1]), float(found[2])
    seen = max(own, float(total))
    side = (seen - own) / 2
    size = f'width="{total}" height="{height * total / seen:g}" viewBox="{-side:g} 0 {seen:g} {height:g}"'
    head = re.sub(r'width="[\d.]+" height="[\d.]+" viewBox="[^"]*"', size, head)
    background = f'<rect x="{-side:g}" width="{seen:g}"'
    return head + end + re.sub(r'^<rect width="[\d.]+"', background, rest, count=1)


def _in_points(svg: str, unit: str) -> str:
    """An SVG whose width and height are those in print; what is in it scales along by its `viewBox`."""

    def points(found: re.Match[str]) -> str:
        return f'{found[1]}="{float(found[2]) * PRINT_SCALE:.1f}{unit}"'

    head, end, rest = svg.partition(">")
    return re.sub(r'\b(width|height)="([\d.]+)"', points, head) + end + rest
