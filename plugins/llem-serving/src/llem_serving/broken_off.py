"""Answers that broke off: what they were given was given out all the same, and stands in no record."""

from __future__ import annotations

from collections.abc import Iterable

from llem_serving.in_flight import Exchange


def tokens_of_an_event(exchanges: Iterable[Exchange]) -> float:
    """Output tokens for each event of a stream, in the mean over the answers that are whole: 1 where events are tokens, more where
    they are pieces, whose tokens nobody counts until the answer is there. 1 where no answer is whole."""
    events = tokens = 0
    for one in exchanges:
        if one.answer is not None:
            events += len(one.came_ns)
            tokens += sum(record.output_tokens for record in one.answer.records)
    return tokens / events if events else 1.0


def broken_off(exchange: Exchange, each: float) -> list[int]:
    """The times of the output tokens of an answer that broke off, in order; empty for one that is whole. What an engine gave beyond
    the tokens that were asked for is no work of the load.

    Args:
        exchange: a request of the load.
        each: tokens that an event of its stream stands for, as `tokens_of_an_event` has it.
    """
    if exchange.answer is not None:
        return []
    times: list[int] = []
    for place, t_ns in enumerate(sorted(exchange.came_ns), start=1):
        times += [t_ns] * (round(place * each) - len(times))
    return times[: exchange.request.output_tokens]
