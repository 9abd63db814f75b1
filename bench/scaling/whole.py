"""Backends and a runner that measure nothing and leave whole results at once: every metric, phase, fact and warning is made up.

For what is done with results after a study: unlike those of `bench.scaling.nothing` they have everything that `llem analyze`
and `llem report` look at. It is a plugin of its own (`registry`), which no installation has.
"""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.scaling.nothing import STARTED_AT, NothingJob
from llem.config.experiment import ExperimentConfig
from llem.config.section import Section
from llem.hookspecs import API_VERSION, hookimpl
from llem.plugin_api import BackendSpec, Finding, Job, RunnerContext, RunnerSpec
from llem.plugins import Registry
from llem.results.job_directory import REQUESTS, RESULT, TIMESERIES, JobDocument
from llem.results.models import (
    DatasetReport,
    Distribution,
    EnergyBreakdown,
    EnergyFigure,
    ExperimentResult,
    Failure,
    Identity,
    Latency,
    Memory,
    ModelReport,
    Phase,
    ResultWarning,
    Throughput,
    Tokens,
)

NOISE = 0.01
"""Relative, of each metric of each run."""

PACKAGES = {f"package-{number}": f"{number}.0" for number in range(120)}
DEVICE = "GPU-made-up"
OPEN_NS = 40_000_000_000
PHASES = (("idle_baseline", 0, 10), ("load", 10, 20), ("warmup", 20, 40), ("window", 40, 60))
"""Name, start and end in seconds."""


class _Options(Section):
    batch_size: int = Field(1, ge=1)
    dtype: str = Field("float32")
    attention: str = Field("sdpa")
    fails: int | None = Field(None, description="a batch of so many and more is out of memory in float32")


class FirstConfig(_Options):
    """Options of the backend `first`."""

    graphs: bool = Field(False)


class SecondConfig(_Options):
    """Options of the backend `second`."""

    prefix_caching: bool = Field(False)


