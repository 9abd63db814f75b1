"""An exporter: a form that others read, and what writes results in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from llem.results.models import ExperimentResult

if TYPE_CHECKING:
    import pyarrow as pa

Output = Literal["text", "file", "folder", "service"]
"""The place that an exporter writes to: the word for what `--output` names."""


@dataclass(frozen=True, kw_only=True)
class ExporterSpec:
    """Registration of an exporter, by `llem_exporters`.

    Attributes:
        name: the word in `llem export --format`.
        api_version: the `API_VERSION` that it was written for.
        summary: what it writes and who reads it, one line.
        write: `package.module:function`; takes a `StudySource` and where to write, and returns `Exported`.
        output: what `--output` names. `text`: a file, or standard output where it is left out; `write` gets a stream of text.
            `file` and `folder`: it must be given, and `write` gets the `Path`. `service`: an address, and `write` gets the
            text or None.
    """

    name: str
    api_version: int
    summary: str
    write: str
    output: Output = "text"


class StudySource(Protocol):
    """A study to export, as `write` gets it. What was not measured is None in a row, never 0."""

    @property
    def path(self) -> Path:
        """The study's folder, or its `results.parquet`."""

    @property
    def name(self) -> str:
        """The study's name."""

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """A row for each experiment and cycle: every column of `results.parquet`, computed metrics, the footprint where asked for."""

    def table(self) -> pa.Table:
        """The rows as an Arrow table."""

    def results(self) -> Iterator[tuple[str, ExperimentResult]]:
        """Every result that is done, with its job directory relative to the study's folder, in the study's order."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The files or records that were written.

    Attributes:
        count: how many.
        what: of what, such as `runs`.
        left_out: what could not be written and why, a sentence each.
        address: where it went, where the exporter chose that itself; None where the user did.
    """

    count: int
    what: str = "runs"
    left_out: Sequence[str] = ()
    address: str | None = None
