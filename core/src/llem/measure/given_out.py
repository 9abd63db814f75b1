"""Tokens where they were given out: those of a load that did not wait for answers lie inside the window, or do not."""

from __future__ import annotations

from collections.abc import Sequence

from llem.measure.latency import Timing
from llem.measure.observation import reached_times
from llem.results.models import Tokens
from llem.specs.scenario import Unanswered


def tokens_within(row: Timing, open_ns: int, close_ns: int) -> int:
    """Output tokens of a request that were given out inside the window, its opening left out and its close not.

    Where an answer came in pieces whose tokens nobody can count, its tokens are spread evenly over the pieces. One whose
    times were not seen counts whole where it ended inside.
    """
    times = row.times
    if times is not None:
        return sum(open_ns < t_ns <= close_ns for t_ns in times)
    pieces = None if row.doubt in ("no_duration", "wall_time") else reached_times(row.answer, row.record)
    if not pieces:
        return row.record.output_tokens if open_ns < row.answer.returned_ns <= close_ns else 0
    share = sum(open_ns < t_ns <= close_ns for t_ns in pieces) / len(pieces)
    return round(row.record.output_tokens * share)


def broken_within(one: Unanswered, open_ns: int, close_ns: int) -> int:
    """The same of a request whose answer broke off."""
    return sum(open_ns < t_ns <= close_ns for t_ns in one.token_ns)


def count_given_out(rows: Sequence[Timing], open_ns: int, close_ns: int, lost: Sequence[Unanswered] = ()) -> Tokens:
    """Tokens of the window: output as it was given out, prompts as their first token was, requests as their last one was.

    Of an answer that broke off only its output is known: engines tell the length of a prompt with the whole answer.
    """

    def ended(row: Timing) -> bool:
        return open_ns < row.answer.returned_ns <= close_ns

    def began(row: Timing) -> bool:
        return open_ns < row.first_ns <= close_ns if row.first_ns is not None else ended(row)

    broken = sum(broken_within(one, open_ns, close_ns) for one in lost)
    return Tokens(
        requests=sum(ended(row) for row in rows),
        input=sum(row.record.input_tokens for row in rows if began(row)),
        output=broken + sum(tokens_within(row, open_ns, close_ns) for row in rows),
    )
