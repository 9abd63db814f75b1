"""The mapping of a table: which column is which metric, in which unit, and what varies. A YAML file, or Python's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from llem.plugin_api import ConfigError, Method, ResultError, Scope, closest
from llem_exporters.importers.columns import ENERGY, UNITS, column_of
from llem_exporters.importers.reading import read_text
from llem_exporters.importers.units import Conversion, conversion, known_units

MOST_BYTES = 2**20
"""Largest mapping file; a real one has some hundred lines."""


_TAKEN = {"model.source": "model", "dataset.name": "dataset", "backend": "engine"}
"""Keys that every run has, and what they are called in a mapping."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Cell(_Part):
    """A column of the table, or one value for all rows."""

    column: str | None = None
    value: Any = None

    @model_validator(mode="after")
    def _one(self) -> Cell:
        if (self.column is None) == (self.value is None):
            raise ValueError("takes either `column` or `value`")
        if isinstance(self.value, dict | list):
            raise ValueError("`value` is one value, and no list or mapping")
        return self


class Metric(_Part):
    """A column of the table that holds a metric, and its unit; llem's own unit where none is named."""

    column: str
    unit: str | None = None


class Energy(_Part):
    """Scope and method of the energy: a word for all rows, or a column."""

    scope: Cell = Field(default_factory=lambda: Cell(value="gpu"))
    method: Cell

    @field_validator("scope", "method", mode="before")
    @classmethod
    def _word(cls, given: Any, info: Any) -> Any:
        known = get_args(Scope) if info.field_name == "scope" else get_args(Method)
        if isinstance(given, str):
            if given not in known:
                raise ValueError(f"`{given}` is none of {', '.join(known)}")
            return {"value": given}
        return given


def _text_is_a_value(given: Any) -> Any:
    return given if isinstance(given, Mapping | Cell) or given is None else {"value": given}


def _text_is_a_column(given: Any) -> Any:
    return {"column": given} if isinstance(given, str) else given


Value = Annotated[Cell | None, BeforeValidator(_text_is_a_value)]


