"""Counts of a server over the window: its steps, its batches and its queue."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass
class _Series:
    """A count of what was seen, with its sum and its largest value."""

    count: int = 0
    total: float = 0.0
    most: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value
        self.most = max(self.most, float(value))

    @property
    def mean(self) -> float:
        return self.total / self.count


class ServerCounts:
    """Adds up what happened since the last reset. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running, self._batches, self._waits_s, self._waiting = _Series(), _Series(), _Series(), _Series()

    def step(self, running: int) -> None:
        """Count a step that gave tokens to so many requests."""
        with self._lock:
            self._running.add(running)

    def batch(self, requests: int) -> None:
        """Count a static batch of so many requests."""
        with self._lock:
            self._batches.add(requests)

    def waiting(self, requests: int) -> None:
        """Note how many requests wait now."""
        with self._lock:
            self._waiting.add(requests)

    def waited(self, seconds: float) -> None:
        """Count a request that has waited so long before anything was computed for it."""
        with self._lock:
            self._waits_s.add(seconds)

    def figures(self, *, reset: bool = False) -> Mapping[str, float]:
        """The counts by name; times in seconds. What has not happened is left out."""
        with self._lock:
            found: dict[str, float] = {}
            if self._running.count:
                found["steps"] = float(self._running.count)
                found["running_mean"] = self._running.mean
                found["running_peak"] = self._running.most
            if self._waiting.count:
                found["waiting_peak"] = self._waiting.most
            if self._batches.count:
                found["batches"] = float(self._batches.count)
                found["batch_size_mean"] = self._batches.mean
                found["batch_size_max"] = self._batches.most
            if self._waits_s.count:
                found["queue_mean_s"] = self._waits_s.mean
                found["queue_max_s"] = self._waits_s.most
            if reset:
                self._running, self._batches, self._waits_s, self._waiting = _Series(), _Series(), _Series(), _Series()
            return found
