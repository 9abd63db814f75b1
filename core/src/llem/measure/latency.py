"""Latency per request, as docs/method defines it: from the moment of release, and only where tokens have times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from llem.measure.observation import (
    Doubt,
    caveats,
    doubt_of,
    grouped_gaps,
    reached_times,
    token_times,
    unaccounted,
)
from llem.measure.statistics import distribution
from llem.results.models import Distribution, Latency
from llem.specs.backend import RequestRecord
from llem.specs.caveat import Caveat
from llem.specs.scenario import Answer


@dataclass(frozen=True, slots=True)
class Timing:
    """One answered request of the window. Seconds; None where it was not seen.

    Attributes:
        answer: the batch it was in; record: what the engine reported.
        first_ns: time of the first token. It, ttft_s and e2e_s are also known of an answer that came in pieces.
        ttft_s: first token - arrival.
        tpot_s: (last token - first token) / (output tokens - 1); None for a single token.
        e2e_s: last token - arrival.
        itl_s: gaps between successive tokens.
        doubt: why times that the engine gave are left out.
    """

    answer: Answer
    record: RequestRecord
    first_ns: int | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None
    itl_s: Sequence[float] | None = None
    doubt: Doubt | None = None

    @property
    def times(self) -> Sequence[int] | None:
        """One time for each output token, where they were seen."""
        return None if self.doubt is not None else token_times(self.answer, self.record)

    @property
    def is_placed(self) -> bool:
        """True where start and end of the request are the engine's, and not made up."""
        return self.doubt not in ("no_duration", "wall_time")


def timings(answers: Sequence[Answer]) -> list[Timing]:
    """Each request of the window, in the order of answering, with its latencies."""
    contradicted = unaccounted(answers) is not None
    rows = [_timing(answer, record, contradicted) for answer in answers for record in answer.records]
    several = [row for row in rows if row.record.output_tokens > 1 and reached_times(row.answer, row.record)]
    at_once = sum(row.doubt == "one_instant" for row in several)
    if at_once and at_once > len(several) / 2:
        # An engine that gives whole answers never saw a first token, of answers of a single token either.
        rows = [replace(row, first_ns=None, ttft_s=None) if row.record.output_tokens > 1 else row for row in rows]
    if _grouped(rows) is not None:
        rows = [replace(row, itl_s=None) if row.itl_s else row for row in rows]
    return rows


def latency_caveats(rows: Sequence[Timing], answers: Sequence[Answer]) -> list[Caveat]:
    """Caveats on the times that `timings` left out."""
    return caveats(answers, [row.doubt for row in rows], _grouped(rows))


def _grouped(rows: Sequence[Timing]) -> tuple[int, int] | None:
    return grouped_gaps([times for row in rows if (times := row.times)])


def _timing(answer: Answer, record: RequestRecord, contradicted: bool) -> Timing:
    reached = reached_times(answer, record)
    doubt = doubt_of(answer, record, contradicted=contradicted)
    if not reached or doubt in ("no_duration", "wall_time"):
        return Timing(answer, record, doubt=doubt)
    first, last = reached[0], reached[-1]
    if doubt == "at_release":
        return Timing(answer, record, e2e_s=(last - answer.released_ns) / 1e9, doubt=doubt)
    ttft_s, e2e_s = (first - answer.released_ns) / 1e9, (last - answer.released_ns) / 1e9
    times = None if doubt is not None else token_times(answer, record)
    if times is None:
        return Timing(answer, record, first, ttft_s, None, e2e_s, doubt=doubt)
    return Timing(
        answer,
        record,
        first_ns=first,
        ttft_s=ttft_s,
        tpot_s=(last - first) / 1e9 / (len(times) - 1) if len(times) > 1 else None,
        e2e_s=e2e_s,
        itl_s=[(later - earlier) / 1e9 for earlier, later in pairwise(times)],
    )


def latency(rows: Sequence[Timing], answers: Sequence[Answer]) -> Latency:
    """The distributions of the window.

    Args:
        rows: `timings(answers)`.
        answers: the window's batches.

    Returns:
        A quantity is null where one of the requests has no times: a distribution over the others would not be the
        workload's. Durations of batches are always known.
    """
    if not rows:
        return Latency()
    several = [row for row in rows if row.record.output_tokens > 1]
    gaps = None if any(row.itl_s is None for row in several) else [gap for row in several for gap in row.itl_s or ()]
    return Latency(
        ttft_s=_of_all(row.ttft_s for row in rows),
        itl_s=None if gaps is None else distribution(gaps),
        tpot_s=_of_all(row.tpot_s for row in several),
        e2e_s=_of_all(row.e2e_s for row in rows),
        batch_s=distribution([(answer.returned_ns - answer.released_ns) / 1e9 for answer in answers]),
    )


def _of_all(values: Iterable[float | None]) -> Distribution | None:
    found = list(values)
    known = [value for value in found if value is not None]
    return distribution(known) if len(known) == len(found) else None
