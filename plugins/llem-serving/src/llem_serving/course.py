"""The course of a load: what a drive leaves behind, and what figures are worked out from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from llem_serving.in_flight import Exchange
from llem_serving.steadiness import Saturation
from llem_serving.traces import Trace

Verdict = Literal["steady", "unsteady", "saturated"]


@dataclass(frozen=True, kw_only=True)
class Course:
    """A load as it was.

    Attributes:
        exchanges: every request that arrived, in the order of arrival.
        open_ns, close_ns: the window's edges (monotonic ns).
        edges_ns: of its parts: the opening, instants between, and the close.
        verdict: of the load before the window, or of the window where it saturated in it; None where nothing was to be steady.
        waited_s: how long a steady state was waited for.
        reasons: what spoke against one at the end.
        under_way: requests under way as the window opened.
        saturation: what showed that the load cannot be kept up with; None where nothing did, or only a trend.
        trace: the recorded arrivals; None for other loads.
        paired: request i was row i of that trace.
        sessions: distinct sessions of the workload; 0 where every request stands alone.
        turns: requests of a session of the workload in the mean; None where every request stands alone.
        lost: why a load that was steady before the window was not steady in it; None where it was, or was not before.
        kept_on: requests that the engine went on with after they were cancelled at the end.
    """

    exchanges: Sequence[Exchange]
    open_ns: int
    close_ns: int
    edges_ns: Sequence[int]
    verdict: Verdict | None
    waited_s: float
    reasons: Sequence[str]
    under_way: int
    saturation: Saturation | None = None
    trace: Trace | None = None
    paired: bool = False
    sessions: int = 0
    turns: float | None = None
    lost: str | None = None
    kept_on: int = 0