class TableMapping(_Part):
    """The mapping of a table.

    Attributes:
        source: where the numbers come from, a sentence or an address.
        separator, decimal, thousands, empty: how the text of a CSV file is read.
        model, engine, dataset, dtype, gpu, cpu: a text that holds for all rows, or `{column: NAME}`.
        gpus: how many GPUs did the work, likewise.
        energy: scope and method of the energy.
        metrics: metric to its column, or to `{column: NAME, unit: UNIT}`.
        parameters: parameter to its column, or to `{value: VALUE}`.
    """

    source: str | None = None
    separator: str = Field(",", min_length=1, max_length=1)
    decimal: str = Field(".", pattern=r"^[.,]$")
    thousands: str = Field("", max_length=1)
    empty: tuple[str, ...] = ("", "-", "n/a", "N/A", "NA", "NaN", "nan", "null", "None")
    model: Value = None
    engine: Value = None
    dataset: Value = None
    dtype: Value = None
    gpu: Value = None
    gpus: Value = None
    cpu: Value = None
    energy: Energy | None = None
    metrics: Mapping[str, Annotated[Metric, BeforeValidator(_text_is_a_column)]]
    parameters: Mapping[str, Annotated[Cell, BeforeValidator(_text_is_a_column)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _differ(self) -> TableMapping:
        if self.thousands == self.decimal:
            raise ValueError("`thousands` and `decimal` are the same character")
        return self


class Reader:
    """A mapping that is checked against llem's metrics and units, and against a table's columns.

    Args:
        mapping: as it was given.
        columns: of the table.
        where: the mapping's place, for messages.

    Attributes:
        metrics: llem's column to the table's, its unit as it was told (None for llem's own), and the conversion.

    Raises:
        ConfigError: a metric, a unit or a column is not known; or energy is mapped without how it was told.
    """

    def __init__(self, mapping: TableMapping, columns: list[str], where: str) -> None:
        self.mapping = mapping
        self.metrics: dict[str, tuple[str, str | None, Conversion]] = {}
        if not mapping.metrics:
            raise ConfigError("it maps no metric.", where=where, remedy="Name one at least under `metrics`.")
        for name, metric in mapping.metrics.items():
            place = f"{where}: metrics.{name}"
            column = column_of(name, place)
            if column in self.metrics:
                raise ConfigError(f"`{column}` is mapped twice.", where=place)
            _require(metric.column, columns, place)
            wanted = UNITS[column]
            converted = Conversion() if metric.unit is None else conversion(metric.unit, wanted)
            if converted is None:
                raise ConfigError(
                    f"`{metric.unit}` is no unit of it.", where=place, remedy=f"Units: {known_units(wanted)}."
                )
            self.metrics[column] = (metric.column, metric.unit if metric.unit != wanted else None, converted)
        if mapping.energy is None and any(column in ENERGY for column in self.metrics):
            raise ConfigError(
                "energy is mapped, and not how it was told.",
                where=f"{where}: energy",
                remedy="Say energy: {scope: gpu, method: power}; methods are counter, power and estimate, scopes gpu, module, "
                "cpu, dram and host.",
            )
        for name in ("model", "engine", "dataset", "dtype", "gpu", "gpus", "cpu"):
            self._check(getattr(mapping, name), columns, f"{where}: {name}")
        for name, cell in mapping.parameters.items():
            if name in _TAKEN:
                raise ConfigError(f"`{name}` is no parameter here.", where=where, remedy=f"Map it as `{_TAKEN[name]}`.")
            if not is_parameter(name):
                raise ConfigError(
                    f"`{name}` is no name of a parameter.",
                    where=where,
                    remedy="Use letters, digits, `_`, `-`, and `.` between its parts.",
                )
            if cell.column is not None:
                _require(cell.column, columns, f"{where}: parameters.{name}")
        if mapping.energy is not None:
            for cell in (mapping.energy.scope, mapping.energy.method):
                if cell.column is not None:
                    _require(cell.column, columns, f"{where}: energy")

    @staticmethod
    def _check(cell: Cell | None, columns: list[str], place: str) -> None:
        if cell is None:
            return
        if cell.column is not None:
            _require(cell.column, columns, place)
        elif cell.value in columns:
            raise ConfigError(
                f"`{cell.value}` is the text itself here, and the table has a column of that name.",
                where=place,
                remedy=f"Write {{column: {cell.value}}} for the column, or {{value: …}} with another text.",
            )


def is_parameter(name: str) -> bool:
    """True for a name that a parameter can have: words of letters, digits, `_` and `-`, with dots between them."""
    return len(name) <= 200 and all(
        part and part.replace("_", "").replace("-", "").isalnum() for part in name.split(".")
    )


def _require(column: str, columns: list[str], place: str) -> None:
    if column not in columns:
        near = closest(column, columns)
        hint = f"Did you mean `{near}`? " if near else ""
        shown = ", ".join(columns[:40]) + (" …" if len(columns) > 40 else "")
        raise ConfigError(f"the table has no column `{column}`.", where=place, remedy=f"{hint}Columns: {shown}.")


def read_mapping(file: Path) -> TableMapping:
    """Read a mapping file. Raises ConfigError."""
    try:
        data = yaml.safe_load(read_text(file, "mapping", MOST_BYTES))
    except ResultError as error:
        raise ConfigError(error.what, where=error.where, remedy=error.remedy) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"it is not YAML: {' '.join(str(error).split())}.", where=str(file)) from error
    return mapping_of(data, str(file))


def mapping_of(data: Any, where: str) -> TableMapping:
    """Check what a mapping says. Raises ConfigError, which names the key and the nearest one that there is."""
    if not isinstance(data, Mapping):
        raise ConfigError("a mapping has keys, `metrics` first of all.", where=where)
    try:
        return TableMapping.model_validate(data)
    except (ValidationError, RecursionError) as error:
        if isinstance(error, RecursionError):
            raise ConfigError("it is nested too deeply.", where=where) from error
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        near = closest(key, TableMapping.model_fields) if first["type"] == "extra_forbidden" else None
        remedy = f"Did you mean `{near}`?" if near else f"Keys: {', '.join(TableMapping.model_fields)}."
        raise ConfigError(
            f"`{key}`: {first['msg'].removeprefix('Value error, ')}.", where=where, remedy=remedy
        ) from error
