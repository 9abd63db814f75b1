"""The delivery of a study's messages beside it: a thread for each target, so that none waits for another, and the study for none."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from llem_notify.delivery import LONGEST_PAUSE_S, NotDeliveredError
from llem_notify.messages import Message

LAST_S = 5.0
"""Longest wait for messages that are still under way when a study has ended."""

MOST_WAITING = 1000
"""Of one target; more are let go, and counted."""


class Delivers(Protocol):
    """Takes a message to its receiver."""

    def deliver(self, message: Message) -> None:
        """Deliver a message. Raises NotDeliveredError."""


@dataclass
class Route:
    """The way to one target, in a thread of its own.

    Attributes:
        name: of the target.
        way: delivers.
        events: those of which the target is told.
        attempts: tries of one message.
    """

    name: str
    way: Delivers
    events: Sequence[str]
    attempts: int
    lost: int = field(default=0, init=False)
    last_cause: str | None = field(default=None, init=False)
    _waiting: queue.Queue[Message | None] = field(init=False)
    _thread: threading.Thread = field(init=False)
    _open: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self._waiting = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._work, name=f"notify-{self.name}", daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        """Take a message, and return at once."""
        if message.event not in self.events:
            return
        try:
            with self._lock:
                self._open += 1
            self._waiting.put_nowait(message)
        except queue.Full:
            self._ended(lost="too many messages waited")

    def close(self, until: float) -> None:
        """Wait for what is under way, at the latest until this monotonic time; what is not delivered by then is lost."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=max(0.0, until - time.monotonic()))
        self._thread.join(max(0.0, until - time.monotonic()))
        with self._lock:
            self.lost += self._open
            if self._open and self.last_cause is None:
                self.last_cause = "no answer in time"

    def _work(self) -> None:
        while (message := self._waiting.get()) is not None:
            try:
                self._deliver(message)
            except NotDeliveredError as error:
                self._ended(lost=str(error))
            except Exception as error:  # noqa: BLE001 - whatever a service's code raises, the next message goes out
                self._ended(lost=type(error).__name__)  # its text may hold the address
            else:
                self._ended()

    def _deliver(self, message: Message) -> None:
        for attempt in range(self.attempts):
            try:
                self.way.deliver(message)
            except NotDeliveredError as error:
                self.last_cause = str(error)
                if error.final or attempt + 1 == self.attempts:
                    raise
                time.sleep(min(2.0**attempt, LONGEST_PAUSE_S) if error.after_s is None else error.after_s)
            else:
                return

    def _ended(self, lost: str | None = None) -> None:
        with self._lock:
            self._open -= 1
            if lost is not None:
                self.lost += 1
                self.last_cause = lost


class Courier:
    """The routes of one study."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    def send(self, message: Message) -> None:
        """Hand a message to every route that wants it. Returns at once."""
        for route in self._routes:
            route.send(message)

    def close(self, within_s: float = LAST_S) -> list[str]:
        """End every route, in so many seconds for all; a sentence for each that lost messages."""
        until = time.monotonic() + within_s
        for route in self._routes:
            route.close(until)
        return [
            f"{route.lost} message{'s' * (route.lost != 1)} did not reach `{route.name}`: {route.last_cause}"
            for route in self._routes
            if route.lost
        ]
