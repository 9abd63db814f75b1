"""The interval of a share that was counted."""

from __future__ import annotations

import math
from statistics import NormalDist

from llem_analysis.intervals import LEVEL


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's score (1927): it holds for few, none and all, and stays between 0 and 1."""
    if not 0 <= hits <= of or of < 1:
        raise ValueError(f"{hits} of {of} is no share")
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    share, scale = hits / of, 1 + z**2 / of
    middle = (share + z**2 / (2 * of)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    high = 1.0 if hits == of else min(1.0, middle + half)
    return low, high
