"""Messages between tasks on the nodes and the driver while experiments run: output one way, orders the other.

An actor on the driver's node. It holds no state that is needed later: Ray starts it anew where its process is killed, the
driver then repeats its orders, and output that was in it is missed in the log and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

MOST_WAITING = 64 * 2**20
"""Bytes that may wait for the driver; then those who put more wait."""
MOST_AT_ONCE = 8 * 2**20
"""Bytes that the driver fetches at once."""
LONG_POLL_S = 20.0
CONCURRENCY = 20_000
"""Each experiment under way holds a call."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message of a task.

    Attributes:
        attempt: whose it is.
        kind: `started`, `events`, `log`, or `end` when there is no more.
        data: bytes of events or log.
        offset: where in that file they stand.
        facts: of the node, for `started`.
    """

    attempt: str
    kind: str
    data: bytes = b""
    offset: int = 0
    facts: dict[str, Any] | None = None


class Mailbox:
    """Made by `ray.remote`; every call is a coroutine of one loop."""

    def __init__(self) -> None:
        self._parcels: deque[Parcel] = deque()
        self._waiting = 0
        self._changed = asyncio.Condition()
        self._orders: dict[str, float] = {}
        self._ordered: dict[str, asyncio.Event] = {}

    async def put(self, parcel: Parcel) -> None:
        """Take a parcel; waits where too much lies here already."""
        async with self._changed:
            while self._waiting > MOST_WAITING:
                await self._changed.wait()
            self._parcels.append(parcel)
            self._waiting += len(parcel.data)
            self._changed.notify_all()

    async def fetch(self) -> list[Parcel]:
        """The messages that have come; waits a while for something, and may return nothing."""
        async with self._changed:
            if not self._parcels:
                try:
                    await asyncio.wait_for(self._changed.wait_for(lambda: bool(self._parcels)), LONG_POLL_S)
                except TimeoutError:
                    return []
            taken, size = [], 0
            while self._parcels and size < MOST_AT_ONCE:
                parcel = self._parcels.popleft()
                size += len(parcel.data)
                taken.append(parcel)
            self._waiting -= size
            self._changed.notify_all()
            return taken

    async def stop(self, attempt: str, grace_s: float) -> None:
        """Order an attempt to end; the shortest grace counts."""
        self._orders[attempt] = min(grace_s, self._orders.get(attempt, grace_s))
        if attempt in self._ordered:
            self._ordered[attempt].set()

    async def order(self, attempt: str, known: float | None) -> float | None:
        """The grace of an order that is shorter than the one known; waits a while for one, and may return None."""
        grace = self._orders.get(attempt)
        if grace is None or (known is not None and grace >= known):
            ordered = self._ordered[attempt] = asyncio.Event()
            try:
                await asyncio.wait_for(ordered.wait(), LONG_POLL_S)
            except TimeoutError:
                return None
            finally:
                del self._ordered[attempt]
        return self._orders.get(attempt)

    async def forget(self, attempt: str) -> None:
        """Drop an order whose attempt has ended."""
        self._orders.pop(attempt, None)
