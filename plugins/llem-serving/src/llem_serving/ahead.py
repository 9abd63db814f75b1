"""Engines that take a request ahead of time, and have it leave at its instant by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol, runtime_checkable

from llem.plugin_api import Request, TokenEvent

LEAD_NS = 100_000_000
"""Nanoseconds by which a request is handed over ahead: longer than the loop that reads answers is ever held up."""


@runtime_checkable
class SendsAhead(Protocol):
    """Interface that an `Engine` may have besides, such as one whose server is another process.

    Whoever releases requests in the loop that also reads answers is late whenever many of these come.
    """

    def prepare_ahead(self) -> bool:
        """Begin what `stream_at` takes. False where it cannot be: then requests go by `stream`."""

    def stream_at(self, request: Request, due_ns: int, left: Callable[[int], None]) -> AsyncIterator[TokenEvent]:
        """As `Engine.stream`, but the request leaves at an instant; closing the iterator before takes it back.

        Args:
            request: what to ask.
            due_ns: when it leaves (monotonic ns); at once where that has passed.
            left: called in the loop with the instant at which it did.
        """
