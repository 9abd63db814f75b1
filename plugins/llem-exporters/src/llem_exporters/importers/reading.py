"""Doors to other tools' files: JSON and text of bounded size, and numbers that are numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.plugin_api import ResultError, parse_json, read_file
from llem_exporters.importers.working_out import CONVERTED, Told

MOST_FILES = 20_000
"""Files that are read of one folder; a larger one is no folder of results."""


def read_text(file: Path, what: str, most: int = 512 * 2**20) -> str:
    """Read a text file as a whole.

    Raises:
        ResultError: it is missing, no regular file, too large, or no UTF-8.
    """
    try:
        return read_file(file, most).decode("utf-8-sig")
    except OSError as error:
        raise ResultError(f"this {what} cannot be read: {error.strerror or error}.", where=str(file)) from error
    except UnicodeDecodeError as error:
        raise ResultError(
            f"this {what} is no UTF-8 text (byte {error.start:,}).", where=str(file), remedy="Save it as UTF-8."
        ) from error


def json_of(file: Path, what: str) -> Any:
    """The value that a JSON file holds. Raises ResultError."""
    try:
        return parse_json(read_text(file, what))
    except ValueError as error:
        raise ResultError(f"this {what} is not JSON: {' '.join(str(error).split())}.", where=str(file)) from error


def objects_of(file: Path, what: str) -> list[dict[str, Any]]:
    """The JSON objects of a file: one, a list of them, or one a line. Raises ResultError."""
    text = read_text(file, what)
    try:
        found = parse_json(text)
    except ValueError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise ResultError(f"this {what} is not JSON: {' '.join(str(error).split())}.", where=str(file)) from error
        found = []
        for number, line in enumerate(lines, 1):
            try:
                found.append(parse_json(line))
            except ValueError as bad:
                raise ResultError(
                    f"this {what} is neither one JSON document nor one a line: line {number}: "
                    f"{' '.join(str(bad).split())}.",
                    where=str(file),
                ) from bad
    found = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) for one in found):
        raise ResultError(f"this {what} holds something else than JSON objects.", where=str(file))
    return found


def files_of(path: Path, name: str, what: str) -> list[Path]:
    """The file itself, or those of this name anywhere below a folder, in order.

    Raises:
        ResultError: the folder holds none.
    """
    if not path.is_dir():
        return [path]
    found: list[Path] = []
    for one in path.rglob(name):
        found.append(one)
        if len(found) > MOST_FILES:
            raise ResultError(f"more than {MOST_FILES:,} files of it are called {name}.", where=str(path))
    if not found:
        raise ResultError(f"no file below it is called {name}, as a {what} is.", where=str(path))
    return sorted(found)


def at(data: Any, *path: str) -> Any:
    """The value at a path of keys; None where there is nothing."""
    for key in path:
        if not isinstance(data, Mapping):
            return None
        data = data.get(key)
    return data


def number(value: Any, name: str, where: str) -> float | None:
    """A finite number; None for null, for what is not finite, and for text that stands for these.

    Raises:
        ResultError: it is something else.
    """
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:
            return None
        return found if math.isfinite(found) else None
    raise ResultError(f"its `{name}` is no number: {str(value)[:60]!r}.", where=where)


def text(value: Any) -> str | None:
    """Text that is not empty; None for anything else."""
    return value.strip()[:500] or None if isinstance(value, str) else None


def require(data: Mapping[str, Any], keys: Sequence[str], what: str, where: str) -> None:
    """Raise ResultError where a file lacks what every file of its form has."""
    if missing := [key for key in keys if key not in data]:
        raise ResultError(f"it is no {what}: it has no {', '.join(missing)}.", where=where)


class Teller:
    """Values of one run, gathered from a file's own names for them.

    Attributes:
        data, where: the file's content and its place.
        told: column to the value and its source.
    """

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self.data, self.where = data, where
        self.told: dict[str, Told] = {}

    def number(self, *path: str) -> float | None:
        """The number at a path; None where there is none."""
        return number(at(self.data, *path), ".".join(path), self.where)

    def tell(self, column: str, *path: str, factor: float = 1.0, unit: str = "", above_zero: bool = False) -> None:
        """Take the number at a path for a column.

        Args:
            factor: to llem's unit.
            unit: of the file, where it is another one.
            above_zero: 0 stands for nothing in this file.
        """
        value = self.number(*path)
        if value is None or (above_zero and value <= 0):
            return
        name = ".".join(path)
        self.told[column] = Told(value * factor, f"{name}{CONVERTED}{unit}" if unit else name)

    def distribution(
        self, family: str, names: Mapping[str, Sequence[str]], factor: float = 1.0, unit: str = ""
    ) -> None:
        """Take a latency's moments from their paths; a distribution whose mean is 0 is one of nothing."""
        first = names.get("mean")
        if first is not None and (self.number(*first) or 0) <= 0:
            return
        for moment, path in names.items():
            self.tell(f"latency.{family}.{moment}", *path, factor=factor, unit=unit)
        if "n" in names:
            self.tell(f"latency.{family}.n", *names["n"])
