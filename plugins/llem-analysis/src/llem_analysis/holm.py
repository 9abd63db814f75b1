"""Holm's correction for several tests at once. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Holm-Bonferroni adjusted p-values, in the order given.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none becomes smaller than one before it, nor larger
    than 1. Rejecting where the adjusted value is at most α keeps the chance of any false rejection at or below α, however
    the tests depend on each other (Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6, 1979).

    Raises:
        ValueError: a value is no probability.
    """
    if any(not 0 <= p <= 1 for p in p_values):
        raise ValueError("p-values are between 0 and 1")
    found = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        found[place] = largest
    return found
