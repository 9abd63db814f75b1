"""The sources of a load: sessions that arrive by themselves, and users who walk through sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from llem_serving.ahead import LEAD_NS
from llem_serving.arrivals import think_times
from llem_serving.config import LoadConfig
from llem_serving.pacing import Pacer
from llem_serving.turns import Session, Walker, until

AFTER_A_FAILURE_S = 1.0
"""A user whose request failed waits so long before thinking: a server that is gone would else be asked without a pause."""


class Source(Protocol):
    """Whatever has requests arrive, from its start to its stop, in the event loop that runs."""

    def start(self, start_ns: int) -> None:
        """Begin; offsets count from this instant (monotonic ns)."""

    def stop(self) -> None:
        """Have nothing arrive any more. Harmless when repeated."""

    def fault(self) -> BaseException | None:
        """The error that ended a part of it before its time."""


class _Tasks:
    """Tasks of a source, and the first error among them."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[None]] = set()
        self.fault: BaseException | None = None
        self.stopped = False

    def add(self, work: Coroutine[Any, Any, Any]) -> None:
        """Begin something."""
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._over)

    def stop(self) -> None:
        """Cancel all of them."""
        self.stopped = True
        for task in self._under_way:
            task.cancel()

    def _over(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and self.fault is None:
            self.fault = task.exception()


class TimedSessions:
    """Sessions that arrive at instants drawn before; later turns follow answers.

    Args:
        walker: takes a session on.
        sessions: taken in this order, and from the beginning again.
        offsets_ns: of arrivals from the start, ascending.
    """

    def __init__(self, walker: Walker, sessions: Sequence[Session], offsets_ns: Sequence[int]) -> None:
        self._walker, self._sessions, self._offsets_ns = walker, sessions, offsets_ns
        self._start_ns = 0
        self._tasks = _Tasks()
        self._pacer: Pacer | None = None

    def start(self, start_ns: int) -> None:
        """See `Source.start`."""
        self._start_ns = start_ns
        self._pacer = Pacer(self._offsets_ns, self._release)
        self._pacer.start(start_ns if self._walker.flight.ahead is None else start_ns - LEAD_NS)

    def stop(self) -> None:
        """See `Source.stop`."""
        self._tasks.stop()
        if self._pacer is not None:
            self._pacer.end()

    def fault(self) -> BaseException | None:
        """See `Source.fault`."""
        return self._tasks.fault

    def _release(self, first: int, last: int) -> None:
        if self._tasks.stopped:
            return
        for place in range(first, last):
            session = self._sessions[place % len(self._sessions)]
            asked = self._walker.flight.arrive(session[0], self._start_ns + self._offsets_ns[place])
            if len(session) > 1:
                self._tasks.add(self._walker.go_on(session, asked))


class Users:
    """Users who each take a session, wait for its answers, think, and take the next.

    Whoever is free first takes the next session of the dataset, so that long ones are not taken more seldom than short ones.

    Args:
        walker: takes a session through its turns.
        sessions: taken in this order, and from the beginning again.
        load: the section, with `concurrency`.
        cycle: which repetition, from 1.
    """

    def __init__(self, walker: Walker, sessions: Sequence[Session], load: LoadConfig, cycle: int) -> None:
        self._walker, self._sessions, self._load, self._cycle = walker, sessions, load, cycle
        self._taken = 0
        self._tasks = _Tasks()

    def start(self, start_ns: int) -> None:
        """See `Source.start`."""
        for number in range(self._load.concurrency or 0):
            self._tasks.add(self._user(number, start_ns))

    def stop(self) -> None:
        """See `Source.stop`."""
        self._tasks.stop()

    def fault(self) -> BaseException | None:
        """See `Source.fault`."""
        return self._tasks.fault

    async def _user(self, number: int, start_ns: int) -> None:
        due_ns = start_ns
        for think_s in think_times(self._load, self._cycle, number):
            due_ns += round(think_s * 1e9)
            await until(due_ns)
            session = self._sessions[self._taken % len(self._sessions)]
            self._taken += 1
            last = await self._walker.walk(session, due_ns)
            assert last.ended_ns is not None
            due_ns = last.ended_ns + (round(AFTER_A_FAILURE_S * 1e9) if last.error is not None else 0)
