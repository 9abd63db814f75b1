"""The checks that llem brings. Each takes a `PreflightContext` and yields findings; one without experiments is `llem doctor`'s."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from llem.config.experiment import DatasetConfig, ExperimentConfig, MeasurementConfig
from llem.datasets.chat import check_takers, check_template
from llem.distributions import unmetered_devices
from llem.errors import LlemError, SamplerUnavailable
from llem.measure.host import ROOT, governors
from llem.plugins import load_object, missing_requirements
from llem.preflight import engines
from llem.specs.check import Finding, PreflightContext, error_finding
from llem.specs.dataset import LoadedDataset
from llem.specs.kinds import BACKENDS, DATASETS, RUNNERS, SAMPLERS
from llem.specs.registry import SpecRegistry
from llem.specs.runner import Location

LEAST_FREE_BYTES = 16 * 2**20
BYTES_PER_EXPERIMENT = 256 * 2**10
"""About what one experiment leaves: its result, time series and log."""

BUSY_SHARE = 0.25
"""A machine that is busier than this share of its processors will show in the figures."""


def check_meters(context: PreflightContext) -> Iterator[Finding]:
    """Open the energy samplers as the worker will. Only a sampler that a study names is an error where it fails."""
    from llem.samplers.select import close_samplers, open_samplers

    registry = context.registry
    if context.runners and "here" not in _locations(context):
        yield Finding(level="ok", message="energy is read where the experiments run, not on this machine")
        return
    for what, missing in unmetered_devices():
        yield Finding(
            level="warning",
            message=f"this machine has {what}, and {missing.name}, which measures them, is not installed here: their energy is in "
            "no figure",
            remedy=f"{missing.install}.",
        )
    settings = _distinct(e.measurement for e in context.experiments) or [MeasurementConfig.model_validate({})]
    for measurement in settings:
        try:
            opened, reports = open_samplers(
                registry, measurement.samplers, {"cpu_tdp_w": measurement.cpu_tdp_w, "devices": None}
            )
        except SamplerUnavailable as error:
            yield Finding(level="error", message=f"{error.where}: {error.what}", remedy=error.remedy)
            continue
        try:
            for one in opened:
                methods = ", ".join(sorted({m for d in one.devices for m in d.methods}))
                devices = ", ".join(dict.fromkeys(d.name for d in one.devices))
                yield Finding(level="ok", message=f"energy by {one.name} ({methods}): {devices}")
        finally:
            close_samplers(opened)
        for report in reports:
            if not report.used and not context.experiments and registry.find(SAMPLERS, report.name).on_request:
                yield _on_request(registry, report.name)
            elif not report.used:
                yield Finding(level="ok", message=f"{report.name} is not used: {report.reason}")
        if not opened:
            yield Finding(
                level="warning",
                message="no energy sampler works here: energy will be null, speed and latency are measured",
                remedy="`llem doctor` says what each sampler needs; measurement.cpu_tdp_w allows an estimate.",
            )


def _on_request(registry: SpecRegistry, name: str) -> Finding:
    """A finding on a sampler that waits to be named: it would work here, or the reason why not."""
    from llem.samplers.select import close_samplers, open_samplers

    try:
        opened, _ = open_samplers(registry, [name], {"cpu_tdp_w": None, "devices": None})
    except SamplerUnavailable as error:
        return Finding(level="ok", message=f"{name} does not work here: {error.what}", remedy=error.remedy)
    close_samplers(opened)
    devices = ", ".join(d.name for d in opened[0].devices)
    return Finding(level="ok", message=f"{name} works here, where measurement.samplers names it: {devices}")


def check_output(context: PreflightContext) -> Iterator[Finding]:
    """The results folder, or the nearest folder above it that exists, takes a file and has room."""
    output = (context.output or Path("results")).expanduser().absolute()
    folder = next(p for p in (output, *output.parents) if p.exists())
    remedy = "`llem run --output` takes another folder; a study's folder can be moved, and goes on where it is then."
    if not folder.is_dir():
        yield Finding(level="error", message=f"{folder} is a file, not a folder", remedy=remedy)
        return
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(bytes(64 * 2**10))
            stream.flush()
            os.fsync(stream.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        yield Finding(level="error", message=f"{folder} cannot be written: {error.strerror or error}", remedy=remedy)
        return
    room = f"{free / 2**20:,.0f} MiB free in {folder}"
    if free < LEAST_FREE_BYTES:
        yield Finding(level="error", message=f"only {room}", remedy=f"Make room. {remedy}")
    elif free < context.planned * BYTES_PER_EXPERIMENT:
        need = context.planned * BYTES_PER_EXPERIMENT / 2**20
        yield Finding(
            level="warning",
            message=f"{room}; {context.planned:,} experiments leave about {need:,.0f} MiB",
            remedy=f"Make room. {remedy}",
        )
    else:
        yield Finding(level="ok", message=room)


def check_datasets(context: PreflightContext) -> Iterator[Finding]:
    """Every distinct dataset is loaded as the worker will, the largest n of each; one of the hub is left to the worker."""
    registry = context.registry
    for config in _datasets(context.experiments):
        what = f"dataset `{config.name}`"
        try:
            spec = registry.find(DATASETS, config.name)
            if missing := missing_requirements(spec.requires):
                yield Finding(
                    level="error",
                    message=f"{what} needs the package {', '.join(missing)}",
                    remedy=f"{spec.install}." if spec.install else None,
                )
                continue
            if config.name == "hub":
                continue
            loaded = load_object(spec.loader)(config, str(context.base_dir))
            for name in _askers(config, context.experiments):
                check_takers(loaded.prompts, name, registry.find(BACKENDS, name).capabilities)
            for e in context.experiments:
                if _prompts_of(e.dataset) == _prompts_of(config):
                    check_template(loaded.prompts, e.dataset, e.model)
        except LlemError as error:
            yield error_finding(what, error)
        else:
            yield Finding(level="ok", message=f"{what}: {_taken(config, loaded)}, {loaded.provenance}")
            for caveat in loaded.caveats:
                yield Finding(level="ok", message=f"{what}: {caveat.message}")


def check_requirements(context: PreflightContext) -> Iterator[Finding]:
    """Look for the engine of each backend where that runs; backends that conflict must not share an environment."""
    registry = context.registry
    used = {backend for backend, runner in context.runners.items() if _location(registry, runner) == "here"}
    doctor = not context.runners
    for name, spec in registry[BACKENDS].items():
        if not doctor and name not in used:
            continue
        if missing := missing_requirements(spec.requires):
            yield Finding(
                level="warning" if doctor else "error",
                message=f"backend {name} needs {', '.join(missing)}, which is not installed here",
                remedy=engines.engine_remedy(spec, registry),
            )
        else:
            yield Finding(level="ok", message=f"backend {name} can run here")
        for other in sorted(spec.conflicts & used):
            if name in used and (name < other or name not in registry.find(BACKENDS, other).conflicts):
                yield Finding(
                    level="error",
                    message=f"backends {name} and {other} cannot share one environment",
                    remedy=f"Run one in a container: pip install llem-docker, then runners: {{{other}: docker}}; or split the study.",
                )
    if doctor and not registry[BACKENDS]:
        yield Finding(level="error", message="no backend is installed", remedy=engines.FIRST_REMEDY)


def check_governor(context: PreflightContext) -> Iterator[Finding]:
    """A CPU that changes its frequency by itself makes figures that do not repeat."""
    if context.runners and _locations(context) == {"elsewhere"}:
        yield Finding(level="ok", message="no experiment runs on this machine: its clocks are in no figure")
        return
    found = governors(ROOT)
    if other := sorted(found - {"performance"}):
        yield Finding(
            level="warning",
            message=f"the CPU frequency governor is {', '.join(other)}: clocks, and with them the figures, will vary",
            remedy="sudo cpupower frequency-set --governor performance.",
            code="cpu_governor",
        )
    elif found:
        yield Finding(level="ok", message="the CPU frequency governor is performance")
    else:
        yield Finding(level="ok", message="the CPU frequency governor is not visible here, as in a virtual machine")


def check_load(context: PreflightContext) -> Iterator[Finding]:
    """A machine that others use makes figures that do not repeat."""
    if context.runners and _locations(context) == {"elsewhere"}:
        yield Finding(level="ok", message="no experiment runs on this machine: its load is in no figure")
        return
    load, processors = os.getloadavg()[0], os.cpu_count() or 1
    if load > max(1.0, BUSY_SHARE * processors):
        yield Finding(
            level="warning",
            message=f"the machine is busy: load average {load:.1f} on {processors} processors",
            remedy="End what else is running; it is in the figures.",
            code="machine_busy",
        )
    else:
        yield Finding(level="ok", message=f"load average {load:.1f} on {processors} processors")


def _location(registry: SpecRegistry, runner: str) -> Location:
    """The place where a runner's workers run."""
    return registry.find(RUNNERS, runner.partition(":")[0]).location