class WholeRunner:
    """Leaves a whole result in the job directory when a job starts."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._neighbours: Path | None = None

    def preflight(self, experiments: Sequence[ExperimentConfig]) -> Iterable[Finding]:
        """It can run everything."""
        return []

    def capacity(self) -> int:
        """One, as the local runner."""
        return 1

    def start(self, job: Job) -> NothingJob:
        """Write the result; the job has ended when this returns."""
        if self._neighbours is None:
            self._neighbours = job.directory
            _write_neighbours(job.directory)
        else:
            # The same readings and requests for every job: a link costs nothing.
            for name in (TIMESERIES, REQUESTS):
                os.link(self._neighbours / name, job.directory / name)
        temporary = job.directory / f".{RESULT}.tmp"
        temporary.write_text(json.dumps(made_up(JobDocument.read(job.directory))), encoding="utf-8")
        temporary.replace(job.directory / RESULT)
        return NothingJob()

    def close(self) -> None:
        """Nothing is held."""


def made_up(job: JobDocument) -> dict[str, Any]:
    """A valid result whose figures follow from the configuration, with noise of its own in each run."""
    backend = job.config["backend"]
    options = job.config[backend]
    generator = random.Random(f"{job.config_hash}:{job.cycle}")
    batch, wide = options["batch_size"], options["dtype"] == "float32"
    identity = Identity(
        config_hash=job.config_hash, study=job.study, cycle=job.cycle, position=job.position, point=dict(job.point)
    )
    common: dict[str, Any] = {
        "identity": identity,
        "config": dict(job.config),
        "work": "fixed_length",
        "scenario": "offline",
        "started_at": STARTED_AT,
        "ended_at": STARTED_AT,
        "environment": _environment(job),
    }
    if options["fails"] is not None and wide and batch >= options["fails"]:
        failure = Failure(type="OutOfMemory", message=f"batch {batch} does not fit", phase="warmup")
        return ExperimentResult(status="failed", failure=failure, **common).model_dump(mode="json")

    def noisy(value: float) -> float:
        return value * math.exp(generator.gauss(0, NOISE))

    tokens_per_s = noisy(20.0 * batch**0.7 * (1 if wide else 1.6))
    joules = noisy(12.0 * batch**-0.6 * (1 if wide else 0.7) * (1.05 if options["attention"] == "eager" else 1))
    figure = EnergyFigure(
        scope="gpu",
        method="counter",
        samplers=["made-up"],
        devices=[DEVICE],
        energy_j=1000 * joules,
        mean_w=joules * tokens_per_s,
        adjusted_j=900 * joules,
        j_per_output_token=joules,
        j_per_token=joules / 2,
        j_per_request=8 * joules,
    )
    warnings = [ResultWarning(code="other_load", message=f"others took {generator.random():.1%} of the machine")]
    if generator.random() < 0.1:
        warnings.append(
            ResultWarning(code="thermal_throttle", message=f"throttled for {generator.random():.3f} s of the window")
        )
    result = ExperimentResult(
        status="done",
        passes=3,
        phases=[Phase(name=name, start_ns=start * 10**9, end_ns=end * 10**9) for name, start, end in PHASES],
        energy=EnergyBreakdown(
            window_s=20.0,
            headline=figure,
            totals=[figure],
            phases_j={name: {DEVICE: noisy(50.0 * (end - start))} for name, start, end in PHASES},
        ),
        tokens=Tokens(requests=64, input=512, output=1000),
        throughput=Throughput(
            tokens_per_s=tokens_per_s, total_tokens_per_s=1.5 * tokens_per_s, requests_per_s=tokens_per_s / 16
        ),
        latency=Latency(
            ttft_s=_spread(noisy(0.05 * batch**0.3)),
            itl_s=_spread(noisy(0.01)),
            tpot_s=_spread(noisy(0.011)),
            e2e_s=_spread(noisy(1.0 * batch**0.3)),
        ),
        memory=Memory(peak_memory_mb=noisy(500.0 + 10 * batch), host_peak_rss_mb=noisy(900.0)),
        model=ModelReport(source=job.config["model"]["source"], parameters=10**8, dtype=options["dtype"]),
        dataset=DatasetReport(name="synthetic", provenance="made up", sha256="d" * 64, n=64),
        warnings=warnings,
        **common,
    )
    return result.model_dump(mode="json")


def _spread(middle: float) -> Distribution:
    return Distribution(
        n=640,
        mean=middle,
        std=middle / 10,
        min=middle / 2,
        max=middle * 2,
        p50=middle,
        p90=middle * 1.2,
        p95=middle * 1.3,
        p99=None,
    )


def _environment(job: JobDocument) -> dict[str, Any]:
    """Node and driver follow from the cycle, where the study asks for unlike machines by its name."""
    unlike = job.study is not None and job.study.startswith("unlike") and job.cycle == 1
    return {
        "node": f"node{job.position % 4}",
        "exclusive": True,
        "cpu": {"model": "made up", "governor": "performance"},
        "gpu": {"models": ["made up"], "driver": "2.0" if unlike else "1.0"},
        "meters": {
            "made-up": {
                "driver": "2.0" if unlike else "1.0",
                "gpus": [{"uuid": DEVICE, "name": "made up", "power_limit_w": 700.0 if unlike else 400.0}],
            }
        },
        "packages": {"llem": "1.0", **PACKAGES},
        "engine": {job.config["backend"]: "1.0"},
        "study": dict(job.provenance),
    }


def _write_neighbours(directory: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    generator = random.Random(1)
    times = [place / 10 - OPEN_NS / 1e9 for place in range(600)]
    readings = pa.table(
        {
            "t_s": times,
            "device": [DEVICE] * len(times),
            "energy_j": [50.0 * (t + OPEN_NS / 1e9) for t in times],
            "power_w": [generator.gauss(50, 2) for _ in times],
            "temperature_c": [40.0 + place / 60 for place in range(len(times))],
        }
    ).replace_schema_metadata({b"llem.open_ns": str(OPEN_NS).encode()})
    pq.write_table(readings, directory / TIMESERIES)
    requests = pa.table(
        {
            "ttft_s": [generator.lognormvariate(-3, 0.1) for _ in range(64)],
            "itl_s": [[generator.lognormvariate(-4.6, 0.1) for _ in range(15)] for _ in range(64)],
            "tpot_s": [generator.lognormvariate(-4.6, 0.1) for _ in range(64)],
            "e2e_s": [generator.lognormvariate(0, 0.1) for _ in range(64)],
        }
    )
    pq.write_table(requests, directory / REQUESTS)


@hookimpl
def llem_backends() -> Sequence[BackendSpec]:
    """Two backends; they have no engine, and the runner never asks for one."""
    return [
        BackendSpec(
            name=name,
            api_version=API_VERSION,
            summary="makes results up",
            config=config,
            engine="bench.scaling.whole:WholeRunner",
            capabilities=frozenset({"cpu"}),
        )
        for name, config in (("first", FirstConfig), ("second", SecondConfig))
    ]


@hookimpl
def llem_runners() -> Sequence[RunnerSpec]:
    """The runner `whole`."""
    return [
        RunnerSpec(
            name="whole",
            api_version=API_VERSION,
            summary="leaves a whole result that is made up",
            runner="bench.scaling.whole:WholeRunner",
        )
    ]


def registry() -> Registry:
    """llem itself and this plugin, whatever else is installed."""
    return Registry([EntryPoint("whole", __name__, "llem")])
