"""Effects where combinations are missing: ordinary least squares over effect-coded parameters (sums of effects are 0).

The means are those of the fitted model with every value counting the same ("least squares means", "population marginal
means": Searle, Speed and Milliken, The American Statistician 34(4), 1980). An interaction of two enters where all its
combinations are there and the columns it adds can be told from those before; with all terms in, F tests over them are of
type III.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llem.analysis.space import Decomposition, Space, Term

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_TOLERANCE = 1e-9


def fit(space: Space, weights: Floats) -> Decomposition:
    """Estimate effects and what interactions can be told. See `decompose`."""
    import numpy as np

    blocks: dict[tuple[str, ...], tuple[Floats, Floats, tuple[tuple[int, ...], ...]]] = {}
    columns = np.ones((space.size, 1))
    confounded, untold = [], []
    for name in space.levels:
        block = _block(space, (name,))
        assert block is not None
        wider = np.hstack([columns, block[0]])
        if _told(wider):
            columns, blocks[(name,)] = wider, block
        else:
            confounded.append(name)
    for pair in space.pairs():
        block = None if set(pair) & set(confounded) else _block(space, pair)
        wider = columns if block is None else np.hstack([columns, block[0]])
        if block is not None and wider.shape[1] <= space.size and _told(wider):
            columns, blocks[pair] = wider, block
        else:
            untold.append(pair)
    root = np.sqrt(weights)[:, None]
    solution: Floats = np.asarray(np.linalg.pinv(columns * root) * root.T, dtype=np.float64)
    terms = dict(_terms(space, blocks, solution))
    return Decomposition(
        space,
        terms,
        "pairs" if any(len(members) == 2 for members in terms) else "main",
        untold=tuple(untold),
        confounded=tuple(confounded),
        columns=columns,
        solution=solution,
        df=space.size - columns.shape[1],
    )


def _terms(space: Space, blocks: Any, solution: Floats) -> Any:
    import numpy as np

    at = 1
    effects: dict[tuple[str, ...], tuple[Floats, tuple[tuple[int, ...], ...]]] = {}
    for members, (columns, grid, cells) in blocks.items():
        effects[members] = (grid @ solution[at : at + columns.shape[1]], cells)
        at += columns.shape[1]
    for members, (found, cells) in effects.items():
        means = np.tile(solution[0], (len(cells), 1))
        for part, (matrix, its_cells) in effects.items():
            if set(part) - set(members) <= {space.gate}:
                means += _over(space, members, cells, part, matrix, its_cells)
        yield members, Term(members, cells, found, means, space.weight(members))


def _over(space: Space, members: Any, cells: Any, part: Any, matrix: Floats, its_cells: Any) -> Floats:
    """The effects of one term in each cell of another; over the backends that the cell can be in where it does not say."""
    import numpy as np

    gates: list[int] | None = None
    if space.gate is not None and space.gate in part and space.gate not in members:
        gates = sorted({int(v) for v in space.levels[space.gate][space.within(members)]})
    row_of = {cell: i for i, cell in enumerate(its_cells)}
    found = []
    for cell in cells:
        value = dict(zip(members, cell, strict=True))
        choices = [value] if gates is None else [{**value, space.gate: gate} for gate in gates]
        rows = [row_of[tuple(choice[name] for name in part)] for choice in choices]
        found.append(matrix[rows].mean(axis=0))
    return np.array(found)


def _block(space: Space, members: tuple[str, ...]) -> tuple[Floats, Floats, tuple[tuple[int, ...], ...]] | None:
    """Columns of one term, its grid in the same coding, and the grid's cells; None where a combination is missing."""
    import numpy as np

    cells = space.grid(members)
    if cells is None:
        return None
    inside = space.within(members)
    codes = []
    for place in range(len(members)):
        here = sorted({cell[place] for cell in cells})
        code = np.vstack([np.eye(len(here) - 1), -np.ones(len(here) - 1)])
        codes.append({level: code[i] for i, level in enumerate(here)})

    def coded(levels: Any) -> Any:
        row = codes[0][levels[0]]
        return row if len(members) == 1 else np.kron(row, codes[1][levels[1]])

    grid = np.array([coded(cell) for cell in cells])
    columns = np.zeros((space.size, grid.shape[1]))
    place_of = {cell: i for i, cell in enumerate(cells)}
    where = np.nonzero(inside)[0]
    found = np.stack([space.levels[name][where] for name in members], axis=1)
    columns[where] = grid[[place_of[tuple(int(v) for v in row)] for row in found]]
    return columns, grid, cells


def _told(columns: Floats) -> bool:
    """Whether no column is a combination of the others."""
    import numpy as np

    scaled = columns / np.linalg.norm(columns, axis=0)
    values = np.linalg.eigvalsh(scaled.T @ scaled)
    return bool(values[0] > _TOLERANCE * values[-1])
