"""Parameters as a space over the configurations of a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING

from llem_analysis.effect_models import Parameter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_CELLS = 1024
"""A pair of parameters with more combinations of values than this has its interaction counted with the rest."""


@dataclass(frozen=True)
class Space:
    """The parameters over the configurations of one figure, as arrays.

    Attributes:
        levels: parameter to the value index of each configuration, -1 where another backend's.
        gate: the parameter that chooses the backend, where parameters are nested.
    """

    parameters: Mapping[str, Parameter]
    levels: Mapping[str, NDArray[np.int64]]
    gate: str | None
    size: int

    def within(self, members: Sequence[str]) -> NDArray[np.bool_]:
        """A mask of the configurations that have all these parameters."""
        import numpy as np

        found = np.ones(self.size, dtype=bool)
        for name in members:
            found &= self.levels[name] >= 0
        return found

    def weight(self, members: Sequence[str]) -> float:
        """Share of the measure that has all these parameters."""
        import numpy as np

        if self.gate is None:
            return 1.0
        there = np.unique(self.levels[self.gate][self.within(members)]).size
        return float(there / np.unique(self.levels[self.gate]).size)

    def grid(self, members: Sequence[str]) -> tuple[tuple[int, ...], ...] | None:
        """All combinations of the values of these parameters; None where one is missing in the study, or they are too many."""
        import numpy as np

        inside = self.within(members)
        columns = [self.levels[name][inside] for name in members]
        values = [np.unique(column).tolist() for column in columns]
        if np.prod([len(found) for found in values]) > MOST_CELLS:
            return None
        wanted = list(product(*values))
        seen = np.unique(np.stack(columns, axis=1), axis=0)
        return tuple(wanted) if len(seen) == len(wanted) else None

    def pairs(self) -> list[tuple[str, str]]:
        """Pairs of parameters that some configuration has both of, and that both vary there."""
        import numpy as np

        found = []
        for a, b in combinations(self.levels, 2):
            inside = self.within((a, b))
            if inside.any() and all(np.unique(self.levels[name][inside]).size > 1 for name in (a, b)):
                found.append((a, b))
        return found


def make_space(parameters: Sequence[Parameter], levels: Sequence[Mapping[str, int]]) -> Space:
    """The space of these configurations. A parameter with only one value left among them is left out."""
    import numpy as np

    columns: dict[str, NDArray[np.int64]] = {}
    for parameter in parameters:
        column = np.array([found.get(parameter.name, -1) for found in levels], dtype=np.int64)
        if np.unique(column[column >= 0]).size > 1:
            columns[parameter.name] = column
    nested = any((column < 0).any() for column in columns.values())
    gates = [p.name for p in parameters if "backend" in p.keys and p.name in columns]
    named = {p.name: p for p in parameters}
    return Space(named, columns, gates[0] if nested and gates else None, len(levels))
