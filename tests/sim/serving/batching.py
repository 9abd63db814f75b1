"""Continuous batching: every iteration gives each running request one token, and takes in those that wait."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sim.serving.arrivals import Ints
from sim.serving.path import Path
from sim.serving.power import StepPower


@dataclass(frozen=True)
class IterationTokens:
    """Tokens that are given out at the ends of successive iterations.

    Attributes:
        ends: of all iterations.
        first: index of the iteration that gave each request its first token.
        tokens: of each request.
    """

    ends: Ints
    first: Ints
    tokens: Ints

    def of(self, request: int) -> Ints:
        """Of one request, in order."""
        begin = int(self.first[request])
        return self.ends[begin : begin + int(self.tokens[request])]

    def before(self, t: int) -> Ints:
        """The number of tokens that each request was given before an instant."""
        return np.clip(np.searchsorted(self.ends, t) - self.first, 0, self.tokens)


@dataclass(frozen=True)
class Batching:
    """A server with continuous batching.

    An iteration takes in waiting requests, first come first served, up to `max_batch`; it lasts
    base_ns + per_request_ns * batch + per_prefill_token_ns * prompt tokens taken in. At its end each running request has
    one token more.

    Attributes:
        utilisation: of a batch, from 0 to 1: power is idle_w + (peak_w - idle_w) * utilisation(batch); None: batch /
            max_batch.
    """

    base_ns: int = 20_000_000
    per_request_ns: int = 500_000
    per_prefill_token_ns: int = 40_000
    max_batch: int = 64
    idle_w: float = 100.0
    peak_w: float = 400.0
    utilisation: Callable[[int], float] | None = None

    def power_w(self, batch: int) -> float:
        """While an iteration of this batch runs."""
        share = self.utilisation(batch) if self.utilisation is not None else batch / self.max_batch
        return self.idle_w + (self.peak_w - self.idle_w) * share

    def full_rps(self, input_tokens: float, output_tokens: float) -> float:
        """The rate at which requests of these mean lengths leave while the batch is always full: none higher is held."""
        iterations = output_tokens / self.max_batch * (self.base_ns + self.per_request_ns * self.max_batch)
        return 1e9 / (iterations + self.per_prefill_token_ns * input_tokens)

    def serve(self, arrivals: Ints, inputs: Ints, outputs: Ints) -> Path:
        """The path of requests that are released at `arrivals`, ascending."""
        base, per_request, per_token, room = (
            self.base_ns,
            self.per_request_ns,
            self.per_prefill_token_ns,
            self.max_batch,
        )
        arrived, prompts, answers = arrivals.tolist(), (inputs * per_token).tolist(), outputs.tolist()
        arrived.append(math.inf)
        n, ring = len(answers), int(outputs.max()) + 1
        leaving = [0] * ring
        ends: list[int] = []
        batches: list[int] = []
        first: list[int] = []
        idle_until: list[int] = []
        idle_before: list[int] = []
        t, head, batch, iteration, slot = arrived[0], 0, 0, 0, 0
        end, size = ends.append, batches.append
        while True:
            if not batch and arrived[head] > t:
                if head == n:
                    break
                t = arrived[head]
                idle_until.append(t)
                idle_before.append(iteration)
            lasts = base
            while arrived[head] <= t and batch < room:
                lasts += prompts[head]
                first.append(iteration)
                leaving[(slot + answers[head] - 1) % ring] += 1
                batch += 1
                head += 1
            t += lasts + per_request * batch
            end(t)
            size(batch)
            batch -= leaving[slot]
            leaving[slot] = 0
            iteration += 1
            slot += 1
            if slot == ring:
                slot = 0
        return self._path(arrivals, outputs, *map(_ints, (ends, batches, first, idle_until, idle_before)))

    def _path(
        self,
        arrivals: Ints,
        outputs: Ints,
        ends: Ints,
        batches: Ints,
        first: Ints,
        idle_until: Ints,
        idle_before: Ints,
    ) -> Path:
        begins = np.concatenate([arrivals[:1], ends[:-1]])
        begins[idle_before] = idle_until
        watts = np.array([self.power_w(size) for size in range(self.max_batch + 1)])[batches]
        # Idle stretches: before the first arrival, between an end and a later begin, and after the last end.
        idle_from = np.concatenate([[begins[0] - 1], ends[idle_before - 1][idle_before > 0], ends[-1:]])
        times = np.concatenate([idle_from, begins])
        watts = np.concatenate([np.full(len(idle_from), self.idle_w), watts])
        order = np.argsort(times, kind="stable")
        tokens = IterationTokens(ends, first, outputs)
        return Path(
            scheduled=arrivals,
            released=arrivals,
            started=begins[first],
            first=ends[first],
            last=ends[first + outputs - 1],
            tokens=outputs,
            times=tokens,
            power=StepPower(times[order], watts[order]),
        )


def _ints(values: list[int]) -> Ints:
    return np.array(values, np.int64)
