"""The length of a search's runs: long enough for the requests that tell what it asks."""

from __future__ import annotations

import math
from collections.abc import Mapping

from llem_serving.config import LoadConfig, SloConfig

BEYOND = 10
"""Requests that shall miss the objectives at capacity, at the least: as many as a percentile needs beyond it (METHOD.md, "Statistics")."""

LEAST = 1_000
"""Requests at the least, whatever attainment is wanted. Energy per token has to stay within 5 % from part to part for a run to be
steady, and tokens of a third of these vary by about that much by chance alone."""

_LONGEST_S = 86_400.0


def requests_wanted(slo: SloConfig) -> int:
    """Number of requests that a run shall see."""
    return max(LEAST, math.ceil(BEYOND / (1 - slo.attainment) - 1e-9))


def is_given(load: LoadConfig) -> bool:
    """True where the study says itself how long the window is."""
    return "duration_s" in load.model_fields_set


def run_length(load: LoadConfig, slo: SloConfig, rate_rps: float) -> Mapping[str, float]:
    """Dotted keys of what a run at this rate takes longer than the study's load; empty where the study says how long it is.

    A steady state is waited for as long as two windows, so that a few unlucky parts do not make a run unsteady.
    """
    if is_given(load):
        return {}
    duration_s = min(_LONGEST_S, max(load.duration_s, float(math.ceil(requests_wanted(slo) / rate_rps))))
    found = {"load.duration_s": duration_s}
    if "steady_s" not in load.model_fields_set:
        found["load.steady_s"] = min(_LONGEST_S, max(load.steady_s, 2 * duration_s))
    return found
