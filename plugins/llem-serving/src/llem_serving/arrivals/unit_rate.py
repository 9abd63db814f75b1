"""Processes of arrival at unit rate: the times of arrivals where the mean gap is 1.

A rate, or stages of rates, only change the scale of time (see `llem_serving.arrivals.rates`). Times are drawn in blocks of
one fixed size, so that they do not depend on how many are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Process = Literal["constant", "poisson", "gamma"]

_BLOCK = 65_536

_LEAST_CV = 1e-8
"""Gaps that vary by less are taken as varying by this much, which no clock shows; the shape of a smaller one would be infinite."""


def unit_times(process: Process, cv: float, stream: Generator) -> Iterator[NDArray[np.float64]]:
    """Blocks of ascending times without end; the first time is one gap after 0.

    Args:
        process: `constant` has gaps of 1, `poisson` exponential ones of mean 1, `gamma` ones of shape 1/cv² and scale cv²
            (mean 1, coefficient of variation cv).
        cv: of gamma; 1 gives the same times as poisson.
        stream: what is drawn from; `constant` draws nothing.
    """
    if process == "constant":
        # From the index, not by adding gaps: nothing accumulates.
        first = 1
        while True:
            yield np.arange(first, first + _BLOCK, dtype=np.float64)
            first += _BLOCK
    gaps, start = _gaps(process, cv, stream), 0.0
    while True:
        times = start + np.cumsum(gaps())
        yield times
        start = float(times[-1])


def _gaps(process: Process, cv: float, stream: Generator) -> Callable[[], NDArray[np.float64]]:
    if process == "poisson" or cv == 1:
        return lambda: stream.standard_exponential(_BLOCK)
    shape = max(cv, _LEAST_CV) ** -2
    return lambda: stream.standard_gamma(shape, _BLOCK) / shape
