"""The queue in front of static batches: when one starts, and what is in it."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class WaitingQueue(Generic[T]):
    """Requests in the order of their arrival, until a batch takes them. Not safe between threads.

    A batch is due when `size` requests wait, or as soon as the oldest has waited `max_wait_ns`.

    Args:
        size: requests of a batch, at most.
        max_wait_ns: how long the oldest waits for others, at most.
    """

    def __init__(self, size: int, max_wait_ns: int) -> None:
        self._size, self._max_wait_ns = size, max_wait_ns
        self._waiting: deque[tuple[T, int]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, item: T, now_ns: int) -> None:
        """Let a request wait from now on."""
        self._waiting.append((item, now_ns))

    def remove(self, item: T) -> None:
        """Take a request out again; harmless where it waits no more."""
        self._waiting = deque(one for one in self._waiting if one[0] != item)

    def due_in_ns(self, now_ns: int) -> int | None:
        """Time until a batch is due: 0 where one is, None where none will be before another request comes."""
        if len(self._waiting) >= self._size:
            return 0
        return max(0, self._waiting[0][1] + self._max_wait_ns - now_ns) if self._waiting else None

    def take(self, now_ns: int) -> list[tuple[T, int]]:
        """The batch that is due, each request with how long it has waited (ns); nothing where none is."""
        if self.due_in_ns(now_ns) != 0:
            return []
        count = min(self._size, len(self._waiting))
        return [(item, now_ns - since_ns) for item, since_ns in (self._waiting.popleft() for _ in range(count))]
