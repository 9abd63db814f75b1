"""Latency per request, as docs/method defines it: from the moment of release, and only where tokens have times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from llem.measure.load_generator import Answer
from llem.measure.statistics import distribution
from llem.results.models import Latency
from llem.specs.backend import RequestRecord


@dataclass(frozen=True, slots=True)
class Timing:
    """One answered request of the window. Seconds; None where the engine gives no time for each token.

    Attributes:
        answer: the batch it was in; record: what the engine reported.
        first_ns: time of the first token. It, ttft_s and e2e_s are also known of an answer that came in pieces.
        ttft_s: first token - arrival.
        tpot_s: (last token - first token) / (output tokens - 1); None for a single token.
        e2e_s: last token - arrival.
        itl_s: gaps between successive tokens.
    """

    answer: Answer
    record: RequestRecord
    first_ns: int | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None
    itl_s: Sequence[float] | None = None


def token_times(answer: Answer, record: RequestRecord) -> Sequence[int] | None:
    """One time for each output token; None where the engine cannot tell them apart."""
    if record.piece_ns is not None:
        return None
    return answer.stream_ns if record.token_ns is None else record.token_ns


def timings(answers: Sequence[Answer]) -> Iterator[Timing]:
    """Each request of the window, in the order of answering, with its latencies."""
    for answer in answers:
        for record in answer.records:
            times = token_times(answer, record)
            reached = record.piece_ns if record.piece_ns is not None else times
            if not reached:
                yield Timing(answer, record)
                continue
            first, last = reached[0], reached[-1]
            if times is None:
                yield Timing(
                    answer, record, first, (first - answer.released_ns) / 1e9, None, (last - answer.released_ns) / 1e9
                )
                continue
            yield Timing(
                answer,
                record,
                first_ns=first,
                ttft_s=(first - answer.released_ns) / 1e9,
                tpot_s=(last - first) / 1e9 / (len(times) - 1) if len(times) > 1 else None,
                e2e_s=(last - answer.released_ns) / 1e9,
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
    batch_s = distribution([(answer.returned_ns - answer.released_ns) / 1e9 for answer in answers])
    if not all(row.ttft_s is not None for row in rows):
        return Latency(batch_s=batch_s)
    if not all(row.itl_s is not None for row in rows):
        return Latency(
            ttft_s=distribution([row.ttft_s for row in rows if row.ttft_s is not None]),
            e2e_s=distribution([row.e2e_s for row in rows if row.e2e_s is not None]),
            batch_s=batch_s,
        )
    return Latency(
        ttft_s=distribution([row.ttft_s for row in rows if row.ttft_s is not None]),
        itl_s=distribution([gap for row in rows for gap in row.itl_s or ()]),
        tpot_s=distribution([row.tpot_s for row in rows if row.tpot_s is not None]),
        e2e_s=distribution([row.e2e_s for row in rows if row.e2e_s is not None]),
        batch_s=batch_s,
    )
