"""One quantity under two names, known by its behaviour: counters that rise by the same amounts at the same times.

The dies of a Zen package mirror one counter, a package stands in powercap by register and by memory map, a module's meter
may be shown as a GPU's. Two real counters never agree so: their last digits differ from one reading to the next, however
alike their loads are. Pure functions over readings.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations, pairwise
from statistics import median
from typing import Literal

from llem.measure.series import Key, Track
from llem.specs.sampler import on_card

MATCHING = 0.8
"""Two names of one counter are read a moment apart, so that a step may fall between; else they agree to the last digit."""

TELLING = 8
"""Number of their agreeing steps that differ from the commonest one: that steady power gives equal steps proves nothing."""

QUANTA = 100_000
"""And they have risen by so many of the smallest differences that they show, over which real counters drift apart."""

NAMED_ALIKE = 3
"""Number of agreeing steps that is enough for zones whose names say that they are of one package."""

VALUES = 30
"""Power that agrees to the last digit at so many different values is one sensor's: two have noise of their own."""

APART_NS = 20_000_000
"""Readings of two devices that belong to one reading pass lie no further apart."""


def same_meters(tracks: Sequence[Track]) -> dict[Key, str]:
    """Devices that repeat one before them: their key, and the id of the device that is counted."""
    found: dict[Key, str] = {}
    for first, second in combinations(tracks, 2):
        if first.key in found or second.key in found or first.device.id == second.device.id:
            continue
        if first.device.methods == {"estimate"} or second.device.methods == {"estimate"}:
            continue
        if _one_counter(first, second) or _one_sensor(first, second):
            found[second.key] = first.device.id
    return found


def _one_counter(first: Track, second: Track) -> bool:
    pairs = _pairs(first, second)
    if len(pairs) <= NAMED_ALIKE:
        return False
    offset = median(b - a for a, b in pairs)
    exact_j = 1e-9 * max(abs(value) for pair in pairs for value in pair) + 1e-9
    steps = [(a1 - a0, b1 - b0) for (a0, b0), (a1, b1) in pairwise(pairs)]
    moved = [(a, b) for a, b in steps if a > 0 or b > 0]
    if len(moved) < NAMED_ALIKE:
        return False
    agreeing = sum(abs(b - a - offset) <= exact_j for a, b in pairs)
    largest_j = max(max(a, b) for a, b in moved)
    if agreeing < MATCHING * len(pairs) or any(abs(b - a - offset) > largest_j + exact_j for a, b in pairs):
        return False
    return _names_alike(first, second) or _telling(moved, exact_j)


def _one_sensor(first: Track, second: Track) -> bool:
    """True for two devices of power alone, other than cards, that show the same noise to the last digit."""
    if first.device.methods != {"power"} or second.device.methods != {"power"} or on_card(first.device.scope):
        return False
    pairs = _pairs(first, second, "power_w")
    agreeing = [a for a, b in pairs if a == b]
    return len(agreeing) >= max(MATCHING * len(pairs), 1) and len(set(agreeing)) >= VALUES


def _telling(moved: Sequence[tuple[float, float]], exact_j: float) -> bool:
    """True where the agreement cannot be chance: steps of many sizes, over many of the smallest differences."""
    agreed = [a for a, b in moved if abs(a - b) <= exact_j]
    digits = [round(a / exact_j) for a in agreed]
    if not digits:
        return False
    (common, _), *_ = Counter(digits).most_common(1)
    sizes = sorted(set(digits))
    finest = min((b - a for a, b in pairwise(sizes) if b - a > 2), default=None)
    return finest is not None and sum(abs(d - common) > 2 for d in digits) >= TELLING and sum(digits) / finest >= QUANTA


def _names_alike(first: Track, second: Track) -> bool:
    """Dies of one package, or one name in two places."""
    return _bare(first.device.id) == _bare(second.device.id)


def _bare(id_: str) -> str:
    return re.sub(r"-die-\d+|@.*$", "", id_)


def _pairs(
    first: Track, second: Track, column: Literal["energy_j", "power_w"] = "energy_j"
) -> list[tuple[float, float]]:
    """Counters, or power, of both as they were read in one reading pass."""
    found = []
    times, others, near = second.t_ns, getattr(second, column), 0
    if not times:
        return []
    for t_ns, a in zip(first.t_ns, getattr(first, column), strict=True):
        while near + 1 < len(times) and abs(times[near + 1] - t_ns) < abs(times[near] - t_ns):
            near += 1
        b = others[near]
        if a is not None and b is not None and abs(times[near] - t_ns) <= APART_NS:
            found.append((a, b))
    return found
