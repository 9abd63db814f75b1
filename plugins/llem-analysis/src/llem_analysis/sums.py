"""Weighted sums of configurations' means, many at once: contrasts of what ran."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_RANK = 1e-12
"""Squares of singular values below this share of the largest are 0."""


@dataclass(frozen=True)
class Sums:
    """Sums of few configurations each.

    Attributes:
        row, cell, weight: of each entry, rows ascending.
        n: number of sums.
    """

    row: Ints
    cell: Ints
    weight: Floats
    n: int

    @classmethod
    def of_parts(cls, parts: Sequence[tuple[Sequence[int], Sequence[float]]]) -> Sums:
        """One sum for each pair of configurations and weights."""
        import numpy as np

        lengths = [len(cells) for cells, _ in parts]
        return cls(
            np.repeat(np.arange(len(parts)), lengths),
            np.array([cell for cells, _ in parts for cell in cells], dtype=np.int64),
            np.array([weight for _, weights in parts for weight in weights], dtype=np.float64),
            len(parts),
        )

    @classmethod
    def of_rows(cls, rows: Floats) -> Sums:
        """One sum for each row of weights of all configurations."""
        import numpy as np

        row, cell = np.nonzero(rows)
        return cls(row, cell, rows[row, cell], len(rows))

    def less(self, other: Sums) -> Sums:
        """Each sum minus the other's of its number."""
        import numpy as np

        row = np.concatenate([self.row, other.row])
        order = np.argsort(row, kind="stable")
        return Sums(
            row[order],
            np.concatenate([self.cell, other.cell])[order],
            np.concatenate([self.weight, -other.weight])[order],
            self.n,
        )

    def of(self, values: Floats) -> Floats:
        """The sums of these values of the configurations."""
        import numpy as np

        found = np.bincount(self.row, weights=self.weight * values[self.cell], minlength=self.n)
        return found.astype(np.float64)

    def rows(self, start: int, stop: int, size: int) -> Floats:
        """Some of the sums as rows of weights of all configurations."""
        import numpy as np

        first, last = np.searchsorted(self.row, [start, stop])
        found = np.zeros((stop - start, size))
        np.add.at(found, (self.row[first:last] - start, self.cell[first:last]), self.weight[first:last])
        return found


@dataclass(frozen=True)
class Folded:
    """Sums in which many configurations have the same weights: these share a column.

    Attributes:
        weights: (sums, columns).
        column: of each configuration; -1 where it is in no sum.
    """

    weights: Floats
    column: Ints

    @classmethod
    def of_rows(cls, rows: Floats) -> Folded:
        """Sums that are rows of weights of all configurations."""
        import numpy as np

        return cls(rows, np.arange(rows.shape[1]))

    def folded(self, values: Floats) -> Floats:
        """Values of the configurations, (configurations,) or (configurations, n), summed over each column's."""
        import numpy as np

        inside = self.column >= 0
        found = np.zeros((self.weights.shape[1], *values.shape[1:]))
        np.add.at(found, self.column[inside], values[inside])
        return found

    def of(self, values: Floats) -> Floats:
        """The sums of these values of the configurations."""
        found: Floats = self.weights @ self.folded(values)
        return found

    def spread(self, by_column: Floats) -> Floats:
        """Values of each column at each of its configurations, 0 where a configuration is in no sum."""
        import numpy as np

        found: Floats = np.where(self.column >= 0, by_column[..., self.column], 0.0)
        return found

    def basis(self) -> Folded:
        """An orthonormal basis of the space that the sums span."""
        import numpy as np

        # As many configurations as share a column make it longer.
        length = np.sqrt(self.folded(np.ones(len(self.column))))
        rows = self.weights * length
        many, wide = rows.shape
        # By the smaller of the two products: sums are far more than columns, or the other way round.
        sizes, vectors = np.linalg.eigh(rows.T @ rows if many > wide else rows @ rows.T)
        there = vectors[:, sizes > _RANK * sizes[-1]]
        found = there.T if many > wide else np.linalg.qr(rows.T @ there)[0].T
        return Folded(found / length, self.column)
