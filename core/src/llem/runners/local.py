"""The local runner: a fresh process on this machine for each experiment, gone with all its descendants at the end."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from llem.accelerators.asking import variables_of
from llem.config.experiment import ExperimentConfig
from llem.distributions import WARM
from llem.errors import LlemError
from llem.measure.forked import START
from llem.plugins import load_object
from llem.results.job_directory import LOG
from llem.runners import supervisor
from llem.runners.environment import worker_environment
from llem.runners.oom import oom_kills
from llem.runners.scratch import clear_scratch, new_scratch
from llem.specs.check import Finding
from llem.specs.kinds import STARTERS
from llem.specs.runner import Exit, Job, RunnerContext, RunningJob
from llem.specs.starter import Starter, SupervisorProcess

_START_S = 30.0
"""A supervisor that has not started its worker after so long never will."""

NO_STARTER = f"{WARM.name}, which forks workers, is not installed here ({WARM.install})"
"""The reason why each worker is started afresh where nothing is registered that starts one sooner."""


class LocalRunner:
    """Starts `python -m llem.worker JOB_DIR` with this interpreter, or forks what would become of it."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._starter = _starter(context) if context.warm_start and context.backend else None

    def preflight(self, experiments: Sequence[ExperimentConfig]) -> Iterable[Finding]:
        """Check that processes can be started and watched here."""
        if self._context.argument is not None:
            yield Finding(
                level="error",
                message=f"the runner `local` takes no argument, and `{self._context.argument}` was given.",
                remedy="Write `local` alone.",
            )
        if not sys.platform.startswith("linux"):
            yield Finding(
                level="error",
                message=f"the runner `local` needs Linux, and this is {sys.platform}.",
                remedy="Run llem on Linux, or choose a runner that brings its own system, such as docker.",
            )
        try:
            clear_scratch()
            Path(new_scratch()).rmdir()
        except OSError as error:
            yield Finding(
                level="error",
                message=f"no temporary folder can be made for workers: {error}.",
                remedy="Free space there, or set TMPDIR to a folder that can be written.",
            )

    def capacity(self) -> int:
        """One, since two experiments at once would be in each other's figures; more where the study asked for that."""
        return self._context.at_once

    def start(self, job: Job) -> RunningJob:
        """Start the worker in a session of its own. Raises LlemError where the system refuses."""
        scratch = None
        try:
            scratch = new_scratch()
            command = [sys.executable, "-m", "llem.worker", str(job.directory)]
            return LocalJob(command, job, scratch, self._starter)
        except OSError as error:
            if scratch:
                shutil.rmtree(scratch, ignore_errors=True)
            raise LlemError(
                f"the worker cannot be started: {error}.",
                where=str(job.directory),
                remedy="Look for a full disk, a full process table or too little memory.",
            ) from error

    def close(self) -> None:
        """Close the starter, where there is one: all that is held between jobs."""
        if self._starter is not None:
            self._starter.close()


def _starter(context: RunnerContext) -> Starter:
    for spec in context.registry[STARTERS].values():
        starter: Starter = load_object(spec.starter)(context.backend, variables_of(context.registry))
        return starter
    return _NoStarter()


class _NoStarter:
    """In place of a starter where none is installed."""

    def start(self, *_: object) -> tuple[None, str]:
        return None, NO_STARTER

    def close(self) -> None: ...


