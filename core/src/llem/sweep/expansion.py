"""A study's experiments, without ever holding them all: random access, and iteration free of duplicates."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from llem.config.compose import Backend, Composer, Part, Scenario
from llem.config.experiment import ExperimentConfig
from llem.config.identity import identity_head
from llem.config.keys import Vocabulary
from llem.config.study import StudyConfig
from llem.datasets.jsonl import count_prompts
from llem.errors import ConfigError
from llem.sweep.block import Block
from llem.sweep.faults import Faults
from llem.sweep.layout import lay_out

DIGEST = 32
"""Bytes of an identity."""

NAMED = 20
"""Number of pairs of duplicates that are named; the rest are counted."""

_KEY_BYTES = 15


@dataclass(frozen=True)
class Point:
    """One distinct experiment of a study.

    Attributes:
        index: its number among all points, duplicates counted, from 0.
        config_hash: its identity.
    """

    index: int
    config_hash: str
    _block: Block = field(repr=False, compare=False)
    _inner: int = field(repr=False, compare=False)

    @property
    def backend(self) -> str:
        """Name of its backend."""
        return self._block.spec.name

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """Dotted keys that distinguish it, with their values as written in the study."""
        return self._block.values(self._inner)

    @cached_property
    def config(self) -> ExperimentConfig:
        """The experiment, resolved."""
        return self._block.config(self._inner)


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
    """The number of points dropped because an earlier one is the same experiment, and the first pairs by name."""

    count: int = 0
    named: Sequence[Duplicate] = ()


@dataclass(frozen=True)
class _Scan:
    """The result of one pass over all points: those kept, and their identities, `DIGEST` bytes each, in order."""

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
        scenarios: likewise.
        locate: says where a key of the study stands, for messages.
        base_dir: the folder that paths of datasets start from; None: their files are not looked at.

    Raises:
        ConfigError: the sweep cannot be read, has no points, or more than `execution.max_experiments`.
        PluginError: it uses a backend that is not installed.
    """

    def __init__(
        self,
        study: StudyConfig,
        backends: Mapping[str, Backend],
        scenarios: Mapping[str, Scenario],
        locate: Callable[[Sequence[str | int]], str],
        base_dir: Path | None = None,
    ) -> None:
        self._locate = locate
        sizes = partial(count_prompts, base_dir=str(base_dir)) if base_dir is not None else None
        self._composer = Composer(backends, scenarios, sizes)
        self._blocks = lay_out(study, self._composer, Vocabulary(backends, scenarios=scenarios), locate)
        self._ends = list(accumulate(block.size for block in self._blocks))
        self.size = self._ends[-1]
        """Number of points, duplicates counted; known without expanding."""
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
        return Point(index, digest, block, inner)

    def __iter__(self) -> Iterator[Point]:
        scan = self._scan
        return (self.kept(number) for number in range(len(scan.kept)))

    def __len__(self) -> int:
        return len(self._scan.kept)

    def kept(self, number: int) -> Point:
        """The distinct experiment of this number, from 0."""
        scan = self._scan
        index = scan.kept[number]
        block, inner = self._place(index)
        return Point(index, scan.digests[number * DIGEST : (number + 1) * DIGEST].hex(), block, inner)

    @property
    def duplicates(self) -> Duplicates:
        """The points that were dropped."""
        return self._scan.duplicates

    def digests(self) -> Iterator[bytes]:
        """The identity of every distinct experiment, in order, as 32 bytes."""
        digests = self._scan.digests
        return (bytes(digests[at : at + DIGEST]) for at in range(0, len(digests), DIGEST))

    @property
    def backends(self) -> Sequence[str]:
        """Names of the backends in use, in order of appearance."""
        return list(dict.fromkeys(block.spec.name for block in self._blocks))

    @property
    def names(self) -> Sequence[str]:
        """The names of sections, in the order of `parts`."""
        return self._composer.names

    def parts(self) -> Iterator[Sequence[Part]]:
        """The sections (in the order of `names`) of every distinct experiment, in order; one list, changed in place."""
        kept = iter(self._scan.kept)
        wanted = next(kept, None)
        everything = (parts for block in self._blocks for parts in block.walk())
        for index, parts in enumerate(everything):
            if index == wanted:
                yield parts
                wanted = next(kept, None)

    def _place(self, index: int) -> tuple[Block, int]:
        if not 0 <= index < self.size:
            raise IndexError(index)
        number = bisect_right(self._ends, index)
        block = self._blocks[number]
        return block, index - (self._ends[number] - block.size)

    @cached_property
    def _scan(self) -> _Scan:
        known: set[int] = set()
        digests = bytearray()
        kept: array[int] | None = None  # None: all so far
        dropped = 0
        pairs: list[Duplicate] = []
        faults = Faults()
        index = 0
        for block in self._blocks:
            head = identity_head(block.spec.name)
            for inner, parts in enumerate(block.walk()):
                if any(part.problems for part in parts):
                    faults.add(block, inner, parts)
                    index += 1
                    continue
                digest = hashlib.sha256(_text(head, parts)).digest()
                key = int.from_bytes(digest[:_KEY_BYTES], "little")
                if key in known:
                    if kept is None:
                        kept = array("Q", range(index))
                    if dropped < NAMED and not faults.points:
                        pairs.append(self._pair(digests, kept, digest, index))
                    dropped += 1
                else:
                    known.add(key)
                    digests += digest
                    if kept is not None:
                        kept.append(index)
                index += 1
        if faults.points:
            faults.raise_all(self.size, self._locate)
        return _Scan(range(index) if kept is None else kept, digests, Duplicates(dropped, tuple(pairs)))

    def _pair(self, digests: bytearray, kept: Sequence[int], digest: bytes, index: int) -> Duplicate:
        at = digests.find(digest)
        while at % DIGEST:
            at = digests.find(digest, at + 1)
        first = kept[at // DIGEST]
        return Duplicate(digest.hex(), first, self._values(first), index, self._values(index))

    def _values(self, index: int) -> Mapping[str, Any]:
        block, inner = self._place(index)
        return block.values(inner)


def _text(head: str, parts: Sequence[Part]) -> bytes:
    return f"{head}{''.join([part.fragment for part in parts])}}}]".encode()
