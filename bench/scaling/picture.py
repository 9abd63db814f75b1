"""Draws how costs grow with the size of a study: `python -m bench.scaling.picture bench/results/scale.json FILE.svg`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.scaling.fit import exponent, size_of

LINES = (
    ("expand", "expansion and plan", "#3b6ea8", "o"),
    ("dispatch", "dispatch", "#c4622d", "s"),
    ("bookkeeping", "bookkeeping", "#4a8f4a", "^"),
    ("query", "llem show", "#7a5ba8", "D"),
)
"""Figure, what it is called, and how it is drawn."""


def costs(figures: Mapping[str, Mapping[str, Any]], name: str) -> dict[int, float]:
    """Size to seconds for the whole study, of one kind of cost; those per experiment are multiplied out."""
    found = {}
    for key, figure in figures.items():
        match = re.fullmatch(rf"{name}_(\d+[km]?)_(s|ms)", key)
        if match:
            size = size_of(match[1])
            found[size] = figure["value"] * (size / 1e3 if match[2] == "ms" else 1.0)
    return dict(sorted(found.items()))


def draw(data: Mapping[str, Any], file: Path) -> None:
    """Draw a result of `bench.scale`. Raises ValueError where it has a cost at fewer than two sizes."""
    import matplotlib as mpl  # here, since every process of the tests reads this module, and one draws
    from matplotlib.figure import Figure as Drawing

    mpl.rcParams.update(
        {
            "svg.hashsalt": "llem",
            "svg.fonttype": "none",
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    drawing = Drawing(figsize=(7, 4.2), layout="constrained")
    axis = drawing.subplots()
    sizes_run = costs(data["figures"], "bookkeeping")  # expansion alone was also measured at a size that was not run
    for name, called, colour, marker in LINES:
        points = {n: cost for n, cost in costs(data["figures"], name).items() if n in sizes_run}
        if len(points) < 2:
            raise ValueError(f"{name} was measured at fewer than two sizes")
        sizes, seconds = list(points), list(points.values())
        text = f"{called}  ~ n^{exponent(points):.2f}"
        axis.plot(sizes, seconds, color=colour, marker=marker, linewidth=1.4, label=text)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("experiments in the study")
    axis.set_ylabel("seconds for the whole study")
    axis.grid(alpha=0.3, which="both")
    axis.set_axisbelow(True)
    axis.legend(frameon=False)
    axis.set_title(f"{data['machine']['cpu']}, {data['machine']['cores']} cores", fontsize=9)
    file.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m bench.scaling.picture RESULT.json FILE.svg")
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
