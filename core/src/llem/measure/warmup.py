"""Warm-up: which batches run, and when their latency counts as steady. Decisions only; the orchestrator runs the batches.

Two batches of a workload differ in prompts and lengths, so their latencies differ for reasons that have nothing to do
with a cold machine. Only one batch is therefore compared, the workload's first, with itself: the same work, again and
again. A latency is taken per decoding step (seconds / most output tokens of a request in the batch), which is fair also
where natural length lets the same batch stop earlier. Before that, each of the batches that hold the first `min_prompts`
prompts runs once, uncompared, and one of each size that the window will run, such as a last batch that is not full: a larger
`min_prompts` brings more shapes to kernels and compilers before the window. The first run of the compared batch is cold
itself and never counts.

Steady are the last k runs where they vary by less than the threshold, and where they show no trend: a machine that grows 4 %
slower with each run varies little over three of them, and is not steady.

Power is compared where a meter measures it (an estimate follows utilisation and is no measurement) and the batches last
long enough for it to resolve them.

No batch runs that would exceed `max_prompts`, and none starts after `max_s`, save the very first: without one there is no
warm-up. What that one takes does not count, since an engine may compile in it for minutes. Where fewer than `batches` (k) runs fit besides the cold one, nothing can be judged, and warm-up has not converged. A
number of prompts that is not given leaves room for 2 k.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean, linear_regression, stdev
from typing import Literal

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
        self._uncompared += _other_sizes(batches, self._uncompared)
        self._is_cold = True
        self._latencies: list[float] = []
        self._powers: list[float | None] = []
        self._prompts = 0
        self._batches = 0
        self._spent_s = self._first_s = 0.0
        # The first runs of a cold machine are slow: after them there must be room for k that are not.
        room = sum(map(len, self._uncompared)) + 2 * config.batches * len(self._first)
        least = config.min_prompts + len(self._first)
        self.limit = max(MAX_PROMPTS, room, least) if config.max_prompts is None else config.max_prompts

    def next(self) -> Sequence[Request] | None:
        """The batch to run now, or None when warm-up is over."""
        if not self._config.enabled or self.converged or (self._batches and self._stopped_by() is not None):
            return None
        return self._upcoming()

    def ran(self, seconds: float, records: Sequence[RequestRecord], power_w: float | None) -> None:
        """The batch that `next` gave has run.

        Args:
            seconds: from release to the last answer.
            records: what it answered.
            power_w: mean power meanwhile, summed over measured devices; None where it could not be told.
        """
        self._prompts += len(records)
        self._batches += 1
        self._spent_s += seconds
        if self._batches == 1:
            self._first_s = seconds
        if self._uncompared:
            del self._uncompared[0]
        elif self._is_cold:
            self._is_cold = False
        else:
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
    def trend(self) -> float | None:
        """Trend of the last k latencies per step; None before there are k."""
        return trend(self._last(self._latencies))

    @property
    def power_trend(self) -> float | None:
        """Trend of the last k mean powers; None where one of them is not known."""
        return trend(self._last(self._powers))

    @property
    def converged(self) -> bool:
        """After `min_prompts`, latency, and power where it is known, stayed below the threshold over the last k runs in
        variation and in trend."""
        limit = self._config.cv_threshold
        known = [self.cv, self.trend, self.power_cv, self.power_trend]
        steady = self.cv is not None and all(abs(value) < limit for value in known if value is not None)
        return steady and not self._uncompared and self._prompts >= self._config.min_prompts

    def state(self) -> str:
        """Progress in words, for whoever waits."""
        k, limit = self._config.batches, self._config.cv_threshold
        if len(self._latencies) < k:
            return f"{self._prompts} prompts, {len(self._latencies)} of the {k} runs that are compared"
        return f"{self._prompts} prompts; over the last {k} runs {self._changes()}; it is steady where each is below {limit:.0%}"

    def complaint(self) -> str:
        """The reason why it did not converge, a sentence."""
        config, k = self._config, self._config.batches
        by_time = self._stopped_by() == "max_s"
        what = f"warmup.max_s of {config.max_s:g}" if by_time else f"warmup.max_prompts of {self.limit}"
        if len(self._latencies) < k or self._prompts < config.min_prompts:
            sizes = sorted({len(batch) for batch in self._uncompared})
            never = f" Batches of {', '.join(map(str, sizes))} never ran." if sizes else ""
            return (
                f"warm-up ended after {self._prompts} prompts in {self._spent_s:.3g} s, before it could tell ({what}): "
                f"{len(self._latencies)} of the {k} runs that are compared are there (the first, cold one never counts), and "
                f"it takes at least {config.min_prompts} prompts.{never}"
            )
        return (
            f"warm-up ended after {self._prompts} prompts in {self._spent_s:.3g} s without being steady ({what}): over the last "
            f"{k} runs {self._changes()}, where each has to be below {config.cv_threshold:.0%}."
        )

    def _changes(self) -> str:
        """Spread and trend of what is compared, in words; nothing of power where a run's is not known."""
        latency = (
            f"latency per step has a spread of {_percent(self.cv)} and a trend of {_percent(self.trend, sign='+')}"
        )
        if self.power_cv is None:
            return latency
        return f"{latency}, power a spread of {_percent(self.power_cv)} and a trend of {_percent(self.power_trend, sign='+')}"

    def report(self, duration_s: float) -> Warmup:
        """Its outcome, for the result."""
        if not self._config.enabled:
            return Warmup(enabled=False)
        return Warmup(
            enabled=True,
            converged=self.converged,
            prompts=self._prompts,
            batches=self._batches,
            cv=self.cv,
            power_cv=self.power_cv,
            trend=self.trend,
            power_trend=self.power_trend,
            stopped_by=None if self.converged else self._stopped_by(),
            duration_s=duration_s,
        )

    def _upcoming(self) -> Sequence[Request]:
        return self._uncompared[0] if self._uncompared else self._first

    def _stopped_by(self) -> Literal["max_prompts", "max_s"] | None:
        """The limit that keeps the next batch back; None where none does."""
        if self._spent_s - self._first_s >= self._config.max_s:
            return "max_s"
        return "max_prompts" if self._prompts + len(self._upcoming()) > self.limit else None

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


def trend(values: Sequence[float]) -> float | None:
    """Slope of the least-squares line for each value, times their number, over their mean; its sign says which way.

    None for fewer than two values or a mean that is not positive.
    """
    if len(values) < 2 or fmean(values) <= 0:
        return None
    slope = linear_regression(range(len(values)), values).slope
    found = slope * len(values) / fmean(values)
    return found if math.isfinite(found) else None


def _percent(share: float | None, sign: str = "") -> str:
    return "an unknown size" if share is None else f"{share:{sign}.1%}"


def _holding(batches: Sequence[Sequence[Request]], prompts: int) -> list[Sequence[Request]]:
    """The first batches that together hold so many prompts (all of them, where there are fewer)."""
    held: list[Sequence[Request]] = []
    for batch in batches:
        if prompts <= 0:
            break
        held.append(batch)
        prompts -= len(batch)
    return held


def _other_sizes(
    batches: Sequence[Sequence[Request]], chosen: Sequence[Sequence[Request]]
) -> Iterator[Sequence[Request]]:
    """The first batch of each size that neither the first one nor those that were chosen have."""
    seen = {len(batches[0]), *map(len, chosen)}
    for batch in batches:
        if len(batch) not in seen:
            seen.add(len(batch))
            yield batch
