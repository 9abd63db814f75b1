"""Runners that break one promise each. The name of the test that must notice stands in `lies`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from llem.config.experiment import ExperimentConfig
from llem.plugin_api import Exit, Finding, Job, RunnerContext, RunningJob
from llem.results.job_directory import LOG
from llem.runners.local import LocalRunner


class Honest(LocalRunner):
    """llem's own."""


class Wrapped:
    """A job that another one does."""

    def __init__(self, job: RunningJob) -> None:
        self.job = job

    def poll(self) -> Exit | None:
        return self.job.poll()

    def wait(self, timeout_s: float) -> Exit | None:
        return self.job.wait(timeout_s)

    def stop(self, grace_s: float) -> Exit:
        return self.job.stop(grace_s)


class PlainJob:
    """A bare process: nobody watches over what it starts."""

    def __init__(self, job: Job) -> None:
        with (job.directory / LOG).open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "llem.worker", str(job.directory)],
                env={**os.environ, **job.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def poll(self) -> Exit | None:
        return self.wait(0)

    def wait(self, timeout_s: float) -> Exit | None:
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        return Exit(code=code) if code >= 0 else Exit(signal=signal.Signals(-code).name)

    def stop(self, grace_s: float) -> Exit:
        self.process.kill()
        self.process.wait()
        return self.wait(0) or Exit()


class Forgetful(LocalRunner):
    """Ends the worker and forgets what it had started."""

    def start(self, job: Job) -> RunningJob:
        return PlainJob(job)


class Optimist(LocalRunner):
    """Every ending is a success."""

    class Rosy(Wrapped):
        def wait(self, timeout_s: float) -> Exit | None:
            ending = self.job.wait(timeout_s)
            return ending and Exit(code=0)

    def start(self, job: Job) -> RunningJob:
        return self.Rosy(super().start(job))


class Spinning(LocalRunner):
    """Waits by asking again and again."""

    class Busy(Wrapped):
        def wait(self, timeout_s: float) -> Exit | None:
            end = time.monotonic() + timeout_s
            while (ending := self.job.poll()) is None and time.monotonic() < end:
                continue
            return ending

    def start(self, job: Job) -> RunningJob:
        return self.Busy(super().start(job))


class Deaf(LocalRunner):
    """The job's variables do not reach the worker, but for the path."""

    def start(self, job: Job) -> RunningJob:
        kept = {name: value for name, value in job.environment.items() if name == "PYTHONPATH"}
        return super().start(replace(job, environment=kept))


class Impatient(LocalRunner):
    """Waits shorter than it is asked."""

    class Hasty(Wrapped):
        def wait(self, timeout_s: float) -> Exit | None:
            return self.job.wait(timeout_s if timeout_s > 10 else timeout_s / 10)

    def start(self, job: Job) -> RunningJob:
        return self.Hasty(super().start(job))


class Amnesic(LocalRunner):
    """Tells an ending once."""

    class Once(Wrapped):
        told = False

        def wait(self, timeout_s: float) -> Exit | None:
            ending = self.job.wait(timeout_s)
            if ending is not None and self.told:
                return Exit(cause="it has ended some time ago")
            self.told = ending is not None
            return ending

        def poll(self) -> Exit | None:
            return self.wait(0)

    def start(self, job: Job) -> RunningJob:
        return self.Once(super().start(job))


class Quitter(LocalRunner):
    """Whoever waits learns nothing once another thread stops the job."""

    class Quitting(Wrapped):
        stopped = False

        def wait(self, timeout_s: float) -> Exit | None:
            ending = self.job.wait(timeout_s)
            return None if self.stopped else ending

        def stop(self, grace_s: float) -> Exit:
            self.stopped = True
            return self.job.stop(grace_s)

    def start(self, job: Job) -> RunningJob:
        return self.Quitting(super().start(job))


class Astray(LocalRunner):
    """Names another node than the worker."""

    class Elsewhere(Wrapped):
        def wait(self, timeout_s: float) -> Exit | None:
            ending = self.job.wait(timeout_s)
            return ending and replace(ending, node="nowhere")

    def start(self, job: Job) -> RunningJob:
        return self.Elsewhere(super().start(job))


class Closed(LocalRunner):
    """Has no place for a job."""

    def capacity(self) -> int:
        return 0


class Complaining(LocalRunner):
    """Finds fault with what it then runs."""

    def __init__(self, context: RunnerContext) -> None:
        super().__init__(context)
        self.helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(90)"])

    def preflight(self, experiments: Sequence[ExperimentConfig]) -> Iterable[Finding]:
        yield Finding(level="error", message="it will not work")
