"""Finished experiments made by hand, and `llem` as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llem.config.compose import Composer
from llem.config.identity import config_hash
from llem.plugins import default_registry
from llem.results.job_directory import EVENTS, LOG, RESULT, JobDocument, write_json
from llem.results.models import (
    Distribution,
    EnergyBreakdown,
    EnergyFigure,
    ExperimentResult,
    Failure,
    Identity,
    Latency,
    Memory,
    ResultWarning,
    SamplerReport,
    Throughput,
    Tokens,
)


@pytest.fixture
def memory() -> Iterator[Callable[[], Path]]:
    """Makes folders on a file system that waits for no disk, for tests that write thousands of files."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield lambda: Path(tempfile.mkdtemp(dir=folder))


MakeResult = Callable[..., ExperimentResult]
WriteStudy = Callable[..., Path]
Llem = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def make_result() -> MakeResult:
    """Makes one result; what a test does not name has a plain value."""

    def make(
        *,
        config_hash: str = "a" * 64,
        point: dict[str, Any] | None = None,
        cycle: int = 1,
        position: int = 1,
        tokens_per_s: float | None = 100.0,
        j_per_token: float | None = 0.5,
        method: Any = "counter",
        scope: Any = "gpu",
        unreliable: bool = False,
        warnings: dict[str, str] | None = None,
        failure: Failure | None = None,
        dataset_n: Any = 8,
    ) -> ExperimentResult:
        headline = None
        if j_per_token is not None:
            headline = EnergyFigure(
                scope=scope,
                method=method,
                samplers=["nvml"],
                devices=["GPU-1"],
                energy_j=j_per_token * 1000,
                mean_w=j_per_token * 100,
                j_per_output_token=j_per_token,
                unreliable=unreliable,
            )
        spread = Distribution(
            n=8, mean=0.02, std=0.001, min=0.01, max=0.03, p50=0.0213, p90=0.025, p95=0.027, p99=0.029
        )
        done = failure is None
        return ExperimentResult(
            status="done" if done else "failed",
            identity=Identity(
                config_hash=config_hash, study="made-by-hand", cycle=cycle, position=position, point=point or {}
            ),
            config={
                "model": {"source": "random:tiny-llama", "revision": None},
                "dataset": {"name": "synthetic", "n": dataset_n},
                "backend": "testbed",
                "testbed": {"batch_size": 2},
            },
            work="fixed_length",
            scenario="offline",
            started_at="2026-01-01T12:00:00.000Z",
            ended_at="2026-01-01T12:01:00.000Z",
            energy=EnergyBreakdown(window_s=10.0, headline=headline, totals=[headline] if headline else [])
            if done
            else None,
            tokens=Tokens(requests=8, input=64, output=1000) if done else None,
            throughput=Throughput(tokens_per_s=tokens_per_s, total_tokens_per_s=None, requests_per_s=None)
            if done
            else None,
            latency=Latency(ttft_s=spread) if done else None,
            memory=Memory(peak_memory_mb=512.0) if done else None,
            samplers=[SamplerReport(name="rapl", used=False, reason="no powercap zones")],
            warnings=[ResultWarning(code=code, message=text) for code, text in (warnings or {}).items()],
            failure=failure,
        )

    return make


@pytest.fixture
def write_study(tmp_path: Path) -> WriteStudy:
    """Writes results as a study's folder, one job directory each."""

    def write(*results: ExperimentResult, name: str = "made-by-hand") -> Path:
        folder = tmp_path / name
        for number, result in enumerate(results, start=1):
            job = folder / "experiments" / f"{number:04}"
            job.mkdir(parents=True)
            write_json(job / RESULT, result.model_dump(mode="json"))
        return folder

    return write


@pytest.fixture
def llem(tmp_path: Path) -> Llem:
    """Runs `python -m llem` in an empty folder. Whatever it does, it must not greet the user with a traceback."""

    def run(*arguments: str | Path, cwd: Path | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "llem", *map(str, arguments)],
            cwd=cwd or tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            check=False,
            **options,
        )
        assert "Traceback (most recent call last)" not in done.stdout + done.stderr
        return done

    return run


TESTMETER = Path(__file__).parents[2] / "tests" / "testmeter"
QUICK: dict[str, Any] = {
    "model": "random:tiny-llama",
    "backend": "testbed",
    "dataset": {"name": "synthetic", "n": 4, "input_tokens": 6, "output_tokens": 5},
    "measurement": {"min_window_s": 0, "settle_s": 0, "samplers": ["testmeter"]},
    "warmup": {"enabled": False},
    "baseline": {"enabled": False},
    "testbed": {"token_s": 0.001},
}
"""An experiment of a fraction of a second on the test backend, metered by a device of known power."""


@dataclass(frozen=True)
class Job:
    """A job directory made by hand, to run a worker in."""

    directory: Path
    environment: Mapping[str, str]

    def start(self) -> subprocess.Popen[bytes]:
        """`python -m llem.worker`; what it prints goes to `worker.log`, as under a runner."""
        with (self.directory / LOG).open("ab") as log:
            command = [sys.executable, "-m", "llem.worker", str(self.directory)]
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment)

    def run(self) -> int:
        """Start a worker and wait; its exit code."""
        return self.start().wait(120)

    @property
    def result(self) -> ExperimentResult:
        """What it left, valid by the schema."""
        return ExperimentResult.model_validate_json((self.directory / RESULT).read_text())

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it told while it ran."""
        return [json.loads(line) for line in (self.directory / EVENTS).read_text().splitlines()]

    @property
    def codes(self) -> set[str]:
        """Of the result's warnings."""
        return {warning.code for warning in self.result.warnings}


MakeJob = Callable[..., Job]


@pytest.fixture
def make_job(tmp_path: Path) -> MakeJob:
    """Makes a job directory: `QUICK` with some sections changed, key by key."""

    def make(*, document: Mapping[str, Any] | None = None, **sections: Any) -> Job:
        config: dict[str, Any] = {**QUICK}
        for name, section in sections.items():
            mixed = isinstance(section, Mapping) and isinstance(QUICK.get(name), Mapping)
            config[name] = {**QUICK[name], **section} if mixed else section
        composed = Composer(default_registry().backends).compose(config)
        job = JobDocument(
            config=composed.document(),
            config_hash=config_hash(composed),
            base_dir=str(tmp_path),
            study="by-hand",
            cycle=2,
            position=3,
            point={"testbed.batch_size": 2},
            **(document or {}),
        )
        directory = tmp_path / "job"
        directory.mkdir()
        job.write(directory)
        path = os.pathsep.join([str(TESTMETER), os.environ["PYTHONPATH"]])
        return Job(directory, {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(tmp_path / "cache")})

    return make
