"""The common part of every benchmark: its figures, the machine they were taken on, the table and the JSON."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

FEWEST = 6
"""Below so many runs no two of them hold the median with 95 % confidence, and a figure has no interval."""


@dataclass(frozen=True)
class Figure:
    """One figure: the median of `n` runs, and a 95 % interval of the median.

    The interval lies between two of the ordered runs, by the binomial distribution of how many of them are below the true
    median: it takes no shape of their noise for granted, and it shrinks with more runs, which their range does not.

    Attributes:
        value: median over the runs.
        unit: of value, interval and spread; `1` for a ratio.
        n: how many runs.
        spread: half of the interval's width; None for fewer than six runs.
        low, high: the interval; None likewise.
    """

    value: float
    unit: str
    n: int
    spread: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, runs: Sequence[float], unit: str) -> Figure:
        """The figure of these runs."""
        value, n = statistics.median(runs), len(runs)
        if n < FEWEST:
            return cls(value, unit, n)
        place = _depth(n)
        ordered = sorted(runs)
        low, high = ordered[place], ordered[n - 1 - place]
        return cls(value, unit, n, (high - low) / 2, low, high)


def _depth(n: int) -> int:
    """Number of n ordered runs that may lie outside of the interval at each end, so that it still holds the median by 95 %."""
    tail, depth = 0.0, 0
    while (tail := tail + math.comb(n, depth) / 2**n) <= 0.025:
        depth += 1
    return depth - 1


def machine() -> dict[str, object]:
    """The machine that the figures were taken on: processor, cores, memory, system, and the versions that matter."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.processor()
    )
    packages = {}
    for name in ("llem", "llem-pytorch", "torch", "transformers", "pydantic", "pyarrow"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_average_before": round(os.getloadavg()[0], 2),
        "packages": packages,
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer runs, under 50 s: shows that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures with the machine's description")
    return parser


def publish(name: str, where: dict[str, object], figures: dict[str, Figure], file: Path | None) -> None:
    """Print the table, each figure with the 95 % interval of its median, and write the JSON where a file is given."""
    width = max(map(len, figures))
    print(f"\n{name}  ({where['cpu']}, {where['cores']} cores, Python {where['python']})")
    for key, figure in figures.items():
        spread = "" if figure.spread is None else f"  ± {figure.spread:.3g}"
        spread = spread if figure.low is None else f"  [{figure.low:.4g}, {figure.high:.4g}]"
        unit = "" if figure.unit == "1" else f" {figure.unit}"
        print(f"  {key:<{width}}  {figure.value:.4g}{unit}{spread}  (n={figure.n})")
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        data = {"name": name, "machine": where, "figures": {key: asdict(figure) for key, figure in figures.items()}}
        file.write_text(json.dumps(data, indent=1) + "\n")
