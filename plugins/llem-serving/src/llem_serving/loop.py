"""The event loop of a load generator: one for the life of the engine, whose end waits for nobody longer than it has to."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

from llem_serving.selector import PromptSelector

T = TypeVar("T")

CLOSE_S = 2.0
"""Tasks that are cancelled at the end have so long; one that goes on is left behind, as the process ends after it."""


class Loop:
    """Runs coroutines one after another in one event loop: an asynchronous engine ties itself to the loop it first ran in.

    `asyncio.Runner` would wait for ever for a task that ignores its cancellation.
    """

    def __init__(self) -> None:
        self._loop = asyncio.SelectorEventLoop(PromptSelector())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to its end. Where an exception comes from outside, as on Ctrl+C, the work is taken back by `close`."""
        return self._loop.run_until_complete(self._loop.create_task(work))

    def close(self) -> None:
        """Cancel what is left, wait `CLOSE_S` for it, and end the loop. Harmless when repeated."""
        if self._loop.is_closed():
            return
        try:
            if left := self._ended(asyncio.all_tasks(self._loop)):
                print(f"llem: {left} tasks of the engine go on although they were cancelled", file=sys.stderr)
            self._ended({self._loop.create_task(self._loop.shutdown_asyncgens())}, cancel=False)
        finally:
            self._loop.close()

    def _ended(self, tasks: set[asyncio.Task[Any]], *, cancel: bool = True) -> int:
        """Wait for tasks, and return how many go on."""
        if not tasks:
            return 0
        if cancel:
            for task in tasks:
                task.cancel()
        ended, left = self._loop.run_until_complete(asyncio.wait(tasks, timeout=CLOSE_S))
        for task in ended:
            if not task.cancelled():
                task.exception()  # looked at: what comes of a task that was taken back is no news
        return len(left)
