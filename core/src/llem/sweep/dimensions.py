"""The dimensions of a sweep: an axis (one key), or a group (several keys together)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from llem.sweep.values import Values

BACKEND = "backend"
Path = tuple[str | int, ...]


class Dimension(Protocol):
    """Something that takes one of several rows of values in each point."""

    @property
    def label(self) -> str:
        """Its name in messages."""

    @property
    def path(self) -> Path:
        """Where it stands in the study."""

    @property
    def keys(self) -> Sequence[str]:
        """The dotted keys that it sets."""

    def __len__(self) -> int: ...

    def row(self, index: int) -> Mapping[str, Any]:
        """Dotted keys to their values in one row."""

    def where(self, index: int, key: str) -> Path:
        """Where the value of a key in one row stands in the study."""

    def backends(self) -> Sequence[Any]:
        """The values of `backend` in its rows, as written; empty where it does not set it."""

    def within(self, backend: str, others: Collection[str]) -> Dimension | None:
        """The part of it in experiments of one backend, without keys scoped to the `others`; None for nothing."""


@dataclass(frozen=True)
class Axis:
    """One key and its values."""

    label: str
    path: Path
    values: Values
    rows: Sequence[int] | None = None

    @property
    def keys(self) -> Sequence[str]:
        """Its one key."""
        return (self.label,)

    def __len__(self) -> int:
        return len(self.values if self.rows is None else self.rows)

    def row(self, index: int) -> Mapping[str, Any]:
        """Its key with one value."""
        return {self.label: self.values[index if self.rows is None else self.rows[index]]}

    def where(self, index: int, key: str) -> Path:
        """The value in a list; the range where there is one."""
        if not isinstance(self.values, list):
            return self.path
        return (*self.path, index if self.rows is None else self.rows[index])

    def backends(self) -> Sequence[Any]:
        """All values of the axis `backend`."""
        return [self.values[i] for i in range(len(self.values))] if self.label == BACKEND else []

    def within(self, backend: str, others: Collection[str]) -> Axis | None:
        """The whole axis, or nothing; of the axis `backend` the rows of this one."""
        if self.label == BACKEND:
            rows = [i for i, value in enumerate(self.backends()) if value == backend]
            return Axis(self.label, self.path, self.values, rows)
        return None if scope(self.label) in others else self


@dataclass(frozen=True)
class Group:
    """Several keys that vary together. `rows` are the rows as written, each with its index."""

    label: str
    path: Path
    rows: Sequence[tuple[int, Mapping[str, Any]]]

    @property
    def keys(self) -> Sequence[str]:
        """Every key of any row, in order of first appearance."""
        return list(dict.fromkeys(key for _, row in self.rows for key in row))

    def __len__(self) -> int:
        return len(self.rows)

    def row(self, index: int) -> Mapping[str, Any]:
        """One row."""
        return self.rows[index][1]

    def where(self, index: int, key: str) -> Path:
        """The key in its row."""
        return (*self.path, self.rows[index][0], key)

    def backends(self) -> Sequence[Any]:
        """`backend` in each row; None in a row that leaves it to the base."""
        return [row.get(BACKEND) for _, row in self.rows] if BACKEND in self.keys else []

    def within(self, backend: str, others: Collection[str]) -> Group | None:
        """Rows of this backend without keys of others. Rows that only those keys told apart become one."""
        left: list[tuple[int, Mapping[str, Any]]] = []
        seen: set[str] = set()
        for number, row in self.rows:
            if row.get(BACKEND, backend) != backend:
                continue
            kept = {key: value for key, value in row.items() if scope(key) not in others}
            if len(kept) < len(row) and repr(kept) in seen:
                continue
            seen.add(repr(kept))
            left.append((number, kept))
        return Group(self.label, self.path, left) if any(row for _, row in left) else None


def scope(key: str) -> str:
    """The first part of a dotted key: its section or backend."""
    return key.partition(".")[0]
