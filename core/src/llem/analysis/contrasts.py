"""The mean at each value of a parameter, its worst value against its best, and the test that there is a difference."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llem.analysis import resampling, student
from llem.analysis.comparison import Moments, fieller
from llem.analysis.effect_models import Contrast, FigureAnalysis, Level, Parameter
from llem.analysis.intervals import BOOTSTRAP_FROM, LEVEL, Interval
from llem.analysis.resampling import Cycles
from llem.analysis.space import Term

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def levels_and_contrast(
    head: FigureAnalysis,
    parameter: Parameter,
    term: Term,
    column: NDArray[np.int64],
    cycles: Cycles,
    moved: Floats | None,
    seed: int,
) -> tuple[tuple[Level, ...], Contrast]:
    """The means of one parameter's values, and worst against best.

    Intervals are by bootstrap where every value that is compared has 6 runs or more, else by t with Satterthwaite's degrees
    of freedom: fewer runs than that give a bootstrap no room (see docs/method/statistics.md).

    Args:
        column: the value index of each configuration.
        moved: as `resampling.deviations` gives it; None where cycles tell nothing, and there is no interval.
        seed: with which that was drawn.
    """
    import numpy as np

    means = term.means @ cycles.means
    log = head.scale == "log"
    runs = {cell[0]: int(cycles.counts[column == cell[0]].sum()) for cell in term.cells}
    worst = int(np.argmax(means) if head.better == "lower" else np.argmin(means))
    best = int(np.argmin(means) if head.better == "lower" else np.argmax(means))
    pairs = len(means) * (len(means) - 1) // 2
    level = 1 - (1 - LEVEL) / pairs
    rows = [*term.means, term.means[best] - term.means[worst]]
    enough = all(count >= BOOTSTRAP_FROM for count in runs.values())
    drawn = np.array(rows) @ moved if moved is not None and enough else None
    found = []
    for i, cell in enumerate(term.cells):
        interval = _interval(rows[i], float(means[i]), cycles, drawn[i] if drawn is not None else None, seed, LEVEL)
        found.append(
            Level(
                value=parameter.values[cell[0]],
                mean=_back(float(means[i]), log),
                interval=_back_interval(interval if moved is not None else None, log),
                configurations=int((column == cell[0]).sum()),
                values=runs[cell[0]],
            )
        )
    difference = float(means[best] - means[worst])
    high, low = _back(float(means[worst]), log), _back(float(means[best]), log)
    contrast = Contrast(
        worst=parameter.values[term.cells[worst][0]],
        best=parameter.values[term.cells[best][0]],
        worst_mean=high,
        best_mean=low,
        difference=low - high,
        ratio=low / high if high else None,
    )
    if moved is None or worst == best:
        return tuple(found), contrast
    own = _interval(rows[-1], difference, cycles, drawn[-1] if drawn is not None else None, seed, level)
    if log:
        return tuple(found), replace(contrast, ratio_interval=_back_interval(own, log))
    ratio = _ratio(term.means[worst], term.means[best], cycles, drawn, (worst, best), seed, level)
    return tuple(found), replace(contrast, difference_interval=own, ratio_interval=ratio)


def f_test(term: Term, cycles: Cycles) -> float | None:
    """P of the F test that a term's effects are all 0, against the variation between cycles; None where there is none."""
    import numpy as np
    from scipy import stats

    if not cycles.pooled:
        return None
    effects = term.effects @ cycles.means
    covariance = (term.effects * (cycles.pooled / cycles.counts)) @ term.effects.T
    rank = math.prod(len({cell[place] for cell in term.cells}) - 1 for place in range(len(term.members)))
    statistic = float(effects @ np.linalg.pinv(covariance, hermitian=True) @ effects) / rank
    return float(stats.f.sf(statistic, rank, cycles.df))


def _interval(row: Floats, value: float, cycles: Cycles, drawn: Any, seed: int, level: float) -> Interval | None:
    """Of one weighted sum of the configurations' means."""
    import numpy as np

    parts = row**2 * cycles.of_means
    df = resampling.satterthwaite(parts, cycles.counts)
    if not parts.sum() or not math.isfinite(df):
        return None
    if drawn is not None:
        cut = resampling.tail(df, level)
        low, high = np.quantile(drawn, [cut, 1 - cut])
        return Interval(
            value + float(low), value + float(high), "bootstrap", level, resamples=cycles.resamples, seed=seed
        )
    half = student.quantile(level, df) * math.sqrt(parts.sum())
    return Interval(value - half, value + half, "t", level)


def _ratio(
    base: Floats, other: Floats, cycles: Cycles, drawn: Any, places: tuple[int, int], seed: int, level: float
) -> Interval | None:
    import numpy as np

    first, second = float(base @ cycles.means), float(other @ cycles.means)
    variances = cycles.of_means
    df = resampling.satterthwaite((base**2 + other**2) * variances, cycles.counts)
    if not math.isfinite(df) or not first:
        return None
    if drawn is None:
        moments = Moments(
            first,
            second,
            float(base**2 @ variances),
            float(other**2 @ variances),
            float((base * other) @ variances),
            df,
        )
        return fieller(moments, level)
    bottom = first + drawn[places[0]]
    if float((bottom * first).min()) <= 0:
        return None
    cut = resampling.tail(df, level)
    low, high = np.quantile((second + drawn[places[1]]) / bottom, [cut, 1 - cut])
    return Interval(float(low), float(high), "bootstrap", level, resamples=cycles.resamples, seed=seed)


def _back(value: float, log: bool) -> float:
    return math.exp(value) if log else value


def _back_interval(found: Interval | None, log: bool) -> Interval | None:
    if found is None or not log:
        return found
    return replace(found, low=math.exp(found.low), high=math.exp(found.high))
