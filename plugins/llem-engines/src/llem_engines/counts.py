"""Counts of the requests that an engine has, kept beside it: what its answers tell, and how many of them were under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence


class _Level:
    """A number that rises and falls, with its peak and its mean over the time in which anything was under way."""

    def __init__(self) -> None:
        self.now = 0
        self.restart()

    def restart(self) -> None:
        self.peak, self._sum = self.now, 0.0

    def pass_by(self, seconds: float) -> None:
        self._sum += self.now * seconds

    def change(self, by: int) -> None:
        self.now += by
        self.peak = max(self.peak, self.now)

    def mean(self, seconds: float) -> float:
        return self._sum / seconds


class Counts:
    """Adds up what happened since the last reset. Safe between threads.

    A request waits from when it is sent to its first token, and runs from there to its last.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting, self._running = _Level(), _Level()
        self._prompts: dict[str, int] = {}
        self._retracted: dict[str, int] = {}
        self._started: set[str] = set()
        self._last_ns = 0
        self._restart()

    def _restart(self) -> None:
        self._busy_s = 0.0
        self._requests = 0
        self._queried = self._hits = self._retractions = 0
        self._tells_hits = self._tells_retractions = False
        self._waiting.restart()
        self._running.restart()

    def sent(self, prompts: Mapping[str, int], now: int) -> None:
        """Count requests that were just sent, by name, with the number of tokens of their prompts."""
        with self._lock:
            self._advance(now)
            self._prompts |= prompts
            self._waiting.change(len(prompts))

    def arrived(
        self,
        name: str,
        now: int,
        *,
        has_tokens: bool,
        cached: int | None,
        retractions: int | None = None,
        is_over: bool,
    ) -> None:
        """Count what came of a request. One that is not known any more, since it was given up, is left out.

        Args:
            name: of the request.
            now: when it came, monotonic ns.
            has_tokens: it brought some.
            cached: prompt tokens out of the cache, where the engine tells.
            retractions: number of times that it lost its place so far, where the engine tells.
            is_over: it was the last.
        """
        with self._lock:
            if name not in self._prompts:
                return
            self._advance(now)
            if name not in self._started and has_tokens:
                self._start(name, cached)
            if retractions is not None:
                self._tells_retractions = True
                if (again := retractions - self._retracted.get(name, 0)) > 0:
                    self._retractions += again
                    self._retracted[name] = retractions
            if is_over:
                self._forget(name)

    def given_up(self, names: Sequence[str], now: int) -> None:
        """Leave requests out that have no answer."""
        with self._lock:
            self._advance(now)
            for name in names:
                if name in self._prompts:
                    self._forget(name)

    def figures(self, *, reset: bool = False) -> Mapping[str, float]:
        """The counts by name; a share is of 1. What has not happened, or is not told, is left out."""
        with self._lock:
            self._advance(time.monotonic_ns())
            found = self._figures()
            if reset:
                self._restart()
            return found

    def _figures(self) -> dict[str, float]:
        if not self._requests or self._busy_s <= 0:
            return {}
        found = {
            "running_mean": self._running.mean(self._busy_s),
            "running_peak": float(self._running.peak),
            "waiting_mean": self._waiting.mean(self._busy_s),
            "waiting_peak": float(self._waiting.peak),
        }
        if self._tells_retractions:
            found["preemptions"] = float(self._retractions)
        if self._tells_hits:
            found["prefix_cache_queried_tokens"] = float(self._queried)
            found["prefix_cache_hit_tokens"] = float(self._hits)
            found["prefix_cache_hit_share"] = self._hits / self._queried
        return found

    def _start(self, name: str, cached: int | None) -> None:
        """Count a request at its first token: what of its prompt was found is known then."""
        self._started.add(name)
        self._waiting.change(-1)
        self._running.change(1)
        self._requests += 1
        if cached is not None:
            self._tells_hits = True
            self._queried += self._prompts[name]
            self._hits += min(cached, self._prompts[name])

    def _forget(self, name: str) -> None:
        del self._prompts[name]
        self._retracted.pop(name, None)
        if name in self._started:
            self._started.discard(name)
            self._running.change(-1)
        else:
            self._waiting.change(-1)

    def _advance(self, now: int) -> None:
        """Let the time since the last change go by. Stamps of the host may be a little older than the last one of this process."""
        seconds = max(0, now - self._last_ns) / 1e9
        self._last_ns = max(now, self._last_ns)
        if self._waiting.now or self._running.now:
            self._busy_s += seconds
            self._waiting.pass_by(seconds)
            self._running.pass_by(seconds)
