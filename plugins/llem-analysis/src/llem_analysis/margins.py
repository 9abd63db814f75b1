"""A complete design as tables over its parameters, and sums of values over some of their axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llem_analysis.space import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """The configurations of one backend, each combination of its parameters' values exactly once.

    Attributes:
        levels: parameter to the indices of its values here, in the order of the table's axes; -1 where it is another backend's.
        place: number of the configuration of each combination.
        weight: of each of its configurations in the measure.
    """

    levels: Mapping[str, Ints]
    place: Ints
    weight: float

    def has(self, name: str) -> bool:
        """This backend has the parameter."""
        return bool((self.levels[name] >= 0).all())


def grids_of(space: Space) -> tuple[Grid, ...] | None:
    """The grids of a design, a backend each; None where a combination of values is missing."""
    import numpy as np

    if not space.levels:
        return None
    strata = np.zeros(space.size, dtype=np.int64) if space.gate is None else space.levels[space.gate]
    common = [name for name, column in space.levels.items() if (column >= 0).all() and name != space.gate]
    sets = {name: np.unique(space.levels[name]).size for name in common}
    numbers = np.unique(strata)
    found = []
    for stratum in numbers:
        inside = np.nonzero(strata == stratum)[0]
        levels: dict[str, Ints] = {}
        at = []
        for name, column in space.levels.items():
            levels[name], axis = np.unique(column[inside], return_inverse=True)
            at.append(axis.reshape(-1))
        shape = [here.size for here in levels.values()]
        # In floating point: a product of many sizes has no bound.
        if any(levels[name].size != sets[name] for name in common) or np.prod(shape, dtype=np.float64) != inside.size:
            return None
        flat = np.ravel_multi_index(at, shape)
        if np.unique(flat).size != inside.size:
            return None
        place = np.empty(inside.size, dtype=np.int64)
        place[flat] = inside
        found.append(Grid(levels, place.reshape(shape), 1 / (numbers.size * inside.size)))
    return tuple(found)


@dataclass
class Margins:
    """Values of the configurations, (configurations, samples), summed over axes of each grid; each sum is kept for the next one."""

    grids: Sequence[Grid]
    values: Floats
    _kept: dict[tuple[int, tuple[int, ...]], Floats] = field(default_factory=dict)
    _squares: dict[int, Floats] = field(default_factory=dict)

    def over(self, number: int, kept: Sequence[str]) -> Floats:
        """Of the grid of this number the sums by these parameters' values, in the order of its axes: (values …, samples)."""
        names = list(self.grids[number].levels)
        axes = tuple(sorted(names.index(name) for name in kept))
        found = self._sums(number, axes)
        return found.reshape(*(found.shape[axis] for axis in axes), found.shape[-1])

    def all_but(self, number: int, name: str) -> Floats:
        """Of the grid of this number the sums over one parameter's values."""
        return self.over(number, [other for other in self.grids[number].levels if other != name])

    def squares(self, number: int) -> Floats:
        """Sum of the squares of a grid's values, for each sample."""
        import numpy as np

        if number not in self._squares:
            values = self.over(number, list(self.grids[number].levels)).reshape(-1, self.values.shape[1])
            self._squares[number] = np.einsum("ij,ij->j", values, values)
        return self._squares[number]

    def _sums(self, number: int, axes: tuple[int, ...]) -> Floats:
        """Sums over all other axes, which stay with one place each."""
        key = (number, axes)
        if key not in self._kept:
            place = self.grids[number].place
            missing = next((axis for axis in range(place.ndim) if axis not in axes), None)
            if missing is None:
                self._kept[key] = self.values[place]
            else:
                more = self._sums(number, tuple(sorted((*axes, missing))))
                self._kept[key] = more if more.shape[missing] == 1 else more.sum(axis=missing, keepdims=True)
        return self._kept[key]
