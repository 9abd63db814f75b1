"""The account of a load while it runs: what came, what began and what went between two instants."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

from llem_serving.in_flight import Exchange
from llem_serving.steadiness import LoadPart

_NEVER = 2**63
"""More nanoseconds than anything takes."""

_SAMPLES = 20
"""Requests in flight are looked at so often in a part."""


class Tally:
    """Times of requests, kept in order as they come, so that a part costs as much as happened in it.

    Written in the event loop. `part` may be asked from another thread meanwhile: what is written is later than the part.
    """

    def __init__(self) -> None:
        self._arrived: list[int] = []
        self._began: list[tuple[int, int]] = []
        self._answers: list[tuple[int, int]] = []
        self._ended: list[int] = []
        self._failed: list[int] = []
        self._tokens: list[tuple[int, int]] = []

    def arrived(self, exchange: Exchange) -> None:
        """A request arrives."""
        insort(self._arrived, exchange.arrived_ns)

    def began(self, exchange: Exchange) -> None:
        """Its first token is seen."""
        if exchange.first_ns is not None:
            # As it was seen, since a part that is over is not looked at again.
            seen_ns = exchange.first_ns if exchange.seen_ns is None else exchange.seen_ns
            insort(self._began, (seen_ns, exchange.first_ns - exchange.arrived_ns))

    def ended(self, exchange: Exchange) -> None:
        """It is answered, or has failed."""
        if exchange.ended_ns is None:
            return
        insort(self._ended, exchange.ended_ns)
        if exchange.error is not None:
            insort(self._failed, exchange.ended_ns)
        if exchange.answer is not None and exchange.answer.records:
            insort(self._tokens, (exchange.ended_ns, exchange.answer.records[0].output_tokens))
        if exchange.answer is not None and exchange.first_ns is not None:
            insort(self._answers, (exchange.ended_ns, exchange.ended_ns - exchange.first_ns))

    def under_way(self, t_ns: int) -> int:
        """Requests that had arrived at an instant and not ended."""
        return bisect_right(self._arrived, t_ns) - bisect_right(self._ended, t_ns)

    def part(self, start_ns: int, end_ns: int, energy_j: float | None, begun_ns: int | None = None) -> LoadPart:
        """The part of the load between two instants. What arrives or ends at one of them counts as in a `Window`.

        Args:
            start_ns, end_ns: monotonic ns.
            energy_j: of it; None where it is not known.
            begun_ns: when the load began; None: with this part.
        """
        edges = start_ns, end_ns
        began, tokens, answers = (_between(one, *edges) for one in (self._began, self._tokens, self._answers))
        return LoadPart(
            arrivals=bisect_left(self._arrived, end_ns) - bisect_left(self._arrived, start_ns),
            completions=bisect_right(self._ended, end_ns) - bisect_right(self._ended, start_ns),
            output_tokens=sum(count for _, count in tokens),
            squared_tokens=sum(count * count for _, count in tokens),
            energy_j=energy_j,
            in_flight=[
                self.under_way(start_ns + step * (end_ns - start_ns) // _SAMPLES) for step in range(1, _SAMPLES + 1)
            ],
            ttft_s=[waited_ns / 1e9 for _, waited_ns in began],
            answer_s=[took_ns / 1e9 for _, took_ns in answers],
            since_s=0.0 if begun_ns is None else (start_ns - begun_ns) / 1e9,
            length_s=(end_ns - start_ns) / 1e9,
            failures=bisect_right(self._failed, end_ns) - bisect_right(self._failed, start_ns),
        )


def _between(told: list[tuple[int, int]], start_ns: int, end_ns: int) -> list[tuple[int, int]]:
    """The entries of instants after `start_ns` and up to `end_ns`."""
    low, high = (start_ns, _NEVER), (end_ns, _NEVER)
    return told[bisect_right(told, low) : bisect_right(told, high)]
