"""The picture of engines under load in the documentation: energy and latency against the rate that was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAMES = {"pytorch": "pytorch", "vllm": "vllm over HTTP", "openai": "llama.cpp's server"}
COLOURS = {"pytorch": "#3b6ea8", "vllm": "#c4622d", "openai": "#5b8c5a"}
PANELS = {"j_per_good_token": "estimated J per good token", "ttft_s_p50": "time to first token, median (s)"}
KEPT = 0.9
"""Share of requests that keep the objectives from which on a point is filled."""


def curves(found: Mapping[str, Any], quantity: str) -> dict[str, list[tuple[float, float, float]]]:
    """Of each engine rate, value and attainment, by ascending rate."""
    values = {key: figure["value"] for key, figure in found["figures"].items()}
    told: dict[str, list[tuple[float, float, float]]] = {}
    for key, value in values.items():
        if place := re.fullmatch(rf"(\w+?)_([\d.]+)rps_{quantity}", key):
            engine, rate = place.groups()
            told.setdefault(engine, []).append((float(rate), value, values[f"{engine}_{rate}rps_attainment"]))
    return {engine: sorted(points) for engine, points in told.items()}


def draw(found: Mapping[str, Any], file: Path) -> None:
    """Draw the results of the benchmark, a panel for each quantity."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Drawing

    mpl.rcParams.update({"svg.hashsalt": "llem", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    drawing = Drawing(figsize=(7.4, 2.9), layout="constrained")
    panels = drawing.subplots(1, len(PANELS))
    for axis, (quantity, label) in zip(panels, PANELS.items(), strict=True):
        for engine, points in curves(found, quantity).items():
            rates, values, _ = zip(*points, strict=True)
            axis.plot(rates, values, "-", lw=1.2, color=COLOURS[engine])
            for rate, value, share in points:
                filling = COLOURS[engine] if share >= KEPT else "white"
                axis.plot(rate, value, "o", ms=5, color=COLOURS[engine], mfc=filling)
            axis.plot([], [], "o-", ms=5, lw=1.2, color=COLOURS[engine], label=NAMES[engine])
        axis.set(xscale="log", ylim=(0, None), xlabel="requests/s asked", ylabel=label)
        axis.set_xticks(ticks := sorted({p[0] for c in curves(found, quantity).values() for p in c}))
        axis.set_xticklabels([f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    panels[-1].legend(frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
