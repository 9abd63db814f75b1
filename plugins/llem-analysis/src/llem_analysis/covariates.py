"""Cycles as blocks, and places in them, as covariates of runs: what configurations add to them is taken out.

There is a column for each block but the first, and one for the place. They are never laid out, since a study may have thousands
of cycles: all that is asked of them follows from their normal equations.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_TOLERANCE = 1e-13
"""Eigenvalues of the normal equations below this share of the largest are 0: the columns that they stand for are not there."""

_FEW = 8
"""Up to so many columns their products are kept for each configuration; of more they are computed run by run."""


class Covariates:
    """The covariates of runs, about the mean of each configuration's runs.

    Args:
        cell: number of each run's configuration, of `size`.
        block: number of each run's block, from 0.
        place: each run's place, where it is a covariate.
    """

    def __init__(self, cell: Ints, size: int, block: Ints, place: Floats | None = None) -> None:
        import numpy as np

        self._cell, self._size, self._block, self._place = cell, size, block, place
        self._blocks = int(block.max()) + 1
        self.width = self._blocks - 1 + (place is not None)
        self._counts = np.bincount(cell, minlength=size)
        inside = np.bincount(cell * self._blocks + block, minlength=size * self._blocks).reshape(size, -1)[:, 1:]
        columns = [inside / self._counts[:, None]]
        overall = [np.bincount(block, minlength=self._blocks)[1:] / len(cell)]
        if place is not None:
            columns.append((np.bincount(cell, weights=place, minlength=size) / self._counts)[:, None])
            overall.append(np.array([place.mean()]))
        self._middle: Floats = np.hstack(columns)
        moved: Floats = self._middle - np.concatenate(overall)
        moved[np.abs(moved) < 1e-14] = 0.0
        self.moved = moved
        """Mean of each configuration's runs less the mean of all: (configurations, columns)."""

    @cached_property
    def inverse(self) -> Floats:
        """The pseudoinverse of the normal equations: (columns, columns)."""
        import numpy as np

        if not self.width:
            return np.zeros((0, 0))
        sizes, vectors = np.linalg.eigh(self.squares(np.ones(self._size)))
        there = sizes > _TOLERANCE * max(float(sizes[-1]), 0.0)
        found: Floats = (vectors[:, there] / sizes[there]) @ vectors[:, there].T
        return found

    def squares(self, weights: Floats) -> Floats:
        """Products of the columns, summed over runs, each with the weight of its configuration: (columns, columns)."""
        import numpy as np

        each = weights[self._cell]
        blocks = np.bincount(self._block, weights=each, minlength=self._blocks)[1:]
        found = np.zeros((self.width, self.width))
        found[np.arange(blocks.size), np.arange(blocks.size)] = blocks
        if self._place is not None:
            found[-1, :-1] = np.bincount(self._block, weights=each * self._place, minlength=self._blocks)[1:]
            found[:-1, -1] = found[-1, :-1]
            found[-1, -1] = float(each @ self._place**2)
        found -= (self._middle * (weights * self._counts)[:, None]).T @ self._middle
        return found

    def slopes(self, values: Floats) -> Floats:
        """Least squares of values on the columns."""
        import numpy as np

        onto = [np.bincount(self._block, weights=values, minlength=self._blocks)[1:]]
        if self._place is not None:
            onto.append(np.array([float(self._place @ values)]))
        sums = np.bincount(self._cell, weights=values, minlength=self._size)
        found: Floats = self.inverse @ (np.concatenate(onto) - self._middle.T @ sums)
        return found

    def at(self, slopes: Floats) -> Floats:
        """The part that slopes add to each run: (sums, runs) of (sums, columns)."""
        import numpy as np

        blocks = slopes[:, : self._blocks - 1]
        found: Floats = np.hstack([np.zeros((len(slopes), 1)), blocks])[:, self._block]
        if self._place is not None:
            found += slopes[:, -1:] * self._place
        found -= (slopes @ self._middle.T)[:, self._cell]
        return found

    def residual(self, values: Floats) -> Floats:
        """Values less their configuration's mean and what the columns explain."""
        import numpy as np

        middle = np.bincount(self._cell, weights=values, minlength=self._size) / self._counts
        found: Floats = values - middle[self._cell] - self.at(self.slopes(values)[None, :])[0]
        return found

    def quadratic(self, form: Floats) -> Floats:
        """A symmetric form of the columns at each run; with `inverse` the share of each run in its own fit."""
        import numpy as np

        blocks = self._blocks - 1
        across = form @ self._middle.T
        diagonal = np.concatenate([[0.0], np.diag(form)[:blocks]])
        found: Floats = diagonal[self._block] + (self._middle * across.T).sum(axis=1)[self._cell]
        found = found - 2 * np.vstack([np.zeros((1, self._size)), across[:blocks]])[self._block, self._cell]
        if self._place is not None:
            with_block = np.concatenate([[0.0], form[-1, :blocks]])[self._block]
            found = found + self._place * (2 * with_block + self._place * form[-1, -1] - 2 * across[-1, self._cell])
        return found

    def squared_by_cell(self, slopes: Floats) -> Floats:
        """Squares of what slopes add to runs, summed over each configuration's: (sums, configurations)."""
        import numpy as np

        if self.width <= _FEW:
            products = (slopes[:, :, None] * slopes[:, None, :]).reshape(len(slopes), -1)
            found: Floats = products @ self._products
            return found
        order = np.argsort(self._cell, kind="stable")
        starts = np.concatenate([[0], np.cumsum(self._counts)[:-1]])
        summed: Floats = np.add.reduceat(self.at(slopes)[:, order] ** 2, starts, axis=1)
        return summed

    @cached_property
    def _products(self) -> Floats:
        """Products of the columns for each configuration: (columns × columns, configurations)."""
        import numpy as np

        columns = self.at(np.eye(self.width))
        found: Floats = np.array(
            [np.bincount(self._cell, weights=a * b, minlength=self._size) for a in columns for b in columns]
        ).reshape(self.width**2, self._size)
        return found
