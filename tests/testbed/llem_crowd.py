"""Runners whose jobs run nowhere and end when a test says so: `crowd:N` takes N of them at once, on other machines; `nearby` says
that they run on this one. With them a second backend."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import llem_testbed

from llem.config.experiment import ExperimentConfig
from llem.hookspecs import API_VERSION, hookimpl
from llem.results.job_directory import RESULT, EventLog, JobDocument, write_atomically
from llem.results.models import ExperimentResult, Identity
from llem.specs.backend import BackendSpec
from llem.specs.check import Finding
from llem.specs.runner import Exit, Job, Location, RunnerContext, RunnerSpec

_LIMIT_S = 60.0
LOCATIONS: dict[str, Location] = {"crowd": "elsewhere", "nearby": "here"}

STARTED: list[CrowdJob] = []
"""Every job in the order of its start; a test empties it."""


class CrowdJob:
    """A job that waits for a test."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.document = JobDocument.read(job.directory)
        self.waits_s: list[float] = []
        self.stops_s: list[float] = []
        self.in_queue = False
        self.breaks: Exception | None = None
        self.deaf = False
        self._exit: Exit | None = None
        self._ended = threading.Event()

    @property
    def position(self) -> int:
        return self.document.position

    def event(self, kind: str) -> None:
        """The worker gives a sign of life."""
        events = EventLog(self.job.directory / "events.jsonl")
        events.append(kind)
        events.close()

    def done(self) -> None:
        """The worker ends well."""
        now = datetime.now(UTC).isoformat()
        identity = Identity(
            config_hash=self.document.config_hash,
            study=self.document.study,
            cycle=self.document.cycle,
            position=self.position,
            point=dict(self.document.point),
        )
        result = ExperimentResult(
            status="done",
            identity=identity,
            config=dict(self.document.config),
            work="fixed_length",
            scenario="offline",
            started_at=now,
            ended_at=now,
        )
        write_atomically(self.job.directory / RESULT, result.model_dump_json())
        self.end(Exit(code=0))

    def end(self, ending: Exit) -> None:
        """The worker ends somehow."""
        self._exit = ending
        self._ended.set()

    def queued(self) -> bool:
        return self.in_queue

    def poll(self) -> Exit | None:
        return self._exit

    def wait(self, timeout_s: float) -> Exit | None:
        self.waits_s.append(timeout_s)
        if self.breaks is not None:
            raise self.breaks
        self._ended.wait(timeout_s)
        return self._exit

    def stop(self, grace_s: float) -> Exit:
        self.stops_s.append(grace_s)
        if not self.deaf or grace_s == 0:
            self.end(self._exit or Exit(signal="SIGTERM" if grace_s else "SIGKILL"))
        self._ended.wait(_LIMIT_S)
        assert self._exit is not None
        return self._exit


class CrowdRunner:
    """Takes as many jobs at once as its argument says."""

    def __init__(self, context: RunnerContext) -> None:
        self._capacity = int(context.argument or 1)

    def preflight(self, experiments: Sequence[ExperimentConfig]) -> Iterable[Finding]:
        return ()

    def capacity(self) -> int:
        return self._capacity

    def start(self, job: Job) -> CrowdJob:
        STARTED.append(CrowdJob(job))
        return STARTED[-1]

    def close(self) -> None: ...


def started(count: int) -> list[CrowdJob]:
    """Wait until so many have started in all; returns them in the plan's order."""
    end = time.monotonic() + _LIMIT_S
    while len(STARTED) < count:
        assert time.monotonic() < end, f"{len(STARTED)} jobs have started, not {count}"
        time.sleep(0.01)
    return sorted(STARTED, key=lambda job: job.position)


@hookimpl
def llem_runners() -> Sequence[RunnerSpec]:
    return [
        RunnerSpec(
            name=name,
            api_version=API_VERSION,
            summary="runs nothing, and ends when it is told",
            runner="llem_crowd:CrowdRunner",
            location=location,
            argument="N",
        )
        for name, location in LOCATIONS.items()
    ]


@hookimpl
def llem_backends() -> Sequence[BackendSpec]:
    (testbed,) = llem_testbed.llem_backends()
    return [replace(testbed, name="crowded")]
