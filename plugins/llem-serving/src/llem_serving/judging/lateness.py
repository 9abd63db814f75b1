"""The generator's own lateness: how long after it could be handed over a request was.

That is its scheduled arrival, or the end of another request where it had to wait for that (`load.max_in_flight`).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from llem.plugin_api import Caveat
from llem_serving.judging.latency import ttft_s
from llem_serving.judging.percentiles import interpolated
from llem_serving.judging.window import Window
from llem_serving.requests import ServedRequest

TTFT_OVER_LATENESS = 10
"""The median TTFT over the lateness p99 at which a run begins to be qualified: lateness of 10 %."""

CODE = "late_generator"
"""Code of the caveat."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """Seconds by which requests that arrived in the window were released late.

    They describe what the generator did, all of it, and estimate nothing: percentiles stand for any number of requests.

    Attributes:
        n: requests that were released.
        never: requests that were not.
        p50_s, p99_s, max_s: None where none was released.
        median_ttft_s: of the same requests; None where no first token was seen.
    """

    n: int
    never: int
    p50_s: float | None
    p99_s: float | None
    max_s: float | None
    median_ttft_s: float | None

    @property
    def caveat(self) -> Caveat | None:
        """The caveat of a run whose p99 reaches 10 % of the median TTFT; None below."""
        if self.p99_s is None or self.median_ttft_s is None or self.p99_s * TTFT_OVER_LATENESS < self.median_ttft_s:
            return None
        if self.p99_s <= 0:
            return None
        return Caveat(
            CODE,
            f"the load generator released requests up to {self.p99_s * 1e3:.3g} ms late (p99; median {(self.p50_s or 0.0) * 1e3:.3g} "
            f"ms), which is {1 / TTFT_OVER_LATENESS:.0%} of the median TTFT ({self.median_ttft_s * 1e3:.3g} ms) or more. Latencies count from "
            "the scheduled arrival and hold this delay. Give the generator a processor core of its own, or lower the rate.",
        )


def lateness(requests: Iterable[ServedRequest], open_ns: int, close_ns: int) -> Lateness:
    """The lateness of a load's generator over the requests that arrived in the window."""
    window = Window(open_ns, close_ns)
    inside = [one for one in requests if window.arrives_inside(one.scheduled_ns)]
    late = sorted((one.released_ns - _due_ns(one)) / 1e9 for one in inside if one.released_ns is not None)
    first = [seen for one in inside if (seen := ttft_s(one)) is not None]
    return Lateness(
        n=len(late),
        never=len(inside) - len(late),
        p50_s=interpolated(late, 50) if late else None,
        p99_s=interpolated(late, 99) if late else None,
        max_s=late[-1] if late else None,
        median_ttft_s=statistics.median(first) if first else None,
    )


def _due_ns(one: ServedRequest) -> int:
    """The instant from which it could be handed over: to wait for its turn is asked of it, and no lateness."""
    return one.scheduled_ns if one.free_ns is None else max(one.scheduled_ns, one.free_ns)
