"""The figures of one experiment, worked out from the rows of its tables.

It shares no code with what made them: numpy, and the definitions of the method's page. An import contract holds it to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

BEYOND_EDGES = 0.005
"""Share of an energy by which it may lie beyond what the readings beside the window's edges allow, as the method's page says."""

PERCENTILES = (50, 90, 95, 99)
FEWEST_BEYOND = 10
"""A percentile of the tail stands where so many values lie beyond it."""


@dataclass(frozen=True)
class Energy:
    """Joules of a device over the window, and how far a right figure can lie from them."""

    joules: float
    give: float


def by_counter(t_s: Numbers, joules: Numbers, window_s: float) -> Energy | None:
    """From a cumulative counter: its rise between the edges.

    At an edge the counter had at least what was read before it and at most what was read next, so the rise lies between two
    bounds. Readings may end right after the window: then the largest step between two readings is what could have followed.

    Args:
        t_s: times of the readings since the window opened, ascending; joules: NaN where it was not read.
    """
    read = ~np.isnan(joules)
    t_s, joules = t_s[read], joules[read]
    if len(t_s) < 2 or t_s[0] > 0 or t_s[-1] < window_s:
        return None
    step = float(np.max(np.diff(joules)))
    least, most = [], []
    for edge in (0.0, window_s):
        shown = float(joules[np.searchsorted(t_s, edge, side="right") - 1])
        higher = joules[(t_s > edge) & (joules > shown)]
        least.append(shown)
        most.append(float(higher[0]) if len(higher) else shown + step)
    low, high = least[1] - most[0], most[1] - least[0]
    return Energy((low + high) / 2, (high - low) / 2)


def by_power(t_s: Numbers, watts: Numbers, window_s: float) -> Energy | None:
    """From sampled power: the trapezoid over the readings, cut to the edges by interpolation."""
    read = ~np.isnan(watts)
    t_s, watts = t_s[read], watts[read]
    if len(t_s) < 2 or t_s[0] > 0 or t_s[-1] < window_s:
        return None
    inside = (t_s > 0) & (t_s < window_s)
    times = np.concatenate(([0.0], t_s[inside], [window_s]))
    curve = np.concatenate(([np.interp(0.0, t_s, watts)], watts[inside], [np.interp(window_s, t_s, watts)]))
    return Energy(float(np.sum(np.diff(times) * (curve[1:] + curve[:-1]) / 2)), 0.0)


@dataclass(frozen=True)
class Requests:
    """The rows of `requests.parquet`. NaN where a time was not seen.

    Attributes:
        itl_s: gaps of each request; None where they were not seen.
        window_tokens, inside: of a load that did not wait for answers; else None.
    """

    arrival_s: Numbers
    first_token_s: Numbers
    end_s: Numbers
    input_tokens: Numbers
    output_tokens: Numbers
    finish: Sequence[str | None]
    tpot_s: Numbers
    e2e_s: Numbers
    itl_s: Sequence[Numbers | None]
    window_tokens: Numbers | None = None
    inside: NDArray[np.bool_] | None = None


def counted(rows: Requests, window_s: float) -> dict[str, float | None]:
    """Requests, input and output tokens of the window; None where its rows cannot tell."""
    if rows.window_tokens is None:
        return {
            "requests": float(len(rows.output_tokens)),
            "input": float(np.nansum(rows.input_tokens)),
            "output": float(np.nansum(rows.output_tokens)),
        }
    # Of such a load prompts count with their first token and requests with their end, which the rows tell to the edge only.
    return {"requests": None, "input": None, "output": float(np.nansum(rows.window_tokens))}


def latencies(rows: Requests) -> dict[str, dict[str, float | None] | None]:
    """The distributions of TTFT, ITL, TPOT and end-to-end, from the times and gaps of the requests."""
    answered = np.array([finish in ("length", "stop") for finish in rows.finish], dtype=bool)
    if rows.inside is not None:
        answered &= rows.inside
    places = np.flatnonzero(answered)
    ttft = rows.first_token_s[places] - rows.arrival_s[places]
    several = [int(place) for place in places if rows.output_tokens[place] > 1]
    gaps = [rows.itl_s[place] for place in several]
    seen = [one for one in gaps if one is not None]
    tpot = [
        rows.tpot_s[place] if one is None else float(np.sum(one)) / (rows.output_tokens[place] - 1)
        for place, one in zip(several, gaps, strict=True)
    ]
    e2e = []
    for place, first in zip(places, ttft, strict=True):
        one = rows.itl_s[int(place)]
        e2e.append(rows.e2e_s[place] if one is None or np.isnan(first) else first + float(np.sum(one)))
    return {
        "ttft_s": distribution(ttft),
        "itl_s": distribution(np.concatenate(seen)) if seen and len(seen) == len(gaps) else None,
        "tpot_s": distribution(np.array(tpot, dtype=np.float64)),
        "e2e_s": distribution(np.array(e2e, dtype=np.float64)),
    }


def distribution(values: Numbers) -> dict[str, float | None] | None:
    """Number, mean, sample deviation, extremes and percentiles; None where there is none, or one was not seen."""
    n = len(values)
    if n == 0 or np.isnan(values).any():
        return None
    found: dict[str, float | None] = {
        "n": float(n),
        "mean": float(np.mean(values)),
        "std": float(np.std(values, ddof=1)) if n > 1 else None,
        "min": float(np.min(values)),
        "max": float(np.max(values)),
    }
    for percent in PERCENTILES:
        stands = percent == 50 or n * (100 - percent) >= 100 * FEWEST_BEYOND
        found[f"p{percent}"] = float(np.percentile(values, percent)) if stands else None
    return found


def quotients(joules: float, window_s: float, tokens: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures that divide an energy by the window's length and counts."""

    def per(count: Any) -> float | None:
        return joules / count if count else None

    both = None if tokens["input"] is None or tokens["output"] is None else tokens["input"] + tokens["output"]
    return {
        "mean_w": per(window_s),
        "j_per_output_token": per(tokens["output"]),
        "j_per_token": per(both),
        "j_per_request": per(tokens["requests"]),
    }


def rates(window_s: float, tokens: Mapping[str, Any]) -> dict[str, float | None]:
    """Throughput from the window's length and counts."""

    def per_s(count: Any) -> float | None:
        return count / window_s if count and window_s > 0 else None

    both = None if tokens["input"] is None or tokens["output"] is None else tokens["input"] + tokens["output"]
    return {
        "tokens_per_s": per_s(tokens["output"]),
        "total_tokens_per_s": per_s(both),
        "requests_per_s": per_s(tokens["requests"]),
    }
