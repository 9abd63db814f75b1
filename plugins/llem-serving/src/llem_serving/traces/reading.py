"""The reader of traces: tells the format, reads every line, and puts rows in order."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llem.plugin_api import DatasetError
from llem_serving.traces import azure, burstgpt, mooncake
from llem_serving.traces.bounded_lines import BoundedLines
from llem_serving.traces.csv_columns import normal, split
from llem_serving.traces.row_parser import ParsedRow, RowParser
from llem_serving.traces.trace import Trace

_HEADED: Mapping[str, tuple[str, Callable[[str], RowParser]]] = {
    "burstgpt": (burstgpt.TOLD_BY, burstgpt.row_parser),
    "azure": (azure.TOLD_BY, azure.row_parser),
}

FORMATS = ("mooncake", *_HEADED)
"""Names of the formats."""

_REMEDY = "Correct the line or remove it: none is skipped in silence."


def read_trace(path: Path, format: str | None = None) -> Trace:  # noqa: A002 - the word of the configuration
    """Read a whole trace.

    Args:
        path: the file, up to 4 GiB.
        format: one of `FORMATS`; None where the first line tells.

    Raises:
        DatasetError: it cannot be read, is of no known format, has a faulty line (named with its number), or has no request.
    """
    if format is not None and format not in FORMATS:
        raise DatasetError(
            f"there is no trace format {format!r}.", where=str(path), remedy=f"Give one of {', '.join(FORMATS)}."
        )
    lines, columns = BoundedLines(path), _Columns()
    parse: RowParser | None = None
    for number, line in lines:
        try:
            if parse is not None:
                columns.add(parse(line))
                continue
            format = format or _told(line)  # noqa: A001
            parse = mooncake.parse_row if format == "mooncake" else _HEADED[format][1](line)
            if format == "mooncake":
                columns.add(parse(line))
        except ValueError as error:
            raise DatasetError(
                f"this line cannot be used: {error}.", where=f"{path}:{number}", remedy=_REMEDY
            ) from error
    if parse is None:
        raise DatasetError("it is empty.", where=str(path), remedy="Give a file with requests.")
    if not columns.time_ns:
        raise DatasetError(
            "it has no request with both input and output tokens.", where=str(path), remedy="Give a file with requests."
        )
    assert format is not None
    return columns.trace(path.name, format, lines.sha256)


def _told(line: str) -> str:
    if line.startswith("{"):
        return "mooncake"
    columns = [normal(name) for name in split(line)]
    for name, (told_by, _) in _HEADED.items():
        if normal(told_by) in columns:
            return name
    raise ValueError(
        "no trace begins so. A first line is a JSON object (mooncake), or a header with the column "
        + " or ".join(f"{told_by!r} ({name})" for name, (told_by, _) in _HEADED.items())
    )


@dataclass
class _Columns:
    """Rows as they are read."""

    time_ns: array[int] = field(default_factory=lambda: array("q"))
    asked: array[int] = field(default_factory=lambda: array("q"))
    answered: array[int] = field(default_factory=lambda: array("q"))
    hash_ids: list[tuple[int, ...] | None] = field(default_factory=list)
    failed: int = 0
    promptless: int = 0
    has_hashes: bool = False

    def add(self, row: ParsedRow) -> None:
        time_ns, asked, answered, hash_ids = row
        if answered == 0:
            self.failed += 1
            return
        if asked == 0:
            self.promptless += 1
            return
        if hash_ids is not None and not self.has_hashes:
            self.has_hashes = True
            self.hash_ids = [None] * len(self.time_ns)
        self.time_ns.append(time_ns)
        self.asked.append(asked)
        self.answered.append(answered)
        if self.has_hashes:
            self.hash_ids.append(hash_ids)

    def trace(self, name: str, format: str, sha256: str) -> Trace:  # noqa: A002
        time_ns = np.array(self.time_ns, dtype=np.int64)
        # Of rows at the same time the one that stands first in the file stays first.
        order = np.argsort(time_ns, kind="stable")
        time_ns = time_ns[order]
        return Trace(
            name=name,
            format=format,
            sha256=sha256,
            arrival_s=(time_ns - time_ns[0]) / 1e9,
            input_tokens=np.array(self.asked, dtype=np.int64)[order],
            output_tokens=np.array(self.answered, dtype=np.int64)[order],
            hash_ids=[self.hash_ids[place] for place in order] if self.has_hashes else None,
            failed=self.failed,
            promptless=self.promptless,
            out_of_order=_out_of_order(np.array(self.time_ns, dtype=np.int64)),
        )


def _out_of_order(time_ns: NDArray[np.int64]) -> int:
    """Rows that stand after one of a later time."""
    return int(np.count_nonzero(time_ns < np.maximum.accumulate(time_ns)))
