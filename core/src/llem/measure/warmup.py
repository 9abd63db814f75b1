"""Warm-up: which batches run, and when their latency counts as steady. Decisions only; the orchestrator runs the batches.

Two batches of a workload differ in prompts and lengths, so their latencies differ for reasons that have nothing to do
with a cold machine. Only one batch is therefore compared, the workload's first, with itself: the same work, again and
again. A latency is taken per decoding step (seconds / most output tokens of a request in the batch), which is fair also
where natural length lets the same batch stop earlier. Before that, each of the batches that hold the first `min_prompts`
prompts runs once, uncompared: a larger `min_prompts` brings more shapes to kernels and compilers before the window.

Power is compared where a meter measures it (an estimate follows utilisation and is no measurement) and the batches last
long enough for it to resolve them.

No batch runs that would exceed `max_prompts`, save the very first: without one there is no warm-up. Where fewer than
`batches` (k) runs fit, nothing can be judged, and warm-up has not converged. A limit that is not given leaves room for 2 k.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from llem.config.experiment import WarmupConfig
from llem.results.models import Warmup
from llem.specs.backend import Request, RequestRecord

MAX_PROMPTS = 64
"""The limit where none is given, unless batches are too large for it."""

RESOLVED_PERIODS = 10
"""A batch lasts at least so many sampling periods, or its mean power is not compared."""


class Judge:
    """Decides what runs next in warm-up and whether it has converged.

    Args:
        config: thresholds and limits.
        batches: the workload, as the engine groups it; at least one batch.

    Attributes:
        limit: the most prompts that are sent.
    """

    def __init__(self, config: WarmupConfig, batches: Sequence[Sequence[Request]]) -> None:
        self._config = config
        self._first = batches[0]
        self._uncompared = _holding(batches[1:], config.min_prompts - len(self._first))
        self._latencies: list[float] = []
        self._powers: list[float | None] = []
        self._prompts = 0
        self._batches = 0
        # The first runs of a cold machine are slow: after them there must be room for k that are not.
        room = sum(map(len, self._uncompared)) + 2 * config.batches * len(self._first)
        least = config.min_prompts + len(self._first)
        self.limit = max(MAX_PROMPTS, room, least) if config.max_prompts is None else config.max_prompts

    def next(self) -> Sequence[Request] | None:
        """The batch to run now, or None when warm-up is over."""
        if not self._config.enabled:
            return None
        batch = self._uncompared[0] if self._uncompared else self._first
        if self._batches and self._prompts + len(batch) > self.limit:
            return None
        return None if self.converged else batch

    def ran(self, seconds: float, records: Sequence[RequestRecord], power_w: float | None) -> None:
        """The batch that `next` gave has run.

        Args:
            seconds: from release to the last answer.
            records: what it answered.
            power_w: mean power meanwhile, summed over measured devices; None where it could not be told.
        """
        self._prompts += len(records)
        self._batches += 1
        if self._uncompared:
            del self._uncompared[0]
            return
        self._latencies.append(seconds / max(record.output_tokens for record in records))
        self._powers.append(power_w)

    @property
    def cv(self) -> float | None:
        """Coefficient of variation of the last k latencies per step; None before there are k."""
        return coefficient_of_variation(self._last(self._latencies))

    @property
    def power_cv(self) -> float | None:
        """Coefficient of variation of the last k mean powers; None where one of them is not known."""
        return coefficient_of_variation(self._last(self._powers))

    @property
    def converged(self) -> bool:
        """After `min_prompts`, latency, and power where it is known, varied by less than the threshold over the last k runs."""
        limit = self._config.cv_threshold
        steady = self.cv is not None and self.cv < limit and (self.power_cv is None or self.power_cv < limit)
        return steady and self._prompts >= self._config.min_prompts

    def complaint(self) -> str:
        """Why it did not converge, a sentence."""
        limit, k = self._config.cv_threshold, self._config.batches
        if len(self._latencies) < k or self._prompts < self._config.min_prompts:
            return (
                f"warm-up ended after {self._prompts} prompts with {len(self._latencies)} runs to compare, and needs {k} "
                f"and {self._config.min_prompts} prompts: warmup.max_prompts of {self.limit} leaves no room for more."
            )
        return (
            f"warm-up ended after {self._prompts} prompts without being steady: latency per step of the last "
            f"{k} runs varied by {_percent(self.cv)}, power by {_percent(self.power_cv)}, "
            f"and {limit:.0%} is the threshold."
        )

    def report(self, duration_s: float) -> Warmup:
        """How it ended, for the result."""
        if not self._config.enabled:
            return Warmup(enabled=False)
        return Warmup(
            enabled=True,
            converged=self.converged,
            prompts=self._prompts,
            batches=self._batches,
            cv=self.cv,
            power_cv=self.power_cv,
            duration_s=duration_s,
        )

    def _last(self, values: Sequence[float | None]) -> list[float]:
        last = values[-self._config.batches :]
        known = [value for value in last if value is not None]
        return known if len(known) == self._config.batches else []


def coefficient_of_variation(values: Sequence[float]) -> float | None:
    """Sample standard deviation / mean; None for fewer than two values or a mean that is not positive."""
    if len(values) < 2 or fmean(values) <= 0:
        return None
    cv = stdev(values) / fmean(values)
    return cv if math.isfinite(cv) else None


def _percent(cv: float | None) -> str:
    return "an unknown amount" if cv is None else f"{cv:.1%}"


def _holding(batches: Sequence[Sequence[Request]], prompts: int) -> list[Sequence[Request]]:
    """The first batches that together hold so many prompts (all of them, where there are fewer)."""
    held: list[Sequence[Request]] = []
    for batch in batches:
        if prompts <= 0:
            break
        held.append(batch)
        prompts -= len(batch)
    return held
