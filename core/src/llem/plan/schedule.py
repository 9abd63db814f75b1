"""In which order the cycles of experiments run, and the pause before each. Pure functions."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence

from llem.config.study import ExecutionConfig, Order


class RunOrder:
    """The place of each experiment in the order, without listing them all.

    Args:
        count: how many distinct experiments there are.
        cycles: how often each one runs.
        order: see `ExecutionConfig.order`.
        seed: of the order `shuffled`.
        balanced: after how many cycles the order `latin_square` is balanced; by default after all.
    """

    def __init__(self, count: int, cycles: int, order: Order, seed: int, balanced: int | None = None) -> None:
        self._count, self._cycles, self._order, self._seed = count, cycles, order, seed
        self._balanced = balanced or cycles
        self._shuffled: tuple[int, Sequence[int]] | None = None

    @classmethod
    def of(cls, execution: ExecutionConfig, count: int) -> RunOrder:
        """The order of `count` experiments, with as many cycles as there may be."""
        return cls(count, execution.most_cycles, execution.order, execution.seed, execution.fewest_cycles)

    def __len__(self) -> int:
        return self._count * self._cycles

    def __getitem__(self, place: int) -> tuple[int, int]:
        """Cycle and number of the experiment, both from 0, of a place from 0."""
        if not 0 <= place < len(self):
            raise IndexError(place)
        if self._order == "sequential":
            number, cycle = divmod(place, self._cycles)
            return cycle, number
        cycle, within = divmod(place, self._count)
        match self._order:
            case "shuffled":
                return cycle, self._permutation(cycle)[within]
            case "reversed" if cycle % 2:
                return cycle, self._count - 1 - within
            case "latin_square":
                # Rows of the cyclic Latin square, as far apart as there are cycles to spread over it.
                return cycle, (within + cycle * self._count // self._balanced) % self._count
            case _:
                return cycle, within

    def _permutation(self, cycle: int) -> Sequence[int]:
        if self._shuffled is None or self._shuffled[0] != cycle:
            order = array("Q", range(self._count))
            random.Random(f"{self._seed}:{cycle}").shuffle(order)
            self._shuffled = (cycle, order)
        return self._shuffled[1]


def gap_s(execution: ExecutionConfig, last_cycle: int, following_cycle: int) -> float:
    """The pause between two runs that follow each other (seconds).

    In sequential order the cycles of one experiment follow each other, so that there is no pause between cycles.
    """
    between = is_between_cycles(execution, last_cycle, following_cycle)
    return execution.cycle_gap_s if between else execution.experiment_gap_s


def is_between_cycles(execution: ExecutionConfig, last_cycle: int, following_cycle: int) -> bool:
    """True for two runs between which a cycle ends. The runs of a search are no cycles of one experiment."""
    repeats = execution.order != "sequential" and execution.search.goal is None
    return following_cycle > last_cycle and repeats


def gaps_s(execution: ExecutionConfig, count: int) -> float:
    """All pauses of a study of `count` distinct experiments together, at the least (seconds)."""
    runs = count * execution.fewest_cycles
    if runs == 0:
        return 0.0
    between_cycles = 0 if execution.order == "sequential" else execution.fewest_cycles - 1
    return between_cycles * execution.cycle_gap_s + (runs - 1 - between_cycles) * execution.experiment_gap_s
