"""Requests of a load with their times: what a load generator writes down, and what judging reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServedRequest:
    """One request of the load. Times are monotonic ns; None where it was not seen.

    Attributes:
        id: index in the dataset.
        scheduled_ns: its arrival.
        released_ns: when the generator handed it over; None: never.
        first_ns, last_ns: its first and its last token.
        token_ns: one for each output token, ascending; of an answer that broke off, of what came of it.
        finish: `length`, `stop`, `error` or `unanswered`.
        error: what went wrong.
        part: part of the window in which it arrived, from 1; None: outside.
        free_ns: when it could be handed over, where it waited for its turn (`load.max_in_flight`); None: as it arrived.
        ended_ns: when it failed; None for others, and where nobody saw it.
    """

    id: int
    scheduled_ns: int
    released_ns: int | None
    first_ns: int | None
    last_ns: int | None
    token_ns: Sequence[int] | None
    input_tokens: int | None
    output_tokens: int
    finish: str
    error: str | None
    part: int | None
    free_ns: int | None = None
    ended_ns: int | None = None
