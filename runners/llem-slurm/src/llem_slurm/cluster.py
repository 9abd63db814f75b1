"""All jobs of one study in the cluster: one thread submits them, looks at them, and ends them. One look is for all of them.

The end of a job is learnt from its record in the shared folder, which costs the controller nothing. The queue is asked at
growing intervals, for what no record can tell: whether a job waits, and how one ended that could leave none.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from llem.plugin_api import Exit, LlemError, log_tail
from llem_slurm.commands import cancel, in_parts, run
from llem_slurm.ending import ending_of, hopeless, lost
from llem_slurm.job import SlurmJob
from llem_slurm.options import SlurmOptions
from llem_slurm.queue import ACCOUNT_FORMAT, HOPELESS, Place, Seen, read_accounts, read_queue
from llem_slurm.shared_files import ENDED, FOLDER, Record, digest_of
from llem_slurm.submission import Submission, queue_command

GATHER_S = 1.0
"""Jobs that are started within this time go into one array."""
_FIRST_POLL_S = 2.0
_LOOK_S = 1.0
_CALM_S = 5.0
"""Time that a record may take that was written right before Slurm said that the job is over."""
_HOPELESS_S = 10.0
_UNREACHABLE_S = 120.0
"""A job that cannot be cancelled for so long, because Slurm does not answer, is given up with a word on how to end it."""


class Cluster:
    """The jobs of one study. Its methods may be called from any thread."""

    def __init__(self, submission: Submission, study_dir: Path, options: SlurmOptions) -> None:
        self._submission, self._options = submission, options
        self._ended = study_dir / FOLDER / ENDED
        self._jobs: list[SlurmJob] = []
        self._changed = threading.Condition()
        self._gathering_since: float | None = None
        self._pause_s = _FIRST_POLL_S
        self._poll_at = self._look_at = float("inf")
        self._closed = threading.Event()
        self._known: dict[str, SlurmJob] = {}
        self._thread = threading.Thread(target=self._run, name="llem-slurm", daemon=True)
        self._thread.start()

    def add(self, job: SlurmJob) -> None:
        """Have it submitted, together with what else comes within a moment."""
        with self._changed:
            self._jobs.append(job)
            if self._gathering_since is None:
                self._gathering_since = time.monotonic()
            self._changed.notify()

    def stir(self) -> None:
        """Something about a job has changed: look at all."""
        with self._changed:
            self._changed.notify()

    def close(self) -> None:
        """End the thread; every job has ended."""
        with self._changed:
            self._closed.set()
            self._changed.notify()
        self._thread.join()

    # The thread.

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._closed.is_set():
                    self._changed.wait(self._rest_s())
                if self._closed.is_set():
                    return
                self._jobs = [job for job in self._jobs if not job.is_over]
                self._known = {name: job for name, job in self._known.items() if not job.is_over}
                jobs = list(self._jobs)
                gathered = self._has_gathered()
            try:
                self._submit(jobs, gathered=gathered)
                self._look(jobs)
                self._end(jobs)
                self._poll(jobs)
            except LlemError as error:
                self._poll_soon(self._pause_s)
                self._give_up_unreachable(jobs, error)
            except Exception as error:  # noqa: BLE001 - no experiment may wait for ever on a thread that died
                print(f"llem-slurm: {type(error).__name__}: {error}", file=sys.stderr)
                self._poll_soon(_FIRST_POLL_S)

    def _rest_s(self) -> float | None:
        """The time for which there is nothing to do; None: until something comes."""
        if not self._jobs:
            return None
        now = time.monotonic()
        due = [self._poll_at, self._look_at]
        if self._gathering_since is not None:
            due.append(max(self._gathering_since + GATHER_S, self._submission.not_before))
        due += [at for job in self._jobs if (at := job.kill_at) is not None and not job.killed]
        if any(job.kill_at is not None and job.asked_at is None for job in self._jobs):
            return 0.2
        return min(60.0, max(0.05, min(due) - now))

    def _has_gathered(self) -> bool:
        """Tell whether it is time to submit; then gathering begins anew."""
        since = self._gathering_since
        if since is None or time.monotonic() < max(since + GATHER_S, self._submission.not_before):
            return False
        self._gathering_since = None
        return True

    def _submit(self, jobs: Iterable[SlurmJob], *, gathered: bool) -> None:
        waiting = [job for job in jobs if job.place is None and not job.is_over]
        for job in waiting:
            if job.kill_at is not None and not self._submission.is_doubtful(job):
                job.finish(Exit(cause="it was still waiting to be submitted"))
        waiting = [job for job in waiting if not job.is_over]
        if not gathered:
            return
        left = self._submission.submit(waiting, in_queue=any(job.place for job in jobs))
        for job in waiting:
            if job.batch is not None:
                self._known[job.batch.record(job.index).name] = job
        if left:
            with self._changed:
                self._gathering_since = self._gathering_since or time.monotonic()
        self._pause_s = _FIRST_POLL_S
        self._poll_soon(_FIRST_POLL_S)
        self._look_at = min(self._look_at, time.monotonic() + _LOOK_S)

    def _look(self, jobs: Iterable[SlurmJob]) -> None:
        """Find the records that are new. The more a look costs, the rarer it is."""
        begin = time.monotonic()
        if begin < self._look_at and not any(job.since for job in jobs):
            return
        try:
            names = [entry.name for entry in os.scandir(self._ended)]
        except OSError:
            names = []
        for name in names:
            if (job := self._known.get(name)) is not None:
                self._take(job, name)
        cost = time.monotonic() - begin
        self._look_at = time.monotonic() + max(_LOOK_S, 20 * cost)

    def _take(self, job: SlurmJob, name: str) -> None:
        """A record is there: the job has ended as soon as its result is there as well."""
        record = Record.read(self._ended / name)
        if record is None:
            return
        if record.result != digest_of(job.job.directory):
            job.since = job.since or time.monotonic()
            if time.monotonic() - job.since < self._options.file_delay_s:
                return
        del self._known[name]
        job.finish(record.exit())

    def _end(self, jobs: Iterable[SlurmJob]) -> None:
        """Ask those to end whose end is wanted, and kill those that did not."""
        now = time.monotonic()
        wanted = [job for job in jobs if job.place is not None and job.kill_at is not None and not job.is_over]
        ask = [job for job in wanted if job.asked_at is None]
        kill = [job for job in wanted if job.kill_at is not None and now >= job.kill_at and not job.killed]
        if ask:
            _scancel(ask)
            for job in ask:
                job.asked_at = now
            self._pause_s = _LOOK_S
            self._poll_soon(0.5)
        kill = [job for job in kill if job.seen is not None and not job.seen.waits]
        if kill:
            _scancel(kill, "--signal=KILL", "--full")
            for job in kill:
                job.killed = True
            self._poll_soon(0.5)

    def _poll(self, jobs: Iterable[SlurmJob]) -> None:
        """One question for all jobs, and one more for those of which the queue does not tell enough."""
        live = [job for job in jobs if job.place is not None and not job.is_over]
        if not live or time.monotonic() < self._poll_at:
            return
        queue = read_queue(run(queue_command(self._submission.name)))
        now = time.monotonic()
        unclear: dict[Place, SlurmJob] = {}
        for job in live:
            assert job.place is not None
            seen = queue.get(job.place)
            if seen is not None:
                job.seen = seen
            if seen is not None and not seen.is_over:
                job.since = None
                self._judge_waiting(job, seen, now)
                continue
            job.since = job.since or now
            patience = _CALM_S if seen is not None and seen.state != "COMPLETED" else self._options.file_delay_s
            if job.asked_at is not None:
                patience = 0.0
            if now - job.since >= min(patience, self._options.file_delay_s):
                unclear[job.place] = job
        self._settle(unclear)
        busy = any(job.since is not None or job.asked_at is not None for job in live if not job.is_over)
        self._pause_s = _FIRST_POLL_S if busy else min(self._options.poll_s, self._pause_s * 1.5)
        self._poll_at = now + self._pause_s

    def _judge_waiting(self, job: SlurmJob, seen: Seen, now: float) -> None:
        if not seen.waits or not seen.reason.startswith(HOPELESS):
            job.stuck_since = None
        elif job.stuck_since is None:
            job.stuck_since = now
        elif now - job.stuck_since > _HOPELESS_S and job.kill_at is None:
            job.verdict = hopeless(seen)
            job.kill_at = now

    def _settle(self, unclear: dict[Place, SlurmJob]) -> None:
        """The ends of jobs that are over and left no record."""
        for name in [name for name, job in self._known.items() if job.place in unclear]:
            self._take(self._known[name], name)
        unclear = {place: job for place, job in unclear.items() if not job.is_over}
        if not unclear:
            return
        told = accounts(unclear)
        for place, job in unclear.items():
            seen = told.get(place) or job.seen
            if job.verdict is not None:
                job.finish(job.verdict)
            elif job.asked_at is not None:
                job.finish(Exit(signal="SIGKILL" if job.killed else "SIGTERM", node=seen.node if seen else None))
            elif seen is None or not seen.is_over:
                job.finish(lost())
            else:
                job.finish(ending_of(seen, _last_line(job)))

    def _give_up_unreachable(self, jobs: Iterable[SlurmJob], error: LlemError) -> None:
        now = time.monotonic()
        for job in jobs:
            if job.kill_at is not None and now - job.kill_at > _UNREACHABLE_S and not job.is_over:
                number = "_".join(map(str, job.place or ()))
                job.finish(Exit(cause=f"{error.what.rstrip('.')}; its job may still run: scancel {number}"))

    def _poll_soon(self, within_s: float) -> None:
        self._poll_at = min(self._poll_at, time.monotonic() + within_s)
        if self._poll_at <= time.monotonic():
            self._poll_at = time.monotonic() + within_s


def accounts(places: Iterable[Place]) -> dict[Place, Seen]:
    """Accounting's knowledge of jobs; nothing where there is none."""
    command = ["sacct", "--allocations", "--noheader", "--parsable2", f"--format={ACCOUNT_FORMAT}"]
    found: dict[Place, Seen] = {}
    for names in in_parts([f"{number}_{index}" for number, index in places]):
        try:
            text = run([*command, f"--jobs={','.join(names)}"], timeout_s=60)
        except LlemError:
            return found
        found.update(read_accounts(text))
    return found


def _scancel(jobs: list[SlurmJob], *how: str) -> None:
    cancel(["_".join(map(str, job.place or ())) for job in jobs], *how)


def _last_line(job: SlurmJob) -> str:
    assert job.batch is not None
    return log_tail(job.batch.log(job.index)).rpartition("\n")[2].strip()[:200]
