"""The hooks that a plugin can implement: entry-point group `llem`, a module or object with `@hookimpl` functions.

Registering costs nothing: hooks return specs, and specs name their implementation as a string. The built-in
samplers, datasets, checks, commands and the local runner register by these very hooks (`llem.builtin`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from llem.specs.accelerator import AcceleratorSpec
    from llem.specs.backend import BackendSpec
    from llem.specs.chart import ChartSpec
    from llem.specs.check import CheckSpec
    from llem.specs.command import CommandSpec
    from llem.specs.dataset import DatasetSpec
    from llem.specs.exporter import ExporterSpec
    from llem.specs.importer import ImporterSpec
    from llem.specs.metric import MetricSpec
    from llem.specs.runner import RunnerSpec
    from llem.specs.sampler import SamplerSpec
    from llem.specs.scenario import ScenarioSpec
    from llem.specs.search import SearchSpec
    from llem.specs.starter import StarterSpec
    from llem.specs.stopping import StoppingSpec
    from llem.specs.view import ViewSpec

API_VERSION = 1
"""Raised when a spec or protocol changes so that an older plugin would break. A spec carries the one it was written for."""

PROJECT = "llem"
"""Name of the pluggy project, and of the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Mark a function of a plugin as its implementation of the hook of the same name."""


@hookspec
def llem_backends() -> Sequence[BackendSpec]:
    """Backends. Called once, at the first look-up of any backend, in the command line and in the worker."""
    return ()


@hookspec
def llem_runners() -> Sequence[RunnerSpec]:
    """Runners. Called once, when a plan is made or plugins are listed."""
    return ()


@hookspec
def llem_energy_samplers() -> Sequence[SamplerSpec]:
    """Energy samplers. Called once, in the worker before it measures, and when plugins are listed."""
    return ()


@hookspec
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """Checks that run before any experiment of a study starts, and in `llem doctor`."""
    return ()


@hookspec
def llem_datasets() -> Sequence[DatasetSpec]:
    """Datasets. Called once, when a study is validated and in the worker."""
    return ()


@hookspec
def llem_scenarios() -> Sequence[ScenarioSpec]:
    """Scenarios. Called once, when a study is expanded and in the worker."""
    return ()


@hookspec
def llem_searches() -> Sequence[SearchSpec]:
    """Searches for a value, run by run (`execution.search`). Called once, when a plan is made that has one."""
    return ()


@hookspec
def llem_commands() -> Sequence[CommandSpec]:
    """Commands of `llem`; its own come by this hook too. Called once, by every command but `llem --version`."""
    return ()


@hookspec
def llem_accelerators() -> Sequence[AcceleratorSpec]:
    """Accelerators of a machine, by vendor. Called once, where a stage asks what there is, and when plugins are listed."""
    return ()


@hookspec
def llem_metrics() -> Sequence[MetricSpec]:
    """Metrics. Called once, when results are shown, analysed, drawn or exported."""
    return ()


@hookspec
def llem_charts() -> Sequence[ChartSpec]:
    """Charts of a study's report. Called once, when one is made."""
    return ()


@hookspec
def llem_exporters() -> Sequence[ExporterSpec]:
    """Forms that results are exported in. Called once, by `llem export`."""
    return ()


@hookspec
def llem_importers() -> Sequence[ImporterSpec]:
    """Forms that results of other tools are read from. Called once, by `llem import`."""
    return ()


@hookspec
def llem_stopping_rules() -> Sequence[StoppingSpec]:
    """Stopping rules (`execution.until`). Called once, when a plan is made that has one."""
    return ()


@hookspec
def llem_starters() -> Sequence[StarterSpec]:
    """Starters of workers. Called once, by the local runner in a study of several experiments."""
    return ()


@hookspec
def llem_views() -> Sequence[ViewSpec]:
    """Live views of a running study. Called once, when a study begins to be told of, and not with `--quiet`."""
    return ()


@hookspec
def llem_study_started(study_dir: Path, study: Mapping[str, Any]) -> None:
    """A study starts: its folder and manifest exist, nothing has run. What a plugin raises is logged and changes nothing.

    Args:
        study_dir: the study's folder.
        study: `name`, `study_design_hash`, `experiments` (count, cycles included), `at_most` (True where fewer may run, as of a search).
    """


@hookspec
def llem_experiment_started(study_dir: Path, job_dir: Path, experiment: Mapping[str, Any]) -> None:
    """An experiment is about to start: its `experiment.json` is on disk, its worker has not begun.

    The study waits for it: what a plugin does here is in no figure of this experiment, and in those of experiments that run
    beside it. What it leaves running is in both. What a plugin raises is logged and changes nothing.

    Args:
        study_dir: the study's folder.
        job_dir: the experiment's folder.
        experiment: `position`, `cycle`, `config_hash`, `point` (the swept keys with their values).
    """


@hookspec
def llem_experiment_finished(study_dir: Path, job_dir: Path, result: Mapping[str, Any]) -> None:
    """An experiment ended, done or failed, and its result is on disk. What a plugin raises is logged and changes nothing.

    Args:
        study_dir: the study's folder.
        job_dir: the experiment's folder.
        result: the content of its `result.json`.
    """


@hookspec
def llem_study_finished(study_dir: Path, summary: Mapping[str, Any]) -> None:
    """A study ended, in whatever way. What a plugin raises is logged and changes nothing.

    Args:
        study_dir: the study's folder.
        summary: `state` (`complete`, `interrupted`, `stopped`), and counts by status.
    """
