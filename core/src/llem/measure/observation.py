"""The times that an engine gave, as far as they were seen: zero never stands for what nobody observed.

An engine that returns a whole answer at once can give each of its tokens the same time, and one that never looks at the
clock can give its start as its end. Neither is a latency. Every such time is left out, and a caveat says what was seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Literal

from llem.specs.backend import RequestRecord
from llem.specs.caveat import Caveat
from llem.specs.scenario import Answer

Doubt = Literal["no_duration", "wall_time", "one_instant", "at_release"]
"""`no_duration`: a record that ends when it starts; `wall_time`: records that end long before their batch; `one_instant`: several
tokens at a single time; `at_release`: a first token in the nanosecond in which its request was asked."""

UNACCOUNTED = 0.5
"""A batch whose last token came before half of it was over contradicts the clock of the load generator."""

GROUPED = 0.5
"""From this share of gaps of zero on, tokens came in groups, and the median of the gaps would be none that anybody saw."""


def token_times(answer: Answer, record: RequestRecord) -> Sequence[int] | None:
    """One time for each output token; None where the engine cannot tell them apart."""
    if record.piece_ns is not None:
        return None
    return answer.stream_ns if record.token_ns is None else record.token_ns


def reached_times(answer: Answer, record: RequestRecord) -> Sequence[int] | None:
    """Times at which the answer was seen to grow, by tokens or by pieces; None where there are none."""
    return (record.piece_ns if record.piece_ns is not None else token_times(answer, record)) or None


def unaccounted(answers: Sequence[Answer]) -> tuple[float, float] | None:
    """By how much the engine's times fall short of its batches, where that is the rule and not one pause of the machine.

    Returns:
        The median batch in seconds, from release to its last token by the engine and to its return by the load generator;
        None where they agree, or where there is nothing to compare.
    """
    told, seen = [], []
    for answer in answers:
        lasts = [times[-1] for record in answer.records if (times := reached_times(answer, record))]
        if lasts and answer.returned_ns > answer.released_ns:
            told.append((max(lasts) - answer.released_ns) / 1e9)
            seen.append((answer.returned_ns - answer.released_ns) / 1e9)
    if not seen or median(one / whole for one, whole in zip(told, seen, strict=True)) >= 1 - UNACCOUNTED:
        return None
    return median(told), median(seen)


def doubt_of(answer: Answer, record: RequestRecord, *, contradicted: bool) -> Doubt | None:
    """Reason for which times of a record are not taken as seen; None where they are.

    Args:
        contradicted: `unaccounted` found that this engine's times are not those of its batches.
    """
    if record.end_ns == record.start_ns:
        return "no_duration"
    if contradicted:
        return "wall_time"
    times = reached_times(answer, record)
    if times and record.output_tokens > 1 and times[0] == times[-1]:
        return "one_instant"
    return "at_release" if times and times[0] <= answer.released_ns else None


def grouped_gaps(times: Sequence[Sequence[int]]) -> tuple[int, int] | None:
    """Gaps of zero and all gaps between tokens, where tokens came in groups; None where most came one by one."""
    gaps = [later - earlier for one in times for earlier, later in pairwise(one)]
    zero = gaps.count(0)
    return (zero, len(gaps)) if gaps and zero / len(gaps) > GROUPED else None


def caveats(answers: Sequence[Answer], doubts: Sequence[Doubt | None], grouped: tuple[int, int] | None) -> list[Caveat]:
    """Caveats on the times that are left out.

    Args:
        answers: the window's batches.
        doubts: of each record, in the order of answering.
        grouped: as `grouped_gaps` gave it.
    """
    n, found = len(doubts), []
    if at_once := doubts.count("no_duration"):
        found.append(
            Caveat(
                "request_times_contradict",
                f"{at_once} of {n} records of the engine end in the nanosecond in which they start, with tokens generated "
                "between the two: the engine did not look at the clock, and latencies of requests are null. Durations of "
                "batches stand.",
            )
        )
    elif (short := unaccounted(answers)) is not None:
        found.append(
            Caveat(
                "request_times_contradict",
                f"by the engine's times the last token of a batch came {_time(short[0])} after its release, by the load "
                f"generator's the batch took {_time(short[1])} (medians): latencies of requests are null. Durations of "
                "batches stand.",
            )
        )
    if at_once := doubts.count("one_instant"):
        tokens = sum(record.output_tokens for answer in answers for record in answer.records)
        found.append(
            Caveat(
                "token_times_unseen",
                f"all tokens of an answer came at one instant in {at_once} of {n} requests ({tokens:,} tokens in the window): "
                "when its first token and the others were there was not seen, and latencies that need it are null. "
                "End-to-end latency stands.",
            )
        )
    if (at_release := doubts.count("at_release")) and not at_once:
        found.append(
            Caveat(
                "token_times_unseen",
                f"the first token of an answer came in the nanosecond in which it was asked for in {at_release} of {n} requests: "
                "nobody saw it come, and latencies that need its time are null. End-to-end latency stands.",
            )
        )
    if grouped is not None:
        found.append(
            Caveat(
                "token_times_grouped",
                f"{grouped[0]:,} of {grouped[1]:,} gaps between tokens are zero: tokens came in groups (drafted together, or "
                "held back on their way), and the latency between them is null. TTFT, TPOT and end-to-end latency stand.",
            )
        )
    return found


def _time(seconds: float) -> str:
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"
