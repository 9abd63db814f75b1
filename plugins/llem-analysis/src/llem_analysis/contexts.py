"""Values compared over the combinations of everything else that both ran with: contrasts of configurations' means.

Nothing is fitted: a combination that never ran enters no mean, and effects that depend on one another bias none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

from llem_analysis.space import MOST_CELLS, Space
from llem_analysis.sums import Folded, Sums

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

MOST_LEVELS = 32
"""Of a parameter with more values than this, each is compared with the first and with the one before it only."""

_MOST_RECTANGLES = 2_000

Pair = tuple[int, int]
Values = tuple[int, ...]


@dataclass(frozen=True)
class Matched:
    """Two values of a parameter over the combinations that both ran with.

    Attributes:
        start, end: indices of the values.
        shared: how many combinations both ran with; combinations: how many one of them ran with.
    """

    start: int
    end: int
    shared: int
    combinations: int


@dataclass(frozen=True)
class Steps:
    """Every two values of a parameter that are compared.

    Attributes:
        found: one for each.
        before, after: the mean at the first and at the second value of each.
        apart: pairs of values that share no combination.
    """

    found: tuple[Matched, ...]
    before: Sums
    after: Sums
    apart: tuple[Pair, ...]

    @cached_property
    def difference(self) -> Sums:
        """The second mean of each less the first."""
        return self.after.less(self.before)


@dataclass(frozen=True)
class Rectangles:
    """Every two values of each of two parameters, over the combinations of everything else that ran with all four.

    Attributes:
        first, second: indices of the values of each.
        low, high: what the step of the first does at the first and at the second value of the second parameter: (each, columns).
        column: of each configuration; those that always have the same weight share one.
    """

    first: tuple[Pair, ...]
    second: tuple[Pair, ...]
    low: Floats
    high: Floats
    column: Ints

    @property
    def differences(self) -> Folded:
        """The distance between the two, for each."""
        return Folded(self.high - self.low, self.column)

    @cached_property
    def basis(self) -> Folded:
        """An orthonormal basis of the interaction."""
        return self.differences.basis()

    def ends(self, number: int) -> Floats:
        """Weights of the configurations in both steps of one of them: (2, configurations)."""
        import numpy as np

        return Folded(np.zeros((0, self.low.shape[1])), self.column).spread(
            np.stack([self.low[number], self.high[number]])
        )


@dataclass(frozen=True)
class _Context:
    """Combinations of everything else at which the same cells ran, equally often each.

    Attributes:
        weight: of one of them; many: how many there are.
        cells: for each cell the configurations that ran with it, over all of them.
    """

    weight: float
    many: int
    cells: Mapping[Values, list[int]]

    def share(self, cell: Values) -> float:
        """Weight of one configuration of a cell."""
        return self.weight * self.many / len(self.cells[cell])


def steps(space: Space, name: str) -> Steps:
    """The pairs of values that can be compared, and those that cannot."""
    contexts = _contexts(space, (name,))
    levels = sorted({cell[0] for one in contexts for cell in one.cells})
    found, before, after, apart = [], [], [], []
    for start, end in _pairs(levels):
        either = [one for one in contexts if (start,) in one.cells or (end,) in one.cells]
        both = [one for one in either if (start,) in one.cells and (end,) in one.cells]
        if not both:
            apart.append((start, end))
            continue
        found.append(Matched(start, end, sum(one.many for one in both), sum(one.many for one in either)))
        before.append(_mean(both, (start,)))
        after.append(_mean(both, (end,)))
    return Steps(tuple(found), Sums.of_parts(before), Sums.of_parts(after), tuple(apart))


def rectangles(space: Space, pair: tuple[str, str]) -> Rectangles | None:
    """Every two values of one parameter with every two of another that ran with all four; None where there are none, or too many."""
    import numpy as np

    contexts = _contexts(space, pair)
    firsts = sorted({cell[0] for one in contexts for cell in one.cells})
    seconds = sorted({cell[1] for one in contexts for cell in one.cells})
    if len(firsts) * len(seconds) > MOST_CELLS:
        return None
    many = len(firsts) * (len(firsts) - 1) * len(seconds) * (len(seconds) - 1) // 4
    if many > _MOST_RECTANGLES:
        chosen = [((firsts[0], a), (seconds[0], b)) for a in firsts[1:] for b in seconds[1:]]
    else:
        chosen = [(a, b) for a in combinations(firsts, 2) for b in combinations(seconds, 2)]
    column = np.full(space.size, -1, dtype=np.int64)
    number: dict[tuple[int, Values], int] = {}
    for place, one in enumerate(contexts):
        for cell, configurations in one.cells.items():
            column[configurations] = number.setdefault((place, cell), len(number))
    found = []
    for first, second in chosen:
        corners = [(a, b) for b in second for a in first]
        shared = [place for place, one in enumerate(contexts) if all(corner in one.cells for corner in corners)]
        if shared:
            found.append((first, second, shared))
    if not found:
        return None
    low, high = np.zeros((len(found), len(number))), np.zeros((len(found), len(number)))
    for row, (first, second, shared) in enumerate(found):
        whole = sum(contexts[place].weight * contexts[place].many for place in shared)
        for place in shared:
            for steps_at, value in ((low, second[0]), (high, second[1])):
                for sign, cell in ((-1.0, (first[0], value)), (1.0, (first[1], value))):
                    steps_at[row, number[place, cell]] = sign * contexts[place].share(cell) / whole
    return Rectangles(tuple(first for first, _, _ in found), tuple(second for _, second, _ in found), low, high, column)


def _pairs(levels: Sequence[int]) -> Iterator[Pair]:
    if len(levels) <= MOST_LEVELS:
        yield from combinations(levels, 2)
        return
    for place, level in enumerate(levels[1:], start=1):
        yield levels[0], level
        if place > 1:
            yield levels[place - 1], level


def _contexts(space: Space, members: tuple[str, ...]) -> list[_Context]:
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
    groups: dict[Values, dict[Values, list[int]]] = {}
    for place, key, value in zip(inside.tolist(), keys.tolist(), values.tolist(), strict=True):
        groups.setdefault(tuple(key), {}).setdefault(tuple(value), []).append(place)
    sizes: dict[int, int] = {}
    if stratum is not None:
        for key in groups:
            sizes[key[stratum]] = sizes.get(key[stratum], 0) + 1
    alike: dict[tuple[float, tuple[tuple[Values, int], ...]], list[dict[Values, list[int]]]] = {}
    for key, cells in groups.items():
        weight = 1.0 if stratum is None else 1.0 / sizes[key[stratum]]
        ran = tuple(sorted((cell, len(configurations)) for cell, configurations in cells.items()))
        alike.setdefault((weight, ran), []).append(cells)
    return [
        _Context(weight, len(several), {cell: [one for cells in several for one in cells[cell]] for cell in several[0]})
        for (weight, _), several in alike.items()
    ]


def _mean(contexts: Sequence[_Context], cell: Values) -> tuple[list[int], list[float]]:
    """The mean over combinations of one cell: its configurations with their weights."""
    whole = sum(one.weight * one.many for one in contexts)
    configurations, weights = [], []
    for one in contexts:
        configurations += one.cells[cell]
        weights += [one.share(cell) / whole] * len(one.cells[cell])
    return configurations, weights
