"""A study's experiments, without ever holding them all: random access, and iteration free of duplicates."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

from llem.config.compose import PARTS, Composer, Part, assemble
from llem.config.experiment import ExperimentConfig
from llem.config.identity import identity_head
from llem.config.keys import Vocabulary
from llem.config.problems import ABSENT, Problem, raise_all
from llem.config.study import StudyConfig
from llem.errors import ConfigError
from llem.specs.backend import BackendSpec
from llem.sweep.block import Block
from llem.sweep.faults import Faults
from llem.sweep.layout import lay_out

DIGEST = 32
"""Bytes of an identity."""

NAMED = 20
"""How many pairs of duplicates are named; the rest are counted."""

_KEY_BYTES = 15


@dataclass(frozen=True)
class Point:
    """One distinct experiment of a study.

    Attributes:
        index: its number among all points, duplicates counted, from 0.
        config_hash: its identity.
        values: dotted keys that distinguish it, with their values as written in the study.
    """

    index: int
    config_hash: str
    values: Mapping[str, Any]
    _backend: str = field(repr=False)
    _parts: Sequence[Part] = field(repr=False, compare=False)

    @cached_property
    def config(self) -> ExperimentConfig:
        """The experiment, resolved."""
        return assemble(self._backend, self._parts)


@dataclass(frozen=True)
class Duplicate:
    """Two points of one identity: the first is kept, the other dropped. Indices are those of `Point.index`."""

    config_hash: str
    kept: int
    kept_values: Mapping[str, Any]
    dropped: int
    dropped_values: Mapping[str, Any]


@dataclass(frozen=True)
class Duplicates:
    """How many points were dropped because an earlier one is the same experiment, and the first pairs by name."""

    count: int = 0
    named: Sequence[Duplicate] = ()


@dataclass(frozen=True)
class _Scan:
    """What one pass over all points found: which are kept, and their identities, `DIGEST` bytes each, in order."""

    kept: Sequence[int]
    digests: bytearray
    duplicates: Duplicates


class Sweep:
    """The experiments of a study.

    The sweep is read at once; points are validated at the first use of anything but `size` and `point`, all of them, so
    that whatever is wrong is reported together. Duplicates are known by 120 bits of their identity: among a million
    points two different ones agree in them with a probability of 10⁻²⁴.

    Args:
        study: the study.
        backends: specs by name.
        locate: says where a key of the study stands, for messages.

    Raises:
        ConfigError: the sweep cannot be read, has no points, or more than `execution.max_experiments`.
        PluginError: it uses a backend that is not installed.
    """

    def __init__(
        self, study: StudyConfig, backends: Mapping[str, BackendSpec], locate: Callable[[Sequence[str | int]], str]
    ) -> None:
        self._locate = locate
        self._composer = Composer(backends)
        self._blocks = lay_out(study, self._composer, Vocabulary(backends), locate)
        self._ends = list(accumulate(block.size for block in self._blocks))
        self.size = self._ends[-1]
        """How many points there are, duplicates counted; known without expanding."""
        if self.size > study.execution.max_experiments:
            raise ConfigError(
                f"the sweep has {self.size:,} points; at most {study.execution.max_experiments:,} are expanded.",
                where=locate(("sweep",)),
                remedy="Shorten its axes, or raise execution.max_experiments.",
            )

    def point(self, index: int) -> Point:
        """The point of this number, duplicates counted. Raises IndexError, and ConfigError where it is not valid."""
        block, inner = self._place(index)
        parts = block.parts(inner)
        if any(part.problems for part in parts):
            faults = Faults()
            faults.add(block, inner, parts)
            faults.raise_all(self.size, self._locate)
        digest = hashlib.sha256(_text(identity_head(block.spec.name), parts)).hexdigest()
        return Point(index, digest, block.values(inner), block.spec.name, parts)

    def __iter__(self) -> Iterator[Point]:
        scan = self._scan
        return (self.kept(number) for number in range(len(scan.kept)))

    def __len__(self) -> int:
        return len(self._scan.kept)

    def kept(self, number: int) -> Point:
        """The distinct experiment of this number, from 0."""
        return self.point(self._scan.kept[number])

    @property
    def duplicates(self) -> Duplicates:
        """What was dropped."""
        return self._scan.duplicates

    def digests(self) -> Iterator[bytes]:
        """The identity of every distinct experiment, in order, as 32 bytes."""
        digests = self._scan.digests
        return (bytes(digests[at : at + DIGEST]) for at in range(0, len(digests), DIGEST))

    def parts(self) -> Iterator[tuple[BackendSpec, Sequence[Part]]]:
        """Backend and sections (in the order of `PARTS`) of every distinct experiment; one list, changed in place."""
        kept = iter(self._scan.kept)
        wanted = next(kept, None)
        for index, block, _, parts in self._walk():
            if index == wanted:
                yield block.spec, parts
                wanted = next(kept, None)

    def _place(self, index: int) -> tuple[Block, int]:
        if not 0 <= index < self.size:
            raise IndexError(index)
        number = bisect_right(self._ends, index)
        block = self._blocks[number]
        return block, index - (self._ends[number] - block.size)

    def _walk(self) -> Iterator[tuple[int, Block, int, list[Part]]]:
        index = 0
        for block in self._blocks:
            for inner, parts in enumerate(block.walk()):
                yield index, block, inner, parts
                index += 1

    @cached_property
    def _scan(self) -> _Scan:
        known: set[int] = set()
        digests = bytearray()
        kept: Sequence[int] = range(self.size)
        dropped, pairs = 0, []
        faults = Faults()
        index = 0
        for block in self._blocks:
            head = identity_head(block.spec.name)
            for inner, parts in enumerate(block.walk()):
                text = _text(head, parts)
                if text is None:
                    faults.add(block, inner, parts)
                else:
                    digest = hashlib.sha256(text).digest()
                    ...
                index += 1
