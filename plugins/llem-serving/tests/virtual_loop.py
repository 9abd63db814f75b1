"""Virtual time: nothing sleeps, so that a long run takes a moment and every instant is exact."""

from __future__ import annotations

import asyncio
import math
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest import mock

T = TypeVar("T")

S = 1_000_000_000


class _Clock(selectors.SelectSelector):
    """A selector that puts the clock on in place of waiting."""

    now_ns = 1_000 * S

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout == 0:
            return []  # there is work to do first
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("nothing will ever happen")
        if not ready and timeout:
            self.now_ns += max(0, math.ceil(timeout * 1e9))
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: _Clock) -> None:
        self._clock = clock
        super().__init__(clock)

    def time(self) -> float:
        return self._clock.now_ns / 1e9

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        future: asyncio.Future[T] = self.create_future()
        future.set_result(func(*args))
        return future


@contextmanager
def _virtual() -> Iterator[_Loop]:
    loop = _Loop(clock := _Clock())

    def now_ns() -> int:
        return clock.now_ns

    try:
        with mock.patch.object(time, "monotonic_ns", now_ns):
            yield loop
    finally:
        loop.close()


def run_virtually(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of a coroutine that is made and run in virtual time. As with `asyncio.run`, nothing of it goes on afterwards."""
    with _virtual() as loop:
        try:
            return loop.run_until_complete(work())
        finally:
            if left := asyncio.all_tasks(loop):
                for task in left:
                    task.cancel()
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
