"""A backend and a runner that do nothing but leave a valid result, at once: what remains is the study's own work.

It is a plugin of its own (`registry`), which no installation has.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

from pydantic import Field

from llem.config.experiment import ExperimentConfig
from llem.config.section import Section
from llem.hookspecs import API_VERSION, hookimpl
from llem.plugin_api import BackendSpec, Exit, Finding, Job, RunnerContext, RunnerSpec
from llem.plugins import Registry
from llem.results.job_directory import RESULT, JobDocument
from llem.results.models import EnergyBreakdown, EnergyFigure, ExperimentResult, Identity, Memory, Throughput, Tokens

STARTED_AT = "2026-01-01T12:00:00.000+00:00"
NODES = 4
"""Results say that they came from so many nodes, alike in everything."""


class NothingConfig(Section):
    """Options of the backend `nothing`."""

    batch_size: int = Field(1, ge=1, description="changes the figures that are made up")


class NothingRunner:
    """Leaves a result in the job directory when a job starts; `spent_s` is what that took itself."""

    spent_s: ClassVar[float] = 0.0

    def __init__(self, context: RunnerContext) -> None:
        self._context = context

    def preflight(self, experiments: Sequence[ExperimentConfig]) -> Iterable[Finding]:
        """It can run everything."""
        return []

    def capacity(self) -> int:
        """One, as the local runner."""
        return 1

    def start(self, job: Job) -> NothingJob:
        """Write the result; the job has ended when this returns."""
        begin = time.perf_counter()
        result = made_up(JobDocument.read(job.directory))
        temporary = job.directory / f".{RESULT}.tmp"
        temporary.write_text(json.dumps(result), encoding="utf-8")
        temporary.replace(job.directory / RESULT)
        NothingRunner.spent_s += time.perf_counter() - begin
        return NothingJob()

    def close(self) -> None:
        """Nothing is held."""


class NothingJob:
    """A job that has ended."""

    def poll(self) -> Exit:
        """Done."""
        return Exit(code=0)

    def wait(self, timeout_s: float) -> Exit:
        """Done."""
        return Exit(code=0)

    def stop(self, grace_s: float) -> Exit:
        """Done."""
        return Exit(code=0)


def made_up(job: JobDocument) -> dict[str, Any]:
    """A valid result whose figures follow from the configuration and the cycle; nothing was measured."""
    tokens_per_s = 10.0 * job.config["nothing"]["batch_size"] + 0.1 * job.cycle
    joules = 100.0 / tokens_per_s
    figure = EnergyFigure(
        scope="gpu",
        method="counter",
        samplers=["made-up"],
        devices=["GPU-made-up"],
        energy_j=1000 * joules,
        mean_w=100.0,
        j_per_output_token=joules,
        j_per_token=joules / 2,
        j_per_request=8 * joules,
    )
    result = ExperimentResult(
        status="done",
        identity=Identity(
            config_hash=job.config_hash,
            study=job.study,
            cycle=job.cycle,
            position=job.position,
            point=dict(job.point),
        ),
        config=dict(job.config),
        work="fixed_length",
        scenario="offline",
        started_at=STARTED_AT,
        ended_at=STARTED_AT,
        energy=EnergyBreakdown(window_s=10.0, headline=figure, totals=[figure]),
        tokens=Tokens(requests=8, input=64, output=1000),
        throughput=Throughput(tokens_per_s=tokens_per_s, total_tokens_per_s=None, requests_per_s=None),
        memory=Memory(peak_memory_mb=512.0),
        environment={
            "node": f"node{job.position % NODES}",
            "exclusive": True,
            "cpu": {"model": "made up"},
            "gpu": {"models": ["made up"], "driver": "1.0"},
            "study": dict(job.provenance),
        },
    )
    return result.model_dump(mode="json")


@hookimpl
def llem_backends() -> Sequence[BackendSpec]:
    """The backend `nothing`; it has no engine, and the runner never asks for one."""
    return [
        BackendSpec(
            name="nothing",
            api_version=API_VERSION,
            summary="does nothing",
            config=NothingConfig,
            engine="bench.scaling.nothing:NothingRunner",
            capabilities=frozenset({"cpu"}),
        )
    ]


@hookimpl
def llem_runners() -> Sequence[RunnerSpec]:
    """The runner `nothing`."""
    return [
        RunnerSpec(
            name="nothing",
            api_version=API_VERSION,
            summary="leaves a made-up result",
            runner="bench.scaling.nothing:NothingRunner",
        )
    ]


def registry() -> Registry:
    """llem itself and this plugin, whatever else is installed."""
    return Registry([EntryPoint("nothing", __name__, "llem")])