def _locations(context: PreflightContext) -> set[Location]:
    """The places where the plan's experiments run."""
    return {_location(context.registry, runner) for runner in context.runners.values()}


def _distinct(measurements: Iterable[MeasurementConfig]) -> list[MeasurementConfig]:
    """One of each that asks for other samplers, or gives another rated power."""
    return list({(tuple(m.samplers or ()), m.cpu_tdp_w): m for m in measurements}.values())


def _taken(config: DatasetConfig, loaded: LoadedDataset) -> str:
    """Number of prompts that are sent, and of how many where not all are."""
    n, held = len(loaded.prompts), loaded.available
    if held is None or held == n:
        return f"{n:,} prompts"
    return f"{n:,} of {held:,} prompts drawn at random" if config.shuffle else f"the first {n:,} of {held:,} prompts"


def _askers(config: DatasetConfig, experiments: Sequence[ExperimentConfig]) -> list[str]:
    """The backends that are sent the prompts of a dataset."""
    return sorted({e.backend for e in experiments if _prompts_of(e.dataset) == _prompts_of(config)})


def _prompts_of(config: DatasetConfig) -> tuple[object, ...]:
    """Key that tells one set of prompts from another, whatever n."""
    return (config.name, config.path, config.field, config.split, config.revision, config.input_tokens is None)


def _datasets(experiments: Sequence[ExperimentConfig]) -> list[DatasetConfig]:
    """One of each set of prompts, with the largest n: what is wrong with fewer prompts is wrong with more."""
    largest: dict[tuple[object, ...], DatasetConfig] = {}
    for e in experiments:
        key = _prompts_of(e.dataset)
        if key not in largest or largest[key].n < e.dataset.n:
            largest[key] = e.dataset
    return list(largest.values())
