"""Draws a study's two main figures, one bar for each configuration: `python -m docs.picture STUDY_DIR FILE.svg`.

Bars are means over the cycles; whiskers are the sample standard deviation, where there are two cycles or more.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from llem.results.rows import study_rows
from llem_analysis.configurations import Configuration, summarise

PANELS = (
    ("tokens_per_s", "output tokens per second", "#3b6ea8"),
    ("j_per_output_token", "joules per output token", "#c4622d"),
)


def label(configuration: Configuration) -> str:
    """The name that distinguishes a configuration: the swept keys without their section."""
    values = (f"{key.rpartition('.')[2]} {value}" for key, value in configuration.point.items())
    return ", ".join(values) or str(configuration.model)


def draw(study: Path, file: Path) -> None:
    """Draw the study's configurations in order of energy; raises ValueError where none has both figures."""
    names = [name for name, _, _ in PANELS]
    shown = [c for c in summarise(study_rows(study)) if all(name in c.figures for name in names)]
    if not shown:
        raise ValueError(f"{study}: no configuration has both speed and energy")
    shown.sort(key=lambda c: c.figures["j_per_output_token"].mean, reverse=True)
    mpl.rcParams.update(
        {
            "svg.hashsalt": "llem",
            "svg.fonttype": "none",
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    drawing = Drawing(figsize=(8, 0.6 + 0.42 * len(shown)), layout="constrained")
    axes: list[Axes] = list(drawing.subplots(1, len(PANELS), sharey=True))
    for axis, (name, title, colour) in zip(axes, PANELS, strict=True):
        figures = [c.figures[name] for c in shown]
        axis.barh(
            [label(c) for c in shown],
            [f.mean for f in figures],
            xerr=[f.sd or 0.0 for f in figures] if any(f.sd for f in figures) else None,
            color=colour,
            height=0.6,
        )
        axis.set_xlim(left=0)
        axis.grid(axis="x", alpha=0.3)
        axis.set_axisbelow(True)
        methods = {c.method for c in shown} if name == "j_per_output_token" else set()
        scopes = {c.scope for c in shown}
        note = (
            f" ({', '.join(sorted(filter(None, scopes)))}, {', '.join(sorted(filter(None, methods)))})"
            if methods
            else ""
        )
        axis.set_xlabel(title + note)
    file.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m docs.picture STUDY_DIR FILE.svg")
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
