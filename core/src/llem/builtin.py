"""Registrations of llem itself, by the same hooks as any plugin's. What is registered stands in `builtin.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from llem.hookspecs import API_VERSION, hookimpl
from llem.specs.accelerator import AcceleratorSpec
from llem.specs.check import CheckSpec
from llem.specs.command import CommandSpec
from llem.specs.dataset import DatasetSpec
from llem.specs.runner import RunnerSpec
from llem.specs.sampler import SamplerSpec
from llem.specs.scenario import ScenarioSpec

S = TypeVar("S")

_SETS = frozenset({"methods", "needs", "placements", "scopes", "yields_to"})
"""Fields of specs that are sets; other lists are tuples."""

_ROWS: Mapping[str, Sequence[Mapping[str, Any]]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def _specs(hook: str, spec: Callable[..., S]) -> list[S]:
    return [
        spec(api_version=API_VERSION, **{key: _frozen(key, value) for key, value in row.items()}) for row in _ROWS[hook]
    ]


def _frozen(key: str, value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return frozenset(value) if key in _SETS else tuple(value)


@hookimpl
def llem_runners() -> Sequence[RunnerSpec]:
    """The local runner: a fresh process on this machine."""
    return _specs("llem_runners", RunnerSpec)


@hookimpl
def llem_energy_samplers() -> Sequence[SamplerSpec]:
    """NVML, RAPL, and an estimate for machines without either."""
    return _specs("llem_energy_samplers", SamplerSpec)


@hookimpl
def llem_accelerators() -> Sequence[AcceleratorSpec]:
    """The cards of NVIDIA. A machine's processors are facts of every host, and have no driver to ask."""
    return _specs("llem_accelerators", AcceleratorSpec)


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """Checks that concern every study."""
    return _specs("llem_preflight_checks", CheckSpec)


@hookimpl
def llem_datasets() -> Sequence[DatasetSpec]:
    """The datasets that llem brings or can read."""
    return _specs("llem_datasets", DatasetSpec)


@hookimpl
def llem_scenarios() -> Sequence[ScenarioSpec]:
    """Both closed loops."""
    return _specs("llem_scenarios", ScenarioSpec)


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The commands of the core, in the order of `llem --help`."""
    return _specs("llem_commands", CommandSpec)
