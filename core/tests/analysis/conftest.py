"""Studies of known effects: every configuration's figures by formula, cycles around them by seeded noise."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from llem.results.job_directory import EXPERIMENT, RESULT, write_json
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
    ResultWarning,
    Throughput,
    Tokens,
)

Point = Mapping[str, Any]
WriteDesign = Callable[..., Path]


def designed_result(
    point: Point,
    *,
    energy: float | None,
    speed: float | None = None,
    ttft: float | None = None,
    memory: float | None = None,
    cycle: int = 1,
    position: int = 1,
    method: Any = "counter",
    scope: Any = "gpu",
    warnings: Mapping[str, str] = {},
    failure: Failure | None = None,
    environment: Mapping[str, Any] | None = None,
    sections: Mapping[str, Any] = {},
    dataset_sha256: str = "d" * 64,
) -> ExperimentResult:
    """One valid result: its configuration is the point laid over a plain one, its figures are as given."""
    backend = point.get("backend", "testbed")
    config: dict[str, Any] = {
        "model": {"source": "random:tiny-llama", "revision": None},
        "dataset": {"name": "synthetic", "n": 8, "output_tokens": 16},
        "backend": backend,
        backend: {},
        **{name: dict(section) for name, section in sections.items()},
    }
    for key, value in point.items():
        section, _, rest = key.partition(".")
        if rest:
            config.setdefault(section, {})[rest] = value
        elif section == "model":
            config["model"]["source"] = value
    headline = None
    if energy is not None:
        headline = EnergyFigure(
            scope=scope,
            method=method,
            samplers=["nvml"],
            devices=["GPU-1"],
            energy_j=energy * 1000,
            mean_w=max(energy, 0.0) * (speed or 100.0),
            j_per_output_token=energy,
            j_per_token=energy / 2,
            j_per_request=energy * 125,
        )
    done = failure is None
    text = json.dumps([config, sorted(point.items())], sort_keys=True)
    return ExperimentResult(
        status="done" if done else "failed",
        identity=Identity(
            config_hash=hashlib.sha256(text.encode()).hexdigest(),
            study="designed",
            cycle=cycle,
            position=position,
            point=dict(point),
        ),
        config=config,
        work="fixed_length",
        scenario="offline",
        started_at="2026-01-01T12:00:00.000+00:00",
        ended_at="2026-01-01T12:01:00.000+00:00",
        energy=EnergyBreakdown(window_s=10.0, headline=headline, totals=[headline] if headline else [])
        if done
        else None,
        tokens=Tokens(requests=8, input=64, output=1000) if done else None,
        throughput=Throughput(tokens_per_s=speed, total_tokens_per_s=None, requests_per_s=None) if done else None,
        latency=Latency(ttft_s=spread(ttft)) if done and ttft is not None else None,
        memory=Memory(peak_memory_mb=memory) if done else None,
        model=ModelReport(source=config["model"]["source"], parameters=1000, dtype="float32"),
        dataset=DatasetReport(name="synthetic", provenance="made", sha256=dataset_sha256, n=8),
        environment=dict(environment or {}),
        warnings=[ResultWarning(code=code, message=message) for code, message in warnings.items()],
        failure=failure,
    )


def spread(middle: float) -> Distribution:
    """A distribution around a median."""
    return Distribution(
        n=8,
        mean=middle,
        std=middle / 10,
        min=middle / 2,
        max=middle * 2,
        p50=middle,
        p90=middle * 1.2,
        p95=middle * 1.3,
        p99=middle * 1.5,
    )


@pytest.fixture
def write_design(tmp_path: Path) -> WriteDesign:
    """Writes a study's folder of points.

    `energy`, `speed`, `ttft`, `memory` take a point and give the true figure; `noise` is the standard deviation that each
    cycle's energy has around it (`relative`: as a share of it), the other figures follow suit.
    """

    def write(
        points: Iterable[Point],
        *,
        energy: Callable[[Point], float | None] = lambda _: 1.0,
        speed: Callable[[Point], float | None] = lambda _: None,
        ttft: Callable[[Point], float | None] = lambda _: None,
        memory: Callable[[Point], float | None] = lambda _: None,
        cycles: int = 1,
        noise: float = 0.0,
        relative: bool = False,
        seed: int = 1,
        name: str = "designed",
        order: str = "interleaved",
        each: Callable[[Point, int], Mapping[str, Any]] = lambda _point, _cycle: {},
    ) -> Path:
        folder, generator = tmp_path / name, random.Random(seed)
        position = 0
        for cycle in range(1, cycles + 1):
            for point in points:
                position += 1
                shown = {}
                for figure, true in (("energy", energy), ("speed", speed), ("ttft", ttft), ("memory", memory)):
                    value = true(point)
                    if value is not None:
                        value += generator.gauss(0, noise * (abs(value) if relative else 1)) if noise else 0.0
                    shown[figure] = value
                options = {**shown, "cycle": cycle, "position": position, **each(point, cycle)}
                job = folder / "experiments" / f"{position:05}"
                job.mkdir(parents=True)
                result = designed_result(point, **options)
                write_json(job / RESULT, result.model_dump(mode="json"))
                write_json(job / EXPERIMENT, {"schema": 1, "config": result.config, "base_dir": str(tmp_path)})
        return folder

    return write
