"""Aliases, effects that a design cannot tell apart, from the rank of its columns: effect-coded parameters, interactions of two.

An effect can be told where its contrast is a combination of the rows of the design with all interactions of two in it. Where
it is one only without some of them, it goes together with these: it is aliased (Box and Hunter, The 2^(k-p) fractional
factorial designs, Technometrics 3, 1961).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from llem_analysis.space import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_TOLERANCE = 1e-7

MOST_CELLS = 600
"""The rank of larger designs is not looked at."""

MOST_COLUMNS = 1_500


@dataclass(frozen=True)
class Fitted:
    """An effect by least squares, for values that ran with no common combination of everything else.

    Attributes:
        others: what it goes together with; empty where it can be told.
        row: weights of the configurations in the difference between its last and first value; None where it has none.
        left: weights that project the configurations' means on what the fit leaves, one row for each degree of freedom.
    """

    others: tuple[str, ...]
    row: Floats | None
    left: Floats | None


class Columns:
    """The columns of a design by term."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._fitted: dict[str, Fitted] = {}
        self._blocks = {(name,): _coded(space, name) for name in space.levels}
        self.pairs = [pair for pair in space.pairs() if self._width(pair) <= MOST_COLUMNS]
        wide = sum(self._width(pair) for pair in self.pairs)
        self.small = space.size <= MOST_CELLS and wide <= MOST_COLUMNS

    @cached_property
    def rank_of_effects(self) -> int:
        """Number of configurations that the effects alone need."""
        import numpy as np

        return int(np.linalg.matrix_rank(self._design(self._names())))

    @cached_property
    def left(self) -> Floats:
        """An orthonormal basis of what effects and interactions of two leave of the configurations: (degrees, configurations)."""
        import numpy as np

        design = self._design([*self._names(), *self.pairs])
        whole, sizes, _ = np.linalg.svd(design, full_matrices=True)
        rank = int((sizes > _TOLERANCE * sizes[0]).sum())
        found: Floats = whole[:, rank:].T
        return found

    def fitted(self, name: str) -> Fitted:
        """One parameter's effect, where its values share no combination."""
        if name not in self._fitted:
            self._fitted[name] = self._fit(name)
        return self._fitted[name]

    def _fit(self, name: str) -> Fitted:
        names = self._names()
        row = self._row(name, [*names, *self.pairs])
        if row is not None:
            return Fitted((), row, self.left if self.left.size else None)
        alone = self._row(name, names)
        if alone is None:
            without = [other for other in names if other != (name,)]
            lost = [
                " × ".join(other)
                for other in without
                if self._row(name, [part for part in names if part != other]) is not None
            ]
            return Fitted(tuple(lost or [" × ".join(other) for other in without]), None, None)
        aliased = [
            " × ".join(pair) for pair in self.pairs if name not in pair and self._row(name, [*names, pair]) is None
        ]
        own = [" × ".join(pair) for pair in self.pairs if name in pair and self._row(name, [*names, pair]) is None]
        return Fitted(tuple(aliased or own or [" × ".join(pair) for pair in self.pairs]), alone, None)

    def _names(self) -> list[tuple[str, ...]]:
        return [(name,) for name in self._space.levels]

    def _width(self, pair: tuple[str, ...]) -> int:
        return int(self._blocks[pair[0],].shape[1] * self._blocks[pair[1],].shape[1])

    def _block(self, members: tuple[str, ...]) -> Floats:
        if len(members) == 1:
            return self._blocks[members]
        first, second = self._blocks[members[0],], self._blocks[members[1],]
        found: Floats = (first[:, :, None] * second[:, None, :]).reshape(self._space.size, -1)
        return found

    def _design(self, terms: list[tuple[str, ...]]) -> Floats:
        import numpy as np

        found: Floats = np.hstack([np.ones((self._space.size, 1)), *(self._block(term) for term in terms)])
        return found

    def _row(self, name: str, terms: list[tuple[str, ...]]) -> Floats | None:
        """Weights of the least-squares difference between the last and the first value; None where it cannot be told."""
        import numpy as np

        design = self._design(terms)
        wanted = np.zeros(design.shape[1])
        at = 1
        for term in terms:
            width = self._block(term).shape[1]
            if term == (name,):
                # Effect coding: the last value is minus the sum of the others.
                wanted[at : at + width] = -1.0
                wanted[at] -= 1.0
            at += width
        if not wanted.any():
            return None
        solution: Floats = np.linalg.pinv(design, rcond=_TOLERANCE).astype(np.float64)
        row: Floats = wanted @ solution
        return row if float(np.abs(row @ design - wanted).max()) < 1e-6 else None


def _coded(space: Space, name: str) -> Floats:
    """Effect coding: a column for each value but the last, whose sum over values is 0; 0 where another backend's."""
    import numpy as np

    column = space.levels[name]
    values = np.unique(column[column >= 0])
    found: Floats = (column[:, None] == values[None, :-1]).astype(np.float64)
    found[column == values[-1]] = -1.0
    return found
