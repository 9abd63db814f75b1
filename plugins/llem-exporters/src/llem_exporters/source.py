"""The source of an export: a study's rows, and each run's whole result where a form asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.plugin_api import MODIFIED, SIZE, ExperimentResult, ResultError, inside, read_result
from llem_analysis.footprint import Factors, footprint
from llem_analysis.loading import computed, load_rows, study_name

if TYPE_CHECKING:
    import pyarrow as pa

FOOTPRINT = ("footprint.carbon_g", "footprint.cost", "footprint.factors")
"""Columns that the factors add, where there are any: of the headline's energy over the window."""


@dataclass(frozen=True)
class Source:
    """A study to export.

    Attributes:
        path: its folder or its `results.parquet`.
        factors: for carbon and cost; None adds neither.
    """

    path: Path
    factors: Factors | None = None

    @property
    def name(self) -> str:
        """The study's name."""
        return study_name(self.path)[0]

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each experiment and cycle, with the footprint where there are factors."""
        rows = load_rows(self.path)
        for row in rows:
            row.update(self.footprint(row))
        return rows

    def table(self) -> pa.Table:
        """The rows as an Arrow table, without the stamps of the files that they were read from."""
        from llem.plugin_api import rows_table

        table = rows_table(self.rows).drop_columns([MODIFIED, SIZE])
        for one in computed():  # a name tells no unit
            place = table.schema.get_field_index(one.name)
            field = table.schema.field(place).with_metadata({"unit": one.unit})
            table = table.set_column(place, field, table.column(place))
        return table

    def footprint(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Carbon and cost of one run; nothing without factors, null without energy."""
        if self.factors is None:
            return {}
        energy = row.get("energy.headline.energy_j")
        found = None if energy is None else footprint(energy, self.factors)
        return {
            "footprint.carbon_g": found.carbon_g if found else None,
            "footprint.cost": found.cost if found else None,
            "footprint.factors": self.factors.text,
        }

    def results(self) -> Iterator[tuple[str, ExperimentResult]]:
        """Every result that is done, with its job directory relative to the study's folder, in the study's order."""
        folder = self.path.parent if self.path.suffix == ".parquet" else self.path
        for row in sorted(self.rows, key=lambda r: (r.get("position") or 0, str(r.get("directory")))):
            if row.get("status") == "done":
                directory = str(row["directory"])
                if not inside(folder, directory).is_dir():
                    raise ResultError(
                        "this form takes each run's result.json, and it is not here.",
                        where=str(folder / directory),
                        remedy="Export from the study's folder.",
                    )
                yield directory, read_result(folder / directory)
