"""Values compared over the combinations of everything else that both ran with: contrasts of configurations' means.

Nothing is fitted: a combination that never ran enters no mean, and effects that depend on one another bias none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from llem_analysis.space import MOST_CELLS, Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOST_LEVELS = 32
"""Of a parameter with more values than this, each is compared with the first and with the one before it only."""

_MOST_RECTANGLES = 2_000


@dataclass(frozen=True)
class Matched:
    """Two values of a parameter over the combinations that both ran with.

    Attributes:
        start, end: indices of the values.
        before, after: weights of the configurations in the mean of each.
        shared: how many combinations both ran with; combinations: how many one of them ran with.
    """

    start: int
    end: int
    before: Floats
    after: Floats
    shared: int
    combinations: int

    @property
    def row(self) -> Floats:
        """Weights of the difference."""
        found: Floats = self.after - self.before
        return found


@dataclass(frozen=True)
class Rectangle:
    """Two values of each of two parameters, over the combinations of everything else that ran with all four.

    Attributes:
        first, second: indices of the values.
        rows: weights of what the step of the first does at each value of the second.
    """

    first: tuple[int, int]
    second: tuple[int, int]
    rows: tuple[Floats, Floats]

    @property
    def row(self) -> Floats:
        """Weights of the difference between the two."""
        found: Floats = self.rows[1] - self.rows[0]
        return found


Contexts = list[tuple[float, dict[tuple[int, ...], list[int]]]]
"""For each combination of everything else its weight, and the configurations at each value."""


def steps(space: Space, name: str) -> tuple[list[Matched], list[tuple[int, int]]]:
    """The pairs of values that can be compared, and those that cannot."""
    contexts = _contexts(space, (name,))
    levels = sorted({cell[0] for _, cells in contexts for cell in cells})
    found, apart = [], []
    for start, end in _pairs(levels):
        matched = _matched(space, contexts, start, end)
        if matched is None:
            apart.append((start, end))
        else:
            found.append(matched)
    return found, apart


def rectangles(space: Space, pair: tuple[str, str]) -> list[Rectangle]:
    """Every two values of one parameter with every two of another that ran with all four; empty where there are too many."""
    contexts = _contexts(space, pair)
    firsts = sorted({cell[0] for _, cells in contexts for cell in cells})
    seconds = sorted({cell[1] for _, cells in contexts for cell in cells})
    if len(firsts) * len(seconds) > MOST_CELLS:
        return []
    many = len(firsts) * (len(firsts) - 1) * len(seconds) * (len(seconds) - 1) // 4
    if many > _MOST_RECTANGLES:
        chosen = [((firsts[0], a), (seconds[0], b)) for a in firsts[1:] for b in seconds[1:]]
    else:
        chosen = [(a, b) for a in combinations(firsts, 2) for b in combinations(seconds, 2)]
    return [found for a, b in chosen if (found := _rectangle(space, contexts, a, b)) is not None]


def _pairs(levels: Sequence[int]) -> Iterator[tuple[int, int]]:
    if len(levels) <= MOST_LEVELS:
        yield from combinations(levels, 2)
        return
    for place, level in enumerate(levels[1:], start=1):
        yield levels[0], level
        if place > 1:
            yield levels[place - 1], level


def _contexts(space: Space, members: tuple[str, ...]) -> Contexts:
    """Backends count the same, and within a backend so does each combination.

    A parameter that chooses the backend is compared over what backends have in common: what only one has, it has always.
    """
    import numpy as np

    inside = np.nonzero(space.within(members))[0]
    others = [name for name in space.levels if name not in members]
    if space.gate in members:
        others = [name for name in others if (space.levels[name] >= 0).all()]
    keys = np.stack([space.levels[name][inside] for name in others], axis=1) if others else np.zeros((len(inside), 0))
    values = np.stack([space.levels[name][inside] for name in members], axis=1)
    stratum = others.index(space.gate) if space.gate in others else None
    groups: dict[tuple[int, ...], dict[tuple[int, ...], list[int]]] = {}
    for place, key, value in zip(inside.tolist(), keys.tolist(), values.tolist(), strict=True):
        groups.setdefault(tuple(key), {}).setdefault(tuple(value), []).append(place)
    if stratum is None:
        return [(1.0, cells) for cells in groups.values()]
    sizes: dict[int, int] = {}
    for key in groups:
        sizes[key[stratum]] = sizes.get(key[stratum], 0) + 1
    return [(1.0 / sizes[key[stratum]], cells) for key, cells in groups.items()]


def _mean(space: Space, parts: Sequence[tuple[float, list[int]]]) -> Floats:
    """Weights of a mean over combinations, each with its own weight and the configurations that it is the mean of."""
    import numpy as np

    row = np.zeros(space.size)
    for weight, places in parts:
        row[places] += weight / len(places)
    found: Floats = row / sum(weight for weight, _ in parts)
    return found


def _matched(space: Space, contexts: Contexts, start: int, end: int) -> Matched | None:
    either = [(w, cells) for w, cells in contexts if (start,) in cells or (end,) in cells]
    both = [(w, cells) for w, cells in either if (start,) in cells and (end,) in cells]
    if not both:
        return None
    before = _mean(space, [(w, cells[start,]) for w, cells in both])
    after = _mean(space, [(w, cells[end,]) for w, cells in both])
    return Matched(start, end, before, after, len(both), len(either))


def _rectangle(space: Space, contexts: Contexts, first: tuple[int, int], second: tuple[int, int]) -> Rectangle | None:
    corners = [(a, b) for a in first for b in second]
    shared = [(w, cells) for w, cells in contexts if all(corner in cells for corner in corners)]
    if not shared:
        return None
    at = {corner: _mean(space, [(w, cells[corner]) for w, cells in shared]) for corner in corners}
    low, high = (at[first[1], value] - at[first[0], value] for value in second)
    return Rectangle(first, second, (low, high))
