"""Everything that is wrong with the points of a sweep, each thing once, with the points that cause it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from llem.config.compose import Part
from llem.config.problems import Key, Locate, Problem, listed, shorten
from llem.errors import ConfigError
from llem.sweep.block import Block

SHOWN = 20
_KEPT = 1_000


@dataclass
class _Fault:
    problem: Problem
    where: Key
    values: Mapping[str, Any]
    points: int = 0
    others: int = 0


class Faults:
    """Collects problems of points. What more than `_KEPT` different ones there are is only counted."""

    def __init__(self) -> None:
        self.points = 0
        self._faults: dict[tuple[Key, str, str], _Fault] = {}
        self._of_part: dict[Part, list[_Fault]] = {}
        self._more = False

    def add(self, block: Block, index: int, parts: Sequence[Part]) -> None:
        """Note an invalid point: its index in the block, and its sections."""
        self.points += 1
        for part in parts:
            if not part.problems:
                continue
            faults = self._of_part.get(part)
            if faults is None:
                if len(self._of_part) >= _KEPT:
                    self._of_part.clear()
                faults = self._of_part[part] = [
                    fault for problem in part.problems if (fault := self._fault(block, index, problem))
                ]
            for fault in faults:
                fault.points += 1

    def _fault(self, block: Block, index: int, problem: Problem) -> _Fault | None:
        where, values = block.causes(index, problem)
        known = (where, problem.text, repr(values))
        fault = self._faults.get(known)
        if fault is None:
            if len(self._faults) >= _KEPT:
                self._more = True
                return None
            fault = self._faults[known] = _Fault(problem, where, values)
        return fault

    def raise_all(self, size: int, locate: Locate) -> NoReturn:
        """Raise one ConfigError that names them all.

        Args:
            size: how many points there are.
            locate: says where a key of the study stands.
        """
        faults = self._by_place(locate)
        over = len(faults) - SHOWN
        lines = listed(
            ((locate(f.where), f"{f.problem.text}{self._cause(f, size)}") for f in faults[:SHOWN]), max(0, over)
        )
        if self._more and over > 0:
            lines[-1] = lines[-1].replace("and ", "and more than ")
        if size == 1:
            if len(faults) == 1:
                raise ConfigError(faults[0].problem.text, where=locate(faults[0].where))
            raise ConfigError("\n".join([f"{len(faults):,} problems in the configuration:", *lines]))
        raise ConfigError("\n".join([f"{self.points:,} of {size:,} points of the study are not valid:", *lines]))

    def _by_place(self, locate: Locate) -> list[_Fault]:
        """The faults; those of one text at one place are one, with the values of the first."""
        found: dict[tuple[str, str], _Fault] = {}
        for fault in self._faults.values():
            known = found.setdefault((locate(fault.where), fault.problem.text), fault)
            if known is not fault:
                found[locate(fault.where), fault.problem.text] = replace(
                    known, points=known.points + fault.points, others=known.others + 1
                )
        return list(found.values())

    def _cause(self, fault: _Fault, size: int) -> str:
        if size == 1:
            return ""
        points = f"{fault.points:,} point" + ("s" if fault.points > 1 else "")
        values = ", ".join(f"{key}={shorten(value)}" for key, value in fault.values.items())
        others = f" and {fault.others:,} other combinations" if fault.others else ""
        return f" ({points}{f' with {values}{others}' if values else ''})"
