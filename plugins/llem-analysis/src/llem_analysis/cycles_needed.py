"""Number of cycles that would tell a difference: power of the t test, from the spread of this study or of an earlier one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from llem.plugin_api import MANIFEST, LlemError
from llem_analysis.design import configured
from llem_analysis.figures import FigureSpec
from llem_analysis.loading import load_rows

POWER = 0.8
"""The share of studies that tell the difference."""

MOST_CYCLES = 100

_MOST_STUDIES = 5
"""Number of earlier studies that are looked at, the latest first."""


@dataclass(frozen=True)
class Spread:
    """Spread of a figure from cycle to cycle of one configuration.

    Attributes:
        sd: standard deviation of its logarithm, which is that of the figure as a share of its mean where it is small.
        source: the study that it is from.
    """

    sd: float
    source: str


def cycles_for(log_ratio: float, sd: float, runs: float, configurations: int, tests: int) -> int | None:
    """The fewest cycles with which a difference is told in 80 % of studies; None above 100.

    Args:
        log_ratio: logarithm of the ratio.
        sd: of one run's logarithm.
        runs: variance of the difference with one cycle, in units of one run's.
        configurations: of the study, from which degrees of freedom follow: (configurations - 1) (cycles - 1).
        tests: over how many Holm's correction goes at the worst.
    """
    size = abs(log_ratio) / (sd * math.sqrt(runs)) if sd > 0 else math.inf
    if size == math.inf:
        return 2
    # Rounded, so that what differs by rounding alone is looked up.
    return _cycles_for(round(size, 2), configurations, tests)


@lru_cache(maxsize=4096)
def _cycles_for(size: float, configurations: int, tests: int) -> int | None:
    import numpy as np
    from scipy.special import nctdtr, stdtrit

    cycles = np.arange(2, MOST_CYCLES + 1)
    df = (configurations - 1) * (cycles - 1)
    away = size * np.sqrt(cycles)
    limit = stdtrit(df, 1 - 0.05 / tests / 2)
    # Far out the noncentral t has no value, and nothing of it lies below the limit.
    missed = np.where(away > limit + 30, 0.0, nctdtr(df, away, limit))
    enough = np.nonzero(missed <= 1 - POWER)[0]
    return int(cycles[enough[0]]) if enough.size else None


def spread_of_study(rows: Sequence[Mapping[str, Any]], column: str, source: str) -> Spread | None:
    """The spread from cycle to cycle in these rows, pooled over configurations; None where none has two values."""
    squares, df = 0.0, 0
    for one in configured(rows):
        logs = [math.log(v) for row in one.rows if (v := row.get(column)) is not None and v > 0]
        if len(logs) > 1:
            middle = math.fsum(logs) / len(logs)
            squares += math.fsum((x - middle) ** 2 for x in logs)
            df += len(logs) - 1
    return Spread(math.sqrt(squares / df), source) if df and squares > 0 else None


class EarlierStudies:
    """Studies that lie beside one, or the pilot that was named, for what they tell of spread."""

    def __init__(self, folder: Path, pilot: Path | None) -> None:
        self._folder, self._pilot = folder, pilot
        self._rows: list[tuple[str, list[dict[str, Any]]]] | None = None

    def spread(self, spec: FigureSpec) -> Spread | None:
        """Of one figure: the pilot's, or that of the latest study in the same folder that repeated its experiments."""
        if self._rows is None:
            self._rows = self._load()
        found = (spread_of_study(rows, spec.column, name) for name, rows in self._rows)
        return next((one for one in found if one is not None), None)

    def _load(self) -> list[tuple[str, list[dict[str, Any]]]]:
        if self._pilot is not None:
            return [(self._pilot.name, load_rows(self._pilot))]
        here = self._folder.resolve()
        if not here.is_dir():
            return []
        beside = [one for one in here.parent.iterdir() if one != here and (one / MANIFEST).is_file()]
        beside.sort(key=lambda one: one.stat().st_mtime, reverse=True)
        loaded = []
        for one in beside[:_MOST_STUDIES]:
            try:
                loaded.append((one.name, load_rows(one)))
            except (LlemError, OSError):
                continue  # a neighbour that cannot be read tells nothing
        return loaded
