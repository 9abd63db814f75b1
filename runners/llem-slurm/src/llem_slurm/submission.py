"""Jobs into the queue: what gathered within a moment becomes arrays, as large as the site takes them."""

from __future__ import annotations

import re
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llem.plugin_api import Exit, LlemError, write_atomically
from llem_slurm import errors
from llem_slurm.commands import run, user
from llem_slurm.errors import SlurmRefused, SlurmUnreachable
from llem_slurm.job import SlurmJob
from llem_slurm.options import SlurmOptions
from llem_slurm.queue import QUEUE_FORMAT, read_queue
from llem_slurm.script import ResourceRequest, array_options, script
from llem_slurm.shared_files import ENDED, FOLDER, Batch, Task, Tasks

TOKEN = "id"
"""The file that holds a study's mark in the queue, so that its jobs are found again wherever its folder is moved to."""

_FULL = ("maxsubmit", "submit limit", "submitjob", "job violates accounting/qos policy", "job count", "maxjobcount")
_LATER_S = (5.0, 60.0)
_GIVE_UP_S = 1_800.0


def token_of(study_dir: Path, *, make: bool) -> str | None:
    """The study's mark; None where it has none and none is to be made."""
    path = study_dir / FOLDER / TOKEN
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        if not make:
            return None
    path.parent.mkdir(exist_ok=True)
    (path.parent / ENDED).mkdir(exist_ok=True)
    token = f"llem-{uuid.uuid4().hex[:16]}"
    write_atomically(path, f"{token}\n")
    return token


@dataclass
class _Array:
    """Jobs that go together, and the folder that was written for them."""

    batch: Batch
    jobs: list[SlurmJob]
    need: ResourceRequest


