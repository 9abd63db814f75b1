"""The growth of a cost with the size of a study: the exponent of a power law. Pure functions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping


def exponent(costs: Mapping[int, float]) -> float:
    """b of cost = a nᵇ by least squares over the logarithms; 1 is linear, 0 is constant.

    Args:
        costs: size to the cost of the whole study, two sizes at least, all above 0.
    """
    line = statistics.linear_regression([math.log(n) for n in costs], [math.log(cost) for cost in costs.values()])
    return line.slope


def label(size: int) -> str:
    """`100`, `10k`, `1m`: a size in the name of a figure."""
    for power, letter in ((1_000_000, "m"), (1_000, "k")):
        if size >= power and size % power == 0:
            return f"{size // power}{letter}"
    return str(size)


def size_of(text: str) -> int:
    """The size that a label stands for."""
    powers = {"k": 1_000, "m": 1_000_000}
    return int(text[:-1]) * powers[text[-1]] if text[-1] in powers else int(text)
