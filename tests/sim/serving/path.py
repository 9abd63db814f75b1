"""The path of all requests through a server: when each was released, taken, and given its tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from sim.serving.arrivals import Ints
from sim.serving.power import StepPower


class TokenTimes(Protocol):
    """The times of all tokens."""

    def of(self, request: int) -> Ints:
        """Of one request, in order."""
        ...

    def before(self, t: int) -> Ints:
        """The number of tokens that each request was given before an instant."""
        ...


@dataclass(frozen=True)
class SteadyTokens:
    """Tokens at even distances: the j-th of L is out when j / L of the service is over."""

    started: Ints
    service: Ints
    tokens: Ints

    def of(self, request: int) -> Ints:
        """Of one request, in order."""
        count = int(self.tokens[request])
        return self.started[request] + self.service[request] * np.arange(1, count + 1) // count

    def before(self, t: int) -> Ints:
        """The number of tokens that each request was given before an instant."""
        # service * j // tokens < past holds for every j below past * tokens / service.
        past = np.maximum(t - self.started, 0)
        return np.where(
            past > self.service, self.tokens, np.clip(-(-past * self.tokens // self.service) - 1, 0, self.tokens)
        )


@dataclass(frozen=True)
class ShiftedTokens:
    """The tokens of another path, of which all from an instant on are later."""

    tokens: TokenTimes
    at: int
    by: int

    def of(self, request: int) -> Ints:
        """Of one request, in order."""
        times = self.tokens.of(request)
        return np.where(times >= self.at, times + self.by, times)

    def before(self, t: int) -> Ints:
        """The number of tokens that each request was given before an instant."""
        return self.tokens.before(min(t, self.at) if t <= self.at + self.by else t - self.by)


@dataclass(frozen=True)
class Path:
    """The times of each request, in the order of arrival; nanoseconds.

    Attributes:
        scheduled: when it should arrive; latencies count from here.
        released: when it was sent: the same, unless the generator was late or waited.
        started: when the server took it.
        first, last: when its first and its last token were given out.
        tokens: output tokens.
        power: of the server.
    """

    scheduled: Ints
    released: Ints
    started: Ints
    first: Ints
    last: Ints
    tokens: Ints
    times: TokenTimes
    power: StepPower

    @property
    def waiting(self) -> Ints:
        """From release until the server took it."""
        return self.started - self.released

    @property
    def ttft(self) -> Ints:
        """Time to first token, from the scheduled arrival."""
        return self.first - self.scheduled

    @property
    def e2e(self) -> Ints:
        """Time to the last token, from the scheduled arrival."""
        return self.last - self.scheduled

    @property
    def tpot(self) -> np.ndarray:
        """Mean time per output token after the first, in nanoseconds; 0 for an answer of one token."""
        return (self.last - self.first) / np.maximum(self.tokens - 1, 1)

    def token_times(self, request: int) -> Ints:
        """The times at which its tokens were given out."""
        return self.times.of(request)

    def tokens_inside(self, start: int, end: int) -> Ints:
        """The number of tokens that each request was given from `start` on and before `end`."""
        return self.times.before(end) - self.times.before(start)

    def in_flight(self, t: int) -> int:
        """The number of requests that have arrived and have no last token yet."""
        return int((self.scheduled <= t).sum() - (self.last <= t).sum())

    def scheduled_at(self, scheduled: Ints) -> Path:
        """The same path, of requests that should have arrived at other times."""
        return replace(self, scheduled=scheduled)


Serve = Callable[[Ints], Path]
"""A server: given times of release, ascending, the path."""