class Submission:
    """Submits the jobs of one study.

    Args:
        study_dir: on a file system that the nodes see.
        name: of the jobs, for people.
        array: most jobs of one array.
    """

    def __init__(self, study_dir: Path, name: str, options: SlurmOptions, image: str | None, array: int) -> None:
        self._dir, self.name, self._options, self._image = study_dir, name, options, image
        self._most = self._at_most = array
        token = token_of(study_dir, make=True)
        assert token is not None
        self.token = token
        self._doubtful: list[_Array] = []
        self._refused_since: float | None = None
        self._pause_s = _LATER_S[0]
        self.not_before = 0.0
        self.unreachable_since: float | None = None

    def submit(self, jobs: Sequence[SlurmJob], *, in_queue: bool) -> list[SlurmJob]:
        """Put jobs into the queue; returns those that have to wait, because the site's limit is reached or Slurm is away.

        Args:
            in_queue: others of this study are in the queue, so that there will be room again.
        """
        try:
            self._settle_doubts()
            doubtful = {id(job) for array in self._doubtful for job in array.jobs}
            by_need: dict[ResourceRequest, list[SlurmJob]] = {}
            for job in jobs:
                if id(job) not in doubtful and job.place is None:
                    by_need.setdefault(job.need, []).append(job)
            for need, group in by_need.items():
                while group:
                    part, group = group[: self._most], group[self._most :]
                    self._put(self._written(part, need))
                    in_queue = True
            self._pause_s, self._refused_since, self.unreachable_since = _LATER_S[0], None, None
            self._most = min(self._at_most, 2 * self._most)
        except SlurmUnreachable as error:
            self._later()
            self.unreachable_since = self.unreachable_since or time.monotonic()
            if time.monotonic() - self.unreachable_since > _GIVE_UP_S:
                self._give_up(jobs, Exit(cause=_cause(error), error=errors.SUBMIT_REFUSED))
        except _QueueFull as error:
            self._most = max(1, self._most // 2)
            self._refused_since = self._refused_since or time.monotonic()
            self._later()
            if not in_queue and time.monotonic() - self._refused_since > _GIVE_UP_S:
                self._give_up(jobs, Exit(cause=_cause(error), error=errors.SUBMIT_REFUSED))
        return [job for job in jobs if job.place is None and not job.is_over]

    def is_doubtful(self, job: SlurmJob) -> bool:
        """Tell whether sbatch was given it and did not answer."""
        return any(job in array.jobs for array in self._doubtful)

    def _written(self, jobs: list[SlurmJob], need: ResourceRequest) -> _Array:
        options = self._options
        batch = Batch(self._dir / FOLDER / f"{time.strftime('%H%M%S')}-{uuid.uuid4().hex[:8]}")
        tasks = Tasks(
            tasks=tuple(
                Task(
                    directory=str(job.job.directory),
                    config_hash=job.job.config_hash,
                    environment=dict(job.job.environment),
                )
                for job in jobs
            ),
            requeues=options.requeues,
            exclusive=options.exclusive,
            image=self._image,
            container=options.container,
            container_options=options.container_options,
        )
        try:
            batch.folder.mkdir(parents=True)
            tasks.write(batch.jobs)
            python = options.python or sys.executable
            batch.script.write_text(script(options, python, str(batch.folder)), encoding="utf-8")
        except OSError as error:
            self._give_up(jobs, Exit(cause=f"what the nodes are to do cannot be written: {error}", error="StartFailed"))
            return _Array(batch, [], need)
        return _Array(batch, jobs, need)

    def _put(self, array: _Array) -> None:
        if not array.jobs:
            return
        options = array_options(
            self._options,
            array.need,
            count=len(array.jobs),
            name=self.name,
            comment=f"{self.token}/{array.batch.folder.name}",
            folder=str(array.batch.folder),
        )
        try:
            number = _number(run(["sbatch", *options, str(array.batch.script)]))
        except SlurmUnreachable:
            self._doubtful.append(array)  # it may have been taken all the same
            raise
        except SlurmRefused as error:
            if any(sign in error.what.lower() for sign in _FULL):
                raise _QueueFull(error.what) from error
            self._give_up(array.jobs, Exit(cause=_cause(error), error=errors.SUBMIT_REFUSED))
            return
        self._in_queue(array, number)

    def _in_queue(self, array: _Array, number: str) -> None:
        for index, job in enumerate(array.jobs):
            job.batch, job.index, job.place = array.batch, index, (number, index)

    def _settle_doubts(self) -> None:
        """Where sbatch did not answer it may have done its work all the same: the queue tells, by the array's own mark."""
        if not self._doubtful:
            return
        queue = read_queue(run(queue_command(self.name)))
        for array in list(self._doubtful):
            mark = f"{self.token}/{array.batch.folder.name}"
            number = next((place[0] for place, seen in queue.items() if seen.comment == mark), None)
            self._doubtful.remove(array)
            if number is not None:
                self._in_queue(array, number)

    def _later(self) -> None:
        self.not_before = time.monotonic() + self._pause_s
        self._pause_s = min(_LATER_S[1], self._pause_s * 2)

    def _give_up(self, jobs: Sequence[SlurmJob], ending: Exit) -> None:
        for job in jobs:
            if job.place is None:
                job.finish(ending)


class _QueueFull(LlemError):  # noqa: N818
    """The site's limit of jobs in the queue is reached."""

    topic = "slurm"


def _number(said: str) -> str:
    """The number of the array that sbatch put into the queue. Raises SlurmUnreachable where it names none."""
    number = said.strip().rpartition("\n")[2].partition(";")[0]
    if not re.fullmatch(r"\d+", number):
        raise SlurmUnreachable(f"sbatch gave no job's number: {said.strip()[:200]}")
    return number


def _cause(error: LlemError) -> str:
    return f"Slurm does not take its job: {error.what.rstrip('.')}"


def queue_command(name: str | None) -> list[str]:
    """The squeue that lists this user's jobs of one name, each index on its own line, with those that ended lately."""
    named = [f"--name={name}"] if name is not None else []
    mine = f"--user={user()}"
    return ["squeue", "--noheader", "--array", "--states=all", mine, *named, f"--format={QUEUE_FORMAT}"]
