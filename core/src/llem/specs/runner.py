"""A runner: where a worker runs. It moves a job directory there and back, and never sees an engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from llem.config.experiment import ExperimentConfig
from llem.specs.check import Finding


@dataclass(frozen=True, kw_only=True)
class RunnerSpec:
    """What a runner registers through `llem_runners`.

    Attributes:
        name: the word in `runners:`, before a colon.
        api_version: the `API_VERSION` that it was written for.
        summary: one line for `llem plugins`.
        runner: `package.module:Class` of the `Runner`, imported when a plan uses it.
        isolates_environment: it brings the backend's environment along (a container image), so that backends which
            conflict on the host can be in one study, and an engine need not be installed here.
        argument: what may follow the colon, such as `IMAGE`, or None.
        requires: import names that must be present; looked up, never imported.
        install: the command that brings them, for messages.
    """

    name: str
    api_version: int
    summary: str
    runner: str
    isolates_environment: bool = False
    argument: str | None = None
    requires: tuple[str, ...] = ()
    install: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunnerContext:
    """What a runner knows of its study.

    Attributes:
        argument: what stood after the colon, or None.
        study_id: name of the study's folder, for labels.
        backend: the backend that it runs.
        image: the backend's default image, or None.
    """

    argument: str | None = None
    study_id: str = ""
    backend: str = ""
    image: str | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One experiment to run: a job directory with `experiment.json` in it.

    Attributes:
        directory: absolute path of the job directory.
        config: the experiment.
        config_hash: its identity.
        environment: variables to set for the worker, over what the runner passes anyway.
    """

    directory: Path
    config: ExperimentConfig
    config_hash: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a worker ended.

    Attributes:
        code: exit code; None where a signal ended it or nothing is known.
        signal: name of the signal, such as `SIGKILL`, or None.
        cause: what the runner knows beyond that, such as `out of memory: …`; one sentence, or None.
        error: the kind of failure where the runner can tell it, such as `OutOfMemory`; the type of the failure in the
            result, instead of `Crash`.
    """

    code: int | None = None
    signal: str | None = None
    cause: str | None = None
    error: str | None = None


class RunningJob(Protocol):
    """A worker under way."""

    def poll(self) -> Exit | None:
        """How it ended, or None while it runs. Returns at once; when it returns an `Exit`, every process is gone."""

    def wait(self, timeout_s: float) -> Exit | None:
        """Sleep (never spin: the meters would see it) until it ends or the time is over."""

    def stop(self, grace_s: float) -> Exit:
        """End it with everything that it started: ask, wait `grace_s` (0: do not ask), then kill. Returns when all is gone."""


class Runner(Protocol):
    """Runs job directories, several at once where `capacity` says so. Made with a `RunnerContext`."""

    def preflight(self, experiments: Sequence[ExperimentConfig]) -> Iterable[Finding]:
        """Whether it can run these: one of each distinct combination of backend, section and model."""

    def capacity(self) -> int:
        """How many jobs at once."""

    def start(self, job: Job) -> RunningJob:
        """Start the worker; its outputs appear in the job directory, `events.jsonl` and `worker.log` while it runs.

        Raises:
            llem.errors.LlemError: it could not be started; the study records the failure and goes on.
        """

    def close(self) -> None:
        """Release what the runner holds; every job has ended."""
