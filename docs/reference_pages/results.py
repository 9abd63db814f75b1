"""docs/reference/results.md: every figure of `result.json`, every column of the Parquet files, with units."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.reference_pages.markdown import code, document, first_paragraph, table
from llem.measure import requests_table, timeseries
from llem.results.columns import Column, fixed_columns, total_columns, unit_of
from llem.results.models import SCHEMA_VERSION, ExperimentResult

INTRODUCTION = """Every figure that llem writes. [Results](../results.md) says which file is where and how to load it, [what the figures
mean](../method/index.md) defines each. Null, in JSON as in Parquet, is what was not or could not be measured; it is never 0."""

_NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null", Any: "anything"}


def page() -> str:
    """The whole page."""
    return document("Results", INTRODUCTION, _parts())


def _parts() -> Iterator[str]:
    yield "## result.json"
    yield f"Schema version {SCHEMA_VERSION}. A later llem reads it, or refuses it by its version."
    for model in _models(ExperimentResult):
        yield f"### {_title(model)}"
        yield first_paragraph(model.__doc__)
        yield table(["field", "type", "unit", "meaning"], (_field(n, f) for n, f in model.model_fields.items()))
    yield "## results.parquet"
    yield (
        "A row for each experiment and cycle. Columns are paths in `result.json`; each field's metadata has its `unit`. Kind "
        "`json` is JSON text. Besides these columns there are `point.KEY` for each swept key, `config.SECTION.KEY` for the "
        "whole configuration, and for each scope and method that was measured `energy.SCOPE.METHOD.FIGURE` "
        "(such as `energy.gpu.counter.energy_j`)."
    )
    yield table(["column", "kind", "unit"], (_column(column) for column in fixed_columns()))
    yield "Of each scope and method:"
    yield table(["column", "kind", "unit"], (_column(column) for column in total_columns("SCOPE", "METHOD")))
    yield "## requests.parquet"
    yield "A row for each request of the measured window. Units are in each field's metadata."
    yield _described(requests_table.COLUMNS)
    yield "## timeseries.parquet"
    yield (
        "A row for each reading of each device over the whole experiment, ordered by device and time. What a plugin's sampler "
        "reads besides has a column of its own name."
    )
    yield _described((*timeseries.COLUMNS, *timeseries.TELEMETRY))


def _described(columns: Iterable[tuple[str, str, str, str]]) -> str:
    rows = ([code(n), "list of float64" if t == "list" else t, "" if u == "1" else u, m] for n, t, u, m in columns)
    return table(["column", "type", "unit", "meaning"], rows)


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    """A model and all that it holds, each once, in the order in which they are met."""
    found: dict[type[BaseModel], None] = {model: None}
    for field in model.model_fields.values():
        for inner in _inside(field.annotation):
            found.update(dict.fromkeys(_models(inner)))
    return list(found)


def _inside(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for part in get_args(annotation):
        yield from _inside(part)


def _title(model: type[BaseModel]) -> str:
    return model.__name__.rstrip("_")


def _field(name: str, field: FieldInfo) -> list[str]:
    return [code(name), _type(field.annotation), unit_of(name) or "", field.description or ""]


def _type(annotation: Any) -> str:
    if annotation in _NAMES:
        return _NAMES[annotation]
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        title = _title(annotation)
        return f"[{title}](#{title.lower()})"
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(part) for part in inner)
    if origin is Literal:
        return " or ".join(code(str(value)) for value in inner)
    if origin is list:
        return f"list of {_type(inner[0])}"
    return f"mapping to {_type(inner[1])}"


def _column(column: Column) -> list[str]:
    return [code(column.name), {"strings": "list of string"}.get(column.kind, column.kind), column.unit or ""]
