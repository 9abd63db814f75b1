"""An event loop in a thread of its own, for an engine that lives on one while callers wait in other threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

_Result = TypeVar("_Result")

_WATCH_S = 2.0
"""Time within which the death of the engine's process is noticed by who waits for it."""


class EventLoop:
    """The loop. Whatever an engine made on it stays on it for life.

    Args:
        name: of the thread.
        died: gives the error of an engine whose process has ended; None while it runs. Who waits gets it raised.
    """

    def __init__(self, name: str, died: Callable[[], BaseException | None]) -> None:
        self._died = died
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def begin(self, work: Coroutine[Any, Any, _Result]) -> Future[_Result]:
        """Start work there, from any thread. Cancelling the future cancels it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Do work there, and wait for its result."""
        future = self.begin(work)
        try:
            while True:
                # A call to an engine process that died is never answered; one that was answered before it died is not lost.
                death = self._died()
                try:
                    return future.result(timeout=_WATCH_S)
                except TimeoutError:
                    if future.done():
                        raise
                    if death is not None:
                        raise death from None
        except BaseException:
            future.cancel()
            raise

    def together(self, works: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Do all of them beside one another, and wait until all are done. Where one fails the others are cancelled."""
        self.wait(_together(list(works)))

    def end(self) -> None:
        """End the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _together(works: list[Coroutine[Any, Any, None]]) -> None:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
