"""A load judged by its objectives: attainment, goodput, good tokens. Pure functions over requests."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llem_serving.config import SloConfig
from llem_serving.judging.latency import answered
from llem_serving.judging.objectives import unseen, worst_ratio
from llem_serving.judging.share_interval import PartCount, ShareInterval, share_interval
from llem_serving.judging.tokens import tokens_inside
from llem_serving.judging.window import Window
from llem_serving.requests import ServedRequest


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome of a load under objectives.

    Attributes:
        wanted: the attainment that was asked for.
        window_s: length of the window.
        parts: requests that arrived in the window, by its parts.
        failed, unanswered: of these, those that ended in an error, and those without a whole answer at the end of the drain.
        unseen: of these, those that are answered and lack a time that a limit is of; they count as missed.
        completed: requests whose last token came inside the window, whenever they arrived.
        output_tokens: that were given out inside the window, of all requests.
        good_tokens: of these, those of requests that keep all limits, whenever they arrived.
        interval: of the attainment; None where fewer than two parts have requests.
    """

    wanted: float
    window_s: float
    parts: tuple[PartCount, ...]
    failed: int
    unanswered: int
    unseen: int
    completed: int
    output_tokens: int
    good_tokens: int
    interval: ShareInterval | None

    @property
    def requests(self) -> int:
        """Requests that arrived in the window: those that are judged."""
        return sum(part.requests for part in self.parts)

    @property
    def good(self) -> int:
        """Of these, those that keep all limits."""
        return sum(part.kept for part in self.parts)

    @property
    def attainment(self) -> float | None:
        """The share of good requests; None where none arrived."""
        return self.good / self.requests if self.requests else None

    @property
    def goodput_rps(self) -> float:
        """Good requests per second of the window."""
        return self.good / self.window_s

    @property
    def offered_rps(self) -> float:
        """Arrivals per second of the window."""
        return self.requests / self.window_s

    @property
    def achieved_rps(self) -> float:
        """Completions per second of the window."""
        return self.completed / self.window_s

    @property
    def kept(self) -> bool | None:
        """True where the wanted attainment was reached; None where no request arrived."""
        return None if self.attainment is None else self.attainment >= self.wanted

    @property
    def is_told(self) -> bool:
        """True where the interval lies on one side of the wanted attainment: another run would hardly say otherwise."""
        return self.interval is not None and not self.interval.low < self.wanted <= self.interval.high


def judge(
    requests: Sequence[ServedRequest],
    slo: SloConfig,
    open_ns: int,
    close_ns: int,
    parts: int,
    *,
    tokens: Sequence[int] | None = None,
) -> Judgement:
    """Judge a load (METHOD.md, "Server scenario" and "SLO").

    Args:
        requests: all of the load, also those that arrived before the window or after it.
        slo: limits, and the attainment that is wanted.
        open_ns, close_ns: the window.
        parts: its equal parts, which the interval rests on.
        tokens: of each request, its output tokens inside the window where they have been counted; None counts them.

    Raises:
        ValueError: the window has no length, or no part.
    """
    window = Window(open_ns, close_ns, parts)
    inside = [tokens_inside(one, open_ns, close_ns) for one in requests] if tokens is None else tokens
    ratios = [worst_ratio(one, slo) for one in requests]
    places = [window.part_of_arrival(one.scheduled_ns) for one in requests]
    judged = [one for one, place in zip(requests, places, strict=True) if place is not None]
    counts = _counts(ratios, places, parts)
    return Judgement(
        wanted=slo.attainment,
        window_s=window.length_s,
        parts=counts,
        failed=sum(one.finish == "error" for one in judged),
        unanswered=sum(not answered(one) and one.finish != "error" for one in judged),
        unseen=sum(unseen(one, slo) for one in judged),
        completed=sum(answered(one) and window.ends_inside(one.last_ns) for one in requests),
        output_tokens=sum(inside),
        good_tokens=sum(count for count, ratio in zip(inside, ratios, strict=True) if ratio <= 1),
        interval=share_interval(counts),
    )


def pooled(judgements: Iterable[Judgement]) -> Judgement:
    """Several windows of one configuration, such as its cycles, judged as one: their parts are those of one longer window.

    Raises:
        ValueError: there is none, or they were asked for different attainments.
    """
    found = list(judgements)
    wanted = {one.wanted for one in found}
    if len(wanted) != 1:
        raise ValueError("windows are judged together by one and the same attainment")
    parts = tuple(part for one in found for part in one.parts)
    return Judgement(
        wanted=wanted.pop(),
        window_s=sum(one.window_s for one in found),
        parts=parts,
        failed=sum(one.failed for one in found),
        unanswered=sum(one.unanswered for one in found),
        unseen=sum(one.unseen for one in found),
        completed=sum(one.completed for one in found),
        output_tokens=sum(one.output_tokens for one in found),
        good_tokens=sum(one.good_tokens for one in found),
        interval=share_interval(parts),
    )


def _counts(ratios: Sequence[float], places: Sequence[int | None], parts: int) -> tuple[PartCount, ...]:
    """The requests of each part: all, those that keep their limits, those above the median of all."""
    by_part: list[list[float]] = [[] for _ in range(parts)]
    for ratio, place in zip(ratios, places, strict=True):
        if place is not None:
            by_part[place - 1].append(ratio)
    arrived = [ratio for part in by_part for ratio in part]
    median = statistics.median_low(arrived) if arrived else 0.0
    return tuple(
        PartCount(len(part), sum(ratio <= 1 for ratio in part), sum(ratio > median for ratio in part))
        for part in by_part
    )
