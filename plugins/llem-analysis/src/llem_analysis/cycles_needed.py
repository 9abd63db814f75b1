"""Number of cycles that would tell a difference: power of the t test, from the spread of this study or of an earlier one."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from llem.plugin_api import MANIFEST, LlemError, MetricSpec
from llem_analysis.design import Configured, configured
from llem_analysis.loading import load_rows
from llem_analysis.metric_names import METRIC_SPECS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

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

    cycles = np.arange(2, MOST_CYCLES + 1, dtype=np.float64)
    missed = _missed(size * np.sqrt(cycles), (configurations - 1) * (cycles - 1), 0.05 / tests / 2)
    return _first(cycles, missed)


def cycles_against(
    distances: Sequence[float], sd: float, against: int, fewest: int, error: float, tests: int = 1
) -> int | None:
    """The fewest cycles of one side that, with so many of the other, tell in 80 % of studies; None above 100.

    Args:
        distances: logarithms, above 0, by which the truth lies away from each limit that has to be told from it.
        sd: of one run's logarithm, the same on both sides.
        against: cycles of the other side, which stay as they are.
        fewest: cycles at the least.
        error: of each test, one-sided.
        tests: over how many Holm's correction goes at the worst.
    """
    import numpy as np

    cycles = np.arange(fewest, MOST_CYCLES + 1, dtype=np.float64)
    if not cycles.size or against < 2:
        return None
    if sd <= 0:
        return fewest
    spread = sd * np.sqrt(1 / against + 1 / cycles)
    missed = sum(_missed(distance / spread, against + cycles - 2, error / tests) for distance in distances)
    return _first(cycles, np.asarray(missed))


def _missed(away: Floats, df: Floats, error: float) -> Floats:
    """The share of one-sided t tests that do not tell a difference of so many standard errors."""
    import numpy as np
    from scipy.special import nctdtr, stdtrit

    limit = stdtrit(df, 1 - error)
    # Far out the noncentral t has no value, and nothing of it lies below the limit.
    found: Floats = np.where(away > limit + 30, 0.0, nctdtr(df, np.minimum(away, limit + 30), limit))
    return found


def _first(cycles: Floats, missed: Floats) -> int | None:
    import numpy as np

    enough = np.nonzero(missed <= 1 - POWER)[0]
    return int(cycles[enough[0]]) if enough.size else None


def pooled_spread(groups: Sequence[Sequence[float]]) -> float | None:
    """Standard deviation within groups, pooled; None where none has two values."""
    squares = [(statistics.variance(one) * (len(one) - 1), len(one) - 1) for one in groups if len(one) > 1]
    df = sum(count for _, count in squares)
    return math.sqrt(math.fsum(square for square, _ in squares) / df) if df else None


def spread_of_study(configurations: Sequence[Configured], column: str, source: str) -> Spread | None:
    """The spread of a figure from cycle to cycle, pooled over configurations; None where none has two values."""
    squares, df = 0.0, 0
    for one in configurations:
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
        self._loaded: list[tuple[str, Sequence[Configured]]] = []
        self._left: Iterator[tuple[str, Sequence[Configured]]] | None = None

    def spread(self, spec: MetricSpec) -> Spread | None:
        """Of one figure: the pilot's, or that of the latest study in the same folder that repeated its experiments."""
        for name, configurations in self._studies():
            if (found := spread_of_study(configurations, spec.column, name)) is not None:
                return found
        return None

    def _studies(self) -> Iterator[tuple[str, Sequence[Configured]]]:
        """Each is read when those before it did not tell."""
        yield from list(self._loaded)
        if self._left is None:
            self._left = self._load()
        for one in self._left:
            self._loaded.append(one)
            yield one

    def _load(self) -> Iterator[tuple[str, Sequence[Configured]]]:
        if self._pilot is not None:
            yield self._pilot.name, configured(load_rows(self._pilot, METRIC_SPECS.values()))
            return
        here = self._folder.resolve()
        if not here.is_dir():
            return
        beside = [one for one in here.parent.iterdir() if one != here and (one / MANIFEST).is_file()]
        beside.sort(key=lambda one: one.stat().st_mtime, reverse=True)
        for one in beside[:_MOST_STUDIES]:
            try:
                found = configured(load_rows(one, METRIC_SPECS.values()))
            except (LlemError, OSError):
                continue  # a neighbour that cannot be read tells nothing
            yield one.name, found