class LocalJob:
    """One worker under way, behind its supervisor.

    Args:
        command: the worker's program, by absolute path, and its arguments.
        job: what it works on; its log goes to the job directory.
        scratch: an empty folder for it alone, removed at the end.
        starter: starts what the command would start, sooner; used instead of it where it can.

    Raises:
        OSError: a process, a pipe or the log cannot be made.
    """

    def __init__(self, command: Sequence[str], job: Job, scratch: str, starter: Starter | None = None) -> None:
        self._scratch = scratch
        self._id = uuid.uuid4().hex
        self._oom_before = oom_kills()
        self._exit: Exit | None = None
        self._received = b""
        self._waiting = threading.Lock()
        environment = worker_environment(os.environ, scratch=scratch, job_id=self._id, settings=job.environment)
        self._process = self._begin(command, job, environment, starter)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders = self._process.stdin
        self._reports = self._process.stdout
        self._await_start()

    def _begin(
        self, command: Sequence[str], job: Job, environment: dict[str, str], starter: Starter | None
    ) -> SupervisorProcess:
        with (job.directory / LOG).open("ab") as log:
            if starter is not None:
                started, why = starter.start(str(job.directory), self._scratch, environment, log.fileno())
                if started is not None:
                    return started
                environment[START] = f"spawned: {why}"
            return subprocess.Popen(
                [sys.executable, "-I", "-S", supervisor.__file__, str(os.getpid()), self._scratch, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                cwd=self._scratch,
                start_new_session=True,
                bufsize=0,
            )

    def _await_start(self) -> None:
        end = time.monotonic() + _START_S
        while b"\n" not in self._received and (remaining := end - time.monotonic()) > 0:
            if not self._receive(remaining):
                break
        if b"\n" not in self._received:
            self._close()
            raise OSError("its supervisor did not start")

    def poll(self) -> Exit | None:
        """Its end, or None while it runs."""
        return self.wait(0)

    def wait(self, timeout_s: float) -> Exit | None:
        """Sleep in the kernel until it ends or the time is over."""
        with self._waiting:
            return self._wait(timeout_s)

    def _wait(self, timeout_s: float) -> Exit | None:
        end = time.monotonic() + timeout_s
        while self._exit is None:
            remaining = max(0.0, end - time.monotonic())
            open_ = self._receive(remaining)
            if self._received.count(b"\n") >= 2 or not open_:
                self._exit = self._finish()
            elif remaining <= 0:
                return None
        return self._exit

    def stop(self, grace_s: float) -> Exit:
        """Ask by SIGTERM, kill everything after `grace_s`, return when all is gone. A later call shortens the time."""
        with suppress(BrokenPipeError, ValueError):  # it may just have ended
            self._orders.write(f"stop {grace_s}\n".encode())
        while (ending := self.wait(3600.0)) is None:
            continue
        return ending

    def _receive(self, timeout_s: float) -> bool:
        """Wait for a report. False where no more can come."""
        poller = select.poll()
        poller.register(self._reports, select.POLLIN)
        if not poller.poll(timeout_s * 1000):
            return True
        data = self._reports.read(4096)
        self._received += data or b""
        return bool(data)

    def _finish(self) -> Exit:
        lines = self._received.split(b"\n")
        report: dict[str, Any] | None = json.loads(lines[1]) if len(lines) > 2 else None
        self._close()
        if report is None:
            return Exit(
                cause=f"the process that watches over the worker was ended ({_ending(self._process.returncode)})"
            )
        causes = [self._memory_cause(report), _left_cause(report)]
        cause = "; ".join(filter(None, causes)) or None
        return Exit(code=report["code"], signal=report["signal"], cause=cause)

    def _memory_cause(self, report: dict[str, Any]) -> str | None:
        after = oom_kills()
        failed = report["code"] != 0 and not report["killed"]
        if not failed or after is None or self._oom_before is None or after <= self._oom_before:
            return None
        return (
            "likely out of memory: while it ran, the kernel's out-of-memory killer ended "
            f"{after - self._oom_before} process(es) here"
        )

    def _close(self) -> None:
        """See the supervisor off, and whatever it could not see off itself because it was killed."""
        self._orders.close()
        self._reports.close()
        try:
            self._process.wait(timeout=_START_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.returncode != 0:
            end = time.monotonic() + _START_S
            while (marked := _marked(self._id)) and time.monotonic() < end:
                for pid in marked:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        continue
                time.sleep(0.02)
            shutil.rmtree(self._scratch, ignore_errors=True)


def _ending(code: int | None) -> str:
    if code is None:
        return "unknown"
    return f"exit code {code}" if code >= 0 else supervisor.signal_name(-code)


def _left_cause(report: dict[str, Any]) -> str | None:
    if not report["left"]:
        return None
    return f"process(es) {', '.join(map(str, report['left']))} could not be ended and may still hold the device"


def _marked(job_id: str) -> list[int]:
    """Processes that carry a job's mark in their environment."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's, or it has ended
            if process.environ().get("LLEM_JOB_ID") == job_id:
                found.append(process.pid)
    return found
