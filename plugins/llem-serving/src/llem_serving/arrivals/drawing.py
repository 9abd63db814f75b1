"""The arrivals of a load that waits for no answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from llem.plugin_api import ConfigError
from llem_serving.arrivals.limits import check_count
from llem_serving.arrivals.rates import Rate, StagedRate, SteadyRate
from llem_serving.arrivals.seeding import arrivals_stream
from llem_serving.arrivals.unit_rate import unit_times
from llem_serving.config import LoadConfig
from llem_serving.traces import Trace, read_trace


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Instants at which requests arrive.

    Attributes:
        t_ns: offsets from the start of the load (ns), ascending, all below the span that they were drawn for. Requests may
            arrive at the same instant.
        process: `constant`, `poisson`, `gamma` or `trace`.
        rate_rps: mean rate that was asked for over the span, silence after the last stage or the end of a trace included.
    """

    t_ns: NDArray[np.int64]
    process: Literal["constant", "poisson", "gamma", "trace"]
    rate_rps: float


def draw(
    load: LoadConfig, cycle: int, span_s: float, *, base_dir: str | Path = ".", trace: Trace | None = None
) -> Arrivals:
    """Draw arrivals. The same seed and cycle give the same unit-rate process: at twice the rate the times are halved, and a
    longer span only appends to them.

    Args:
        load: the section; not one of `concurrency`.
        cycle: which repetition, from 1; each draws its own.
        span_s: how long requests arrive (s).
        base_dir: the folder that a relative `load.trace` starts from.
        trace: recorded arrivals where they have been read already, whatever `load.trace` is.

    Raises:
        ConfigError: more than `MOST_ARRIVALS`, a load that does not arrive by itself, or a trace without a file.
        DatasetError: the trace cannot be read.
    """
    if not (math.isfinite(span_s) and span_s >= 0):
        raise ValueError(f"no span: {span_s}")
    if load.arrival == "trace":
        return _recorded(load, span_s, trace or _read(load, base_dir))
    rate: Rate
    if load.stages is not None:
        rate = StagedRate(load.stages)
        mean_rps = rate.count(span_s) / span_s if span_s else 0.0
    elif load.rate_rps is not None:
        rate, mean_rps = SteadyRate(load.rate_rps), load.rate_rps
    else:
        raise ConfigError(
            "a load of users has no arrivals of its own: each user's next request follows an answer.",
            where="load.concurrency",
            remedy="Give load.rate_rps, load.stages or load.trace in its place.",
        )
    check_count(rate.count(span_s), mean_rps, span_s)
    found: list[NDArray[np.int64]] = []
    held = 0
    for unit in unit_times(load.arrival, load.cv, arrivals_stream(load.seed, cycle)):
        reached = rate.times_s(unit)
        found.append(_within(reached, span_s))
        held += len(found[-1])
        check_count(held, mean_rps, span_s)
        if len(found[-1]) < len(unit):
            break
    return Arrivals(np.concatenate(found), load.arrival, mean_rps)


def _recorded(load: LoadConfig, span_s: float, trace: Trace) -> Arrivals:
    t_ns = _within(trace.arrival_s * load.time_scale, span_s)
    rate_rps = len(t_ns) / span_s if span_s else 0.0
    check_count(len(t_ns), rate_rps, span_s)
    return Arrivals(t_ns, "trace", rate_rps)


def _read(load: LoadConfig, base_dir: str | Path) -> Trace:
    if load.trace is None:
        raise ConfigError("no file of recorded arrivals is named.", where="load.trace", remedy="Set it to the file.")
    return read_trace(Path(base_dir, Path(load.trace).expanduser()), load.trace_format)


def _within(times_s: NDArray[np.float64], span_s: float) -> NDArray[np.int64]:
    """Whole nanoseconds below the span. Times are ascending, so that what is cut off is their end."""
    t_ns = np.rint(times_s[times_s < span_s] * 1e9)
    return t_ns[t_ns < span_s * 1e9].astype(np.int64)
