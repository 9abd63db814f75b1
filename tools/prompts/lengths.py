"""The lengths of the 1,000 prompts, their kinds, and the order in which they stand."""

from __future__ import annotations

import itertools
import math

COUNT = 1_000

QUANTILES: dict[float, int] = {0: 9, 5: 23, 25: 227, 50: 586, 75: 1_478, 95: 6_540, 99.9: 85_690}
"""Characters at each per cent of the prompts, as in AIEnergyScore's text_generation set."""

_TAIL = {988: 17_400, 997: 32_000}
"""Rank and characters: bends in the last stretch, most of which is far shorter than its end."""

_ZONES: tuple[tuple[int, tuple[int, int, int]], ...] = (
    (24, (24, 0, 0)),
    (110, (31, 0, 55)),
    (152, (0, 21, 21)),
    (250, (47, 26, 25)),
    (750, (231, 126, 143)),
    (950, (0, 125, 75)),
    (1_000, (0, 35, 15)),
)
"""Ranks below the first number have so many prompts of each kind: encyclopedia, web, chat. The shortest are headings and
questions, the longest pages of the web and requests that carry a text."""

KINDS = ("encyclopedia", "web", "chat")
_MIDDLE = 0b0101010101


def bounds() -> list[tuple[int, int]]:
    """The least and the most characters of the prompt of each rank, from the shortest to the longest.

    At each quantile both neighbouring ranks are exact, so that linear interpolation gives the same as nearest rank.
    Between two quantiles lengths grow evenly on a logarithmic scale.
    """
    exact = {rank: size for share, size in QUANTILES.items() for rank in _neighbours(share)}
    knots = sorted((exact | _TAIL).items())
    result = []
    for rank in range(COUNT):
        if rank in exact:
            result.append((exact[rank], exact[rank]))
            continue
        (left, low), (right, high) = next((a, b) for a, b in itertools.pairwise(knots) if a[0] <= rank <= b[0])
        middle = low * math.exp(math.log(high / low) * (rank - left) / (right - left))
        room = max(2.0, middle * 0.03)
        floor = max(size for place, size in exact.items() if place < rank)
        ceiling = min(size for place, size in exact.items() if place > rank)
        result.append((max(round(middle - room), floor), min(round(middle + room), ceiling)))
    return result


def kinds() -> list[str]:
    """The kind of the prompt of each rank, evenly mixed within each zone of lengths."""
    result: list[str] = []
    for end, shares in _ZONES:
        size = end - len(result)
        done = [0, 0, 0]
        for i in range(size):
            behind = [share * (i + 1) / size - got for share, got in zip(shares, done, strict=True)]
            kind = behind.index(max(behind))
            done[kind] += 1
            result.append(KINDS[kind])
    return result


def order() -> list[int]:
    """Ranks in the order in which the prompts stand: the first n, for any n, are spread evenly over all lengths.

    This is van der Corput's sequence in base 2, moved away from the ends: whoever takes few prompts gets neither the
    shortest nor the longest of all.
    """
    return sorted(range(COUNT), key=lambda rank: _reversed((rank * 1_024 // COUNT) ^ _MIDDLE))


def _neighbours(share: float) -> tuple[int, int]:
    place = (COUNT - 1) * share / 100
    return math.floor(place), math.ceil(place)


def _reversed(number: int) -> int:
    return int(f"{number:010b}"[::-1], 2)
