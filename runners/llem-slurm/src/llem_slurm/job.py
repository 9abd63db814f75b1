"""One experiment in Slurm's hands."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from llem.plugin_api import Exit, Job
from llem_slurm.queue import Place, Seen
from llem_slurm.script import ResourceRequest

if TYPE_CHECKING:
    from llem_slurm.shared_files import Batch


class SlurmJob:
    """A job from its start by the study to its end. What is known of it, the cluster's thread alone writes.

    Attributes:
        job: what runs.
        need: what it asks for.
        batch, index, place: where it was submitted; None before.
        seen: what Slurm said of it last.
        since: when doubts about it began (monotonic seconds): it seems over and has left no record that can be seen here.
        kill_at: when it is to be killed that was asked to end; None where nobody wants its end.
        asked, killed: how far that has come.
        verdict: how it ended, where its end was brought about here.
    """

    def __init__(self, job: Job, need: ResourceRequest, changed: Callable[[], None]) -> None:
        self.job = job
        self.need = need
        self.batch: Batch | None = None
        self.index = 0
        self.place: Place | None = None
        self.seen: Seen | None = None
        self.since: float | None = None
        self.stuck_since: float | None = None
        self.kill_at: float | None = None
        self.asked_at: float | None = None
        self.killed = False
        self.verdict: Exit | None = None
        self._changed = changed
        self._over = threading.Event()
        self._exit: Exit | None = None

    def poll(self) -> Exit | None:
        """Its end, or None."""
        return self._exit if self._over.is_set() else None

    def wait(self, timeout_s: float) -> Exit | None:
        """Sleep until it has ended or the time is over."""
        self._over.wait(timeout_s)
        return self.poll()

    def stop(self, grace_s: float) -> Exit:
        """Take it out of the queue, or end it where it runs; a later call shortens the time."""
        at = time.monotonic() + grace_s
        self.kill_at = at if self.kill_at is None else min(at, self.kill_at)
        self._changed()
        self._over.wait()
        assert self._exit is not None
        return self._exit

    def queued(self) -> bool:
        """Tell whether it waits for its turn, for the first time or once more."""
        return not self._over.is_set() and (self.seen is None or self.seen.waits)

    @property
    def is_over(self) -> bool:
        """Tell whether its end is known."""
        return self._over.is_set()

    def finish(self, ending: Exit) -> None:
        """That is how it ended; the first word counts."""
        if not self._over.is_set():
            self._exit = ending
            self._over.set()
