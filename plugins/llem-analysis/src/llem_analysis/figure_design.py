"""The design behind figures: all that follows from which configurations and runs have one, whatever its values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from llem_analysis import contexts
from llem_analysis.aliasing import Columns
from llem_analysis.contexts import Rectangles, Steps
from llem_analysis.decomposition import Decomposition, decompose
from llem_analysis.design import Configured
from llem_analysis.effect_models import Parameter
from llem_analysis.run_layout import RunLayout
from llem_analysis.space import Space, make_space
from llem_analysis.sums import Folded
from llem_analysis.timeline import timeline


class FigureDesign:
    """Parameters over configurations, and runs over time. Everything is computed where it is first asked for, and once."""

    def __init__(self, space: Space, layout: RunLayout) -> None:
        self.space, self.layout = space, layout
        self._steps: dict[str, Steps] = {}
        self._rectangles: dict[tuple[str, str], Rectangles | None] = {}

    @cached_property
    def columns(self) -> Columns:
        """Columns of the design by term."""
        return Columns(self.space)

    @cached_property
    def split(self) -> Decomposition | None:
        """The variance's terms; None where a combination is missing."""
        return decompose(self.space)

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """Pairs of parameters that may interact."""
        return self.space.pairs()

    @cached_property
    def left(self) -> Folded:
        """An orthonormal basis of what effects and interactions of two leave of the configurations."""
        return Folded.of_rows(self.columns.left)

    def steps(self, name: str) -> Steps:
        """The steps of one parameter."""
        if name not in self._steps:
            self._steps[name] = contexts.steps(self.space, name)
        return self._steps[name]

    def rectangles(self, pair: tuple[str, str]) -> Rectangles | None:
        """The rectangles of two parameters."""
        if pair not in self._rectangles:
            self._rectangles[pair] = contexts.rectangles(self.space, pair)
        return self._rectangles[pair]


class Designs:
    """The designs of a study's figures. Most figures are had by the same runs, and share one."""

    def __init__(self, parameters: Sequence[Parameter], configurations: Sequence[Configured]) -> None:
        self._parameters, self._configurations = parameters, configurations
        self._known: dict[tuple[tuple[int, ...], ...], FigureDesign] = {}

    def of(
        self, places: Sequence[int], cell: Sequence[int], cycles: Sequence[int], positions: Sequence[int | None]
    ) -> FigureDesign:
        """The design of some configurations, by their places, with their runs.

        Args:
            cell: for each run the number of its configuration among these.
        """
        import numpy as np

        key = (tuple(places), tuple(cell), tuple(cycles), tuple(-1 if p is None else p for p in positions))
        if key not in self._known:
            space = make_space(self._parameters, [self._configurations[place].levels for place in places])
            of_run = np.array(cell, dtype=np.int64)
            when = timeline(of_run, cycles, positions, len(places))
            self._known[key] = FigureDesign(space, RunLayout(of_run, len(places), when))
        return self._known[key]
