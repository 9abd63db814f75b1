"""The points of one backend: a base, and dimensions of which each point takes one row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

from llem.config.compose import BACKEND_OPTIONS, Backend, Composer, Part
from llem.config.experiment import ExperimentConfig
from llem.config.keys import Vocabulary
from llem.config.problems import Problem
from llem.sweep.dimensions import Dimension, Path
from llem.sweep.overlay import laid

_REMEMBERED = 4_096
_UNSET: Any = object()


class Block:
    """A Cartesian product. Sections are composed once for each combination of the rows that touch them.

    Args:
        composer: validates sections.
        spec: the backend of all points.
        base: sections by key, nested.
        dimensions: what varies; the last one fastest. None: a single point.
        values: what every point of the block sets, by dotted key (an explicit experiment's own keys).
        origin: maps a key of the base to where it stands in the study.
    """

    def __init__(
        self,
        composer: Composer,
        spec: Backend,
        base: Mapping[str, Any],
        dimensions: Sequence[Dimension],
        vocabulary: Vocabulary,
        *,
        values: Mapping[str, Any] | None = None,
        origin: Callable[[Path], Path] = lambda key: key,
    ) -> None:
        self.spec = spec
        self._composer = composer
        self._base = base
        self._dimensions = dimensions
        self._vocabulary = vocabulary
        self._values = values or {}
        self._origin = origin
        self._lengths = [len(d) for d in dimensions]
        self.size = prod(self._lengths)
        self._at = {name: place for place, name in enumerate(composer.names)}
        self._names = [spec.name if part == BACKEND_OPTIONS else part for part in composer.names]
        self._setters = [self._setters_of(name) for name in self._names]
        self._touching = [tuple(dict.fromkeys(place for place, *_ in setters)) for setters in self._setters]
        for name, place in self._at.items():
            if composer.is_brought(name) or composer.is_defaulted(name):
                self._touching[place] = self._also_touching(place, ("measurement", "scenario"))
        if spec.fit is not None:
            options = self._at[BACKEND_OPTIONS]
            self._touching[options] = self._also_touching(options, ("dataset", "n"), ("measurement", "scenario"))
        self._made: list[dict[tuple[int, ...], Part]] = [{} for _ in self._names]

    def _setters_of(self, name: str) -> list[tuple[int, str, tuple[str, ...]]]:
        """Dimension, key and path below the section of all that varies in a section; longer keys later, so that they win."""
        found = []
        for place, dimension in enumerate(self._dimensions):
            for key in dimension.keys:
                section, *path = key.split(".")
                if section == name:
                    found.append((place, key, tuple(path)))
        return sorted(found, key=lambda setter: len(setter[2]))

    def _also_touching(self, place: int, *fields: tuple[str, str]) -> tuple[int, ...]:
        """Dimensions that a section depends on: its own, and those of fields of other sections."""
        others = [
            dimension
            for section, key in fields
            for dimension, _, path in self._setters[self._at[section]]
            if path in ((), (key,))
        ]
        return tuple(dict.fromkeys((*self._touching[place], *others)))

    def digits(self, index: int) -> list[int]:
        """The row that each dimension has in a point."""
        found = []
        for length in reversed(self._lengths):
            index, digit = divmod(index, length)
            found.append(digit)
        return found[::-1]

    def parts(self, index: int) -> list[Part]:
        """The sections of a point, in the order of the composer's names."""
        digits = self.digits(index)
        return [self._part(place, digits) for place in range(len(self._names))]

    def config(self, index: int) -> ExperimentConfig:
        """The experiment of a point without problems."""
        return self._composer.assemble(self.spec.name, self.parts(index))

    def values(self, index: int) -> dict[str, Any]:
        """The values that distinguish a point: dotted keys to their values as written."""
        found = dict(self._values)
        for dimension, digit in zip(self._dimensions, self.digits(index), strict=True):
            found.update(dimension.row(digit))
        return found

    def walk(self) -> Iterator[list[Part]]:
        """The sections of every point in order. It is one list, changed in place from point to point."""
        last = len(self._lengths) - 1
        lengths, digits = self._lengths, [0] * len(self._lengths)
        stale = [
            [part for part, touching in enumerate(self._touching) if any(t >= place for t in touching)]
            for place in range(len(lengths))
        ]
        parts = [self._part(place, digits) for place in range(len(self._names))]
        yield parts
        for _ in range(self.size - 1):
            place = last
            while digits[place] == lengths[place] - 1:
                digits[place] = 0
                place -= 1
            digits[place] += 1
            for part in stale[place]:
                parts[part] = self._part(part, digits)
            yield parts

    def _part(self, place: int, digits: Sequence[int]) -> Part:
        key = tuple([digits[t] for t in self._touching[place]])
        made = self._made[place]
        part = made.get(key)
        if part is None:
            if len(made) >= _REMEMBERED:
                made.clear()
            part = made[key] = self._composed(place, digits)
        return part

    def _composed(self, place: int, digits: Sequence[int]) -> Part:
        name, raw = self._composer.names[place], self._raw(place, digits)
        if self._composer.is_brought(name):
            return self._composer.brought(name, raw, self.spec, self._part(self._at["measurement"], digits))
        if self._composer.is_defaulted(name):
            raw = self._composer.with_defaults(name, raw, self._part(self._at["measurement"], digits))
        compose = self._composer.part if len(self._setters[place]) < 2 else self._composer.make
        part = compose(name, raw, self.spec)
        if name != BACKEND_OPTIONS or self.spec.fit is None:
            return part
        dataset, measurement = (self._part(self._at[section], digits) for section in ("dataset", "measurement"))
        return self._composer.fitted(part, self.spec, dataset, measurement)

    def _raw(self, place: int, digits: Sequence[int]) -> Any:
        raw: Any = self._base.get(self._names[place], {})
        for dimension, key, path in self._setters[place]:
            value = self._dimensions[dimension].row(digits[dimension]).get(key, _UNSET)
            if value is not _UNSET:
                raw = laid(self._names[place], raw, path, value, self._vocabulary)
        return raw

    def causes(self, index: int, problem: Problem) -> tuple[Path, dict[str, Any]]:
        """Where the value at fault stands in the study, and the values of the point that take part in the section at fault."""
        digits = self.digits(index)
        section = self._names.index(str(problem.key[0])) if problem.key[0] in self._names else None
        if section is None or not self._setters[section]:
            return self._origin(problem.key), dict(self._values)
        rows = {d: self._dimensions[d].row(digits[d]) for d in self._touching[section]}
        values = {key: rows[d][key] for d, key, _ in self._setters[section] if key in rows[d]}
        full = ".".join(map(str, problem.key))
        given = [(d, key) for d, key, _ in self._setters[section] if key in rows[d]]
        exact = [(d, key) for d, key in given if full == key or full.startswith(f"{key}.")]
        inside = [(d, key) for d, key in given if key.startswith(f"{full}.")]
        if not exact and not inside:
            return self._origin(problem.key), values
        dimension, key = (exact or inside)[-1]
        return self._dimensions[dimension].where(digits[dimension], key), values
