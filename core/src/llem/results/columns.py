"""The columns of `results.parquet`: one for every scalar figure of a result, derived from the result's models.

A column is named by its path in `result.json` (`latency.ttft_s.p50`), so that its unit stands in the name; the unit
is also in the Arrow field's metadata.
"""

from __future__ import annotations

import tomllib
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from llem.results.models import EnergyFigure, ExperimentResult, Stages

Kind = Literal["string", "int64", "double", "bool", "json", "strings"]

APART = frozenset(
    {
        "identity",
        "config",
        "warnings",
        "failure",
        "environment",
        "phases",
        "samplers",
        "samples",
        "thermal",
        "energy",
        "scenario_metrics",
    }
)
"""Parts of a result that are laid out by hand below, or stay in `result.json`."""

_UNITS: dict[str, dict[str, str]] = tomllib.loads(Path(__file__).with_name("units.toml").read_text("utf-8"))


@dataclass(frozen=True)
class Column:
    """One column: its name, its type, and the unit of its values where they have one."""

    name: str
    kind: Kind
    unit: str | None = None


def unit_of(name: str) -> str | None:
    """The unit of a figure, from its name: `energy.window_s` -> `s`, `latency.ttft_s.p50` -> `s`; counts have none."""
    for ending, unit in _UNITS["endings"].items():
        if name.endswith(ending):
            return unit
    *above, last = name.split(".")
    candidates = [last]
    if above and last in {"mean", "std", "min", "max", "p50", "p90", "p95", "p99"}:
        candidates.append(above[-1])
    for word in candidates:
        stem, _, suffix = word.rpartition("_")
        if stem and suffix in _UNITS["suffixes"]:
            return _UNITS["suffixes"][suffix]
    return None


@cache
def fixed_columns() -> tuple[Column, ...]:
    """The columns that every study has, whatever was swept."""
    identity: list[Column] = [
        Column("study", "string"),
        Column("directory", "string"),
        Column("config_hash", "string"),
        Column("cycle", "int64"),
        Column("position", "int64"),
    ]
    outcome: list[Column] = [
        Column("failure.type", "string"),
        Column("failure.phase", "string"),
        Column("failure.message", "string"),
        Column("failure.signal", "string"),
        Column("failure.exit_code", "int64"),
        Column("warnings", "strings"),
        Column("warning_messages", "strings"),
        Column("result_file.modified_ns", "int64", "ns"),
        Column("result_file.size_bytes", "int64", "B"),
    ]
    energy = [
        Column("energy.window_s", "double", "s"),
        Column("energy.phases_j", "json", "J"),
        *_of_model(EnergyFigure, "energy.headline"),
        *_of_model(Stages, "energy.stages"),
    ]
    # Where it ran: what cycles must have in common to be averaged, and whom the energy of a CPU may be shared with.
    place: list[Column] = [
        Column("environment.node", "string"),
        Column("environment.exclusive", "bool"),
        Column("environment.cpu.model", "string"),
        Column("environment.gpu.models", "strings"),
        Column("environment.gpu.driver", "string"),
    ]
    figures: list[Column] = []
    for name, field in ExperimentResult.model_fields.items():
        if name not in APART:
            figures += _of_annotation(field.annotation, name)
    return (*identity, *figures, *energy, *place, *outcome)


@cache
def total_columns(scope: str, method: str) -> tuple[Column, ...]:
    """The columns of the total over devices of one scope and method: `energy.gpu.counter.energy_j` and so on."""
    return tuple(c for c in _of_model(EnergyFigure, f"energy.{scope}.{method}") if c.kind in ("double", "bool"))


def _of_model(model: type[BaseModel], prefix: str) -> Iterator[Column]:
    for name, field in model.model_fields.items():
        yield from _of_annotation(field.annotation, f"{prefix}.{name}")


def _of_annotation(annotation: Any, name: str) -> Iterator[Column]:
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = [a for a in get_args(annotation) if a is not type(None)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _of_model(annotation, name)
        return
    origin = get_origin(annotation)
    if annotation == list[str]:
        kind: Kind = "strings"
    elif origin in (list, dict):
        kind = "json"
    elif origin is Literal or annotation is str:
        kind = "string"
    else:
        kinds: dict[Any, Kind] = {bool: "bool", int: "int64", float: "double"}
        kind = kinds[annotation]
    yield Column(name, kind, unit_of(name))
