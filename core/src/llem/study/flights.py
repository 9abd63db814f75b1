"""The experiments under way, of any number: started, looked at, stopped and landed by the study's thread."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from llem.results.models import ExperimentResult
from llem.study.dispatch import Dispatcher
from llem.study.flight import INTERRUPT_GRACE_S, Flight
from llem.study.gaps import STEP_S
from llem.study.interrupts import Interrupts
from llem.study.lanes import Lane, Slot

if TYPE_CHECKING:
    from llem.plan import Planned

LOOKS = 8
"""At how many flights the study looks every `STEP_S`: of more, each has its turn the more seldom."""

_ABANDON_S = 60.0
"""A worker that cannot be killed for so long is left to the system."""


@dataclass(frozen=True, eq=False)
class Boarded:
    """An experiment under way, with what it holds.

    Attributes:
        started_at: when it started, ISO 8601.
    """

    planned: Planned
    lane: Lane
    slots: Sequence[Slot]
    started_at: str
    flight: Flight


class Flights:
    """The experiments that are under way."""

    def __init__(self, dispatcher: Dispatcher, interrupts: Interrupts) -> None:
        self._dispatcher, self._interrupts = dispatcher, interrupts
        self._landed: SimpleQueue[Flight] = SimpleQueue()
        self._under_way: dict[Flight, Boarded] = {}
        self._turns: deque[Flight] = deque()
        self._looked_at = time.monotonic()
        self._stopping = 0

    def __len__(self) -> int:
        return len(self._under_way)

    def start(self, planned: Planned, lane: Lane, slots: Sequence[Slot], started_at: str) -> None:
        """Start an experiment on slots that it was offered. Raises LlemError where its folder cannot be written."""
        lane.take(slots)
        gpus = [slot.name for slot in slots] if lane.is_shared_by(slots) else []
        flight = self._dispatcher.launch(planned, at_once=lane.size, landed=self._landed, gpus=gpus, here=lane.gaps)
        self._under_way[flight] = Boarded(planned, lane, slots, started_at, flight)
        self._turns.append(flight)

    def wait(self, timeout_s: float) -> Iterator[tuple[Boarded, ExperimentResult, bool]]:
        """Sleep until something lands or the time is over; look after the rest; give what has landed.

        Each comes with its result and whether the user interrupted it. Its slots are still held.
        """
        landed = self._next(timeout_s)
        while landed is not None:
            self._turns.remove(landed)
            boarded = self._under_way.pop(landed)
            yield boarded, *self._dispatcher.land(boarded.planned, landed)
            landed = self._next(0)
        self._look()

    def abandon(self) -> None:
        """Kill everything; for a study that cannot go on."""
        for flight in self._under_way:
            flight.stop("Interrupted", "the study ended early.", 0)
        end = time.monotonic() + _ABANDON_S
        for flight in self._under_way:
            flight.abandon(max(0.0, end - time.monotonic()))
        self._under_way.clear()
        self._turns.clear()

    def _next(self, timeout_s: float) -> Flight | None:
        try:
            return self._landed.get(timeout=timeout_s) if timeout_s > 0 else self._landed.get_nowait()
        except Empty:
            return None

    def _look(self) -> None:
        if self._interrupts.count > self._stopping and self._turns:
            self._stopping = self._interrupts.count
            for flight in self._turns:
                grace_s = 0 if self._interrupts.at_once else INTERRUPT_GRACE_S
                flight.stop("Interrupted", "the user interrupted the study.", grace_s)
        now = time.monotonic()
        if now - self._looked_at < STEP_S:
            return
        self._looked_at = now
        for _ in range(min(LOOKS, len(self._turns))):
            self._turns[0].look()
            self._turns.rotate(-1)
