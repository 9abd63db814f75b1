"""The course of a load: ramp, window and drain, in one event loop. It computes no figure.

A load that saturates is not measured to its end. Where that shows before the window, the window is one part long; where it shows at
the end of a part inside, the window closes there. So what was measured is kept, and says how many requests waited.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from llem.plugin_api import DriveContext, Engine
from llem_serving.ahead import LEAD_NS, SendsAhead
from llem_serving.arrivals import draw
from llem_serving.config import LoadConfig
from llem_serving.course import Course, Verdict
from llem_serving.in_flight import InFlight
from llem_serving.judging import Window
from llem_serving.own_server import ChecksServer
from llem_serving.sources import Source, TimedSessions, Users
from llem_serving.steadiness import IN_A_ROW, LoadPart, Saturation, SteadyGate, failing, growing, saturates
from llem_serving.tally import Tally
from llem_serving.traces import Trace, check_rows, is_paired, load_trace
from llem_serving.turns import Walker, sessions_of

T = TypeVar("T")

_LEAD_S = 0.05
"""The first arrival is so far ahead of the loop's start, so that it is not late before anything has begun."""

_SPARE_S = 5.0
"""Arrivals are drawn for so much longer than the window may take: its edges wait for counters."""

_WORKED_OFF = "requests that had piled up before the window were worked off in it"
"""The reason for which a load whose trend before the window was towards saturation is called unsteady after it."""

_LOOK_S = 0.02
"""Time between two looks of a wait for answers."""

_TELL_S = 0.5
"""Longest time between two words of a wait for an instant."""


@dataclass
class Drive:
    """One load on its way.

    Attributes:
        engine: takes the requests.
        load: how they arrive.
        context: of the experiment.
    """

    engine: Engine
    load: LoadConfig
    context: DriveContext
    _tally: Tally = field(default_factory=Tally, init=False)
    _flight: InFlight = field(init=False)
    _server: ChecksServer | None = field(init=False)
    _source: Source = field(init=False)
    _trace: Trace | None = field(default=None, init=False)
    _paired: bool = field(default=False, init=False)
    _beside: ThreadPoolExecutor = field(init=False)
    _parts: list[LoadPart] = field(default_factory=list, init=False)
    _saturation: Saturation | None = field(default=None, init=False)
    _start_ns: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        tally = self._tally
        self._flight = InFlight(
            self.engine, self.load.max_in_flight, arrived=tally.arrived, began=tally.began, ended=tally.ended
        )
        # Asked once: it is looked at every few milliseconds, and telling an interface takes Python long.
        self._server = self.engine if isinstance(self.engine, ChecksServer) else None
        # The window waits for counters; the loop must not.
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="llem-window")

    @property
    def is_watched(self) -> bool:
        """True where the load can saturate: one rate that waits for nobody. Stages and traces grow by themselves."""
        return self.load.rate_rps is not None

    @property
    def part_s(self) -> float:
        """Length of a part of the window."""
        return self.load.duration_s / self.load.parts

    async def run(self) -> Course:
        """Ramp, window and drain.

        Raises:
            ConfigError, DatasetError: the load cannot be drawn.
            LlemError: a session cannot go on, or the engine's own server has ended.
        """
        sessions = sessions_of(self.context.requests)
        walker = Walker(self.engine, self._flight, self.load.think_s, own=self.load.answers == "own")
        if self.load.concurrency is not None:
            self._source = Users(walker, sessions, self.load, self.context.cycle)
        else:
            self._source = TimedSessions(walker, sessions, self._offsets_ns())
        verdict: Verdict | None = None
        waited_s, reasons = 0.0, tuple[str, ...]()
        lost: str | None = None
        kept_on = 0
        engine = self.engine
        # Users, and requests that wait for their turn, arrive when others end: nothing is known ahead.
        if (
            self.load.concurrency is None
            and self.load.max_in_flight is None
            and isinstance(engine, SendsAhead)
            and engine.prepare_ahead()
        ):
            self._flight.ahead = engine
        start_ns = self._start_ns = time.monotonic_ns() + round(_LEAD_S * 1e9) + LEAD_NS
        try:
            self._source.start(start_ns)
            await self._until(start_ns + round(self.load.ramp_s * 1e9), "ramp", self.load.ramp_s)
            await self._saturates(start_ns, time.monotonic_ns(), has_energy=False)  # it tells how long answers take
            if self.load.is_tested:
                verdict, waited_s, reasons = await self._steady()
            edges_ns = await self._window(1 if self._saturation is not None else self.load.parts)
            if verdict == "saturated" and self._saturation is None and not growing(self._parts, self._gaps_cv2):
                verdict, reasons = "unsteady", (*reasons, _WORKED_OFF)
            under_way = self._tally.under_way(edges_ns[0])
            await self._drain(edges_ns[0], edges_ns[-1])
            if verdict == "steady" and (lost := self._failing(edges_ns[0], edges_ns[-1])) is not None:
                verdict = "unsteady"
        finally:
            self._source.stop()
            kept_on = await self._flight.cancel()
            self._beside.shutdown(wait=True)
        return Course(
            exchanges=self._flight.exchanges,
            open_ns=edges_ns[0],
            close_ns=edges_ns[-1],
            edges_ns=edges_ns,
            verdict="saturated" if self._saturation is not None else verdict,
            waited_s=waited_s,
            reasons=reasons,
            under_way=under_way,
            saturation=self._saturation,
            trace=self._trace,
            paired=self._paired,
            sessions=len({one.session for one in self.context.requests} - {None}),
            turns=len(self.context.requests) / len(sessions) if any(len(one) > 1 for one in sessions) else None,
            lost=lost,
            kept_on=kept_on,
        )

    def _offsets_ns(self) -> Sequence[int]:
        """Arrivals from the start of the load (ns), drawn before any is sent."""
        load, config = self.load, self.context.config
        if load.arrival == "trace":
            self._trace = load_trace(load, config.dataset, self.context.base_dir)
            self._paired = is_paired(load, config.dataset, self.context.base_dir)
            if self._paired:
                check_rows(self._trace, load, len(self.context.requests))
        span_s = load.ramp_s + load.steady_s + (4 * self.part_s) + load.duration_s + load.drain_s + _SPARE_S
        drawn = draw(load, self.context.cycle, span_s, base_dir=self.context.base_dir, trace=self._trace)
        # Beyond the last row that has a prompt nothing arrives: a row never takes another's.
        offsets_ns: list[int] = drawn.t_ns[: len(self.context.requests) if self._paired else None].tolist()
        return offsets_ns

    async def _window(self, parts: int) -> list[int]:
        """Open the window, hold it for so many parts or until it saturates, and close it. Returns the edges of its parts."""
        window, length_s = self.context.window, parts * self.part_s
        edges_ns = [await self._aside(window.open)]
        for number in range(1, parts + 1):
            due_ns = edges_ns[0] + round(number * self.part_s * 1e9)
            await self._until(due_ns, "window", length_s, edges_ns[0])
            if number == parts:
                break
            edges_ns.append(await self._aside(window.instant))
            if await self._saturates(edges_ns[-2], edges_ns[-1], has_energy=False):
                edges_ns[-1] = await self._aside(window.close)
                return edges_ns
        edges_ns.append(await self._aside(window.close))
        await self._saturates(edges_ns[-2], edges_ns[-1], has_energy=False)
        return edges_ns

    async def _steady(self) -> tuple[Verdict, float, tuple[str, ...]]:
        """Wait until the load is steady, or for as long as it may take."""
        gate, begun_ns, before = SteadyGate(self._gaps_cv2), time.monotonic_ns(), tuple(self._parts)
        edge_ns = await self._aside(self.context.window.instant)
        # Counted in parts: each ends a little after it is due, which must not cost the last one.
        patience = max(IN_A_ROW, int(self.load.steady_s / self.part_s + 1e-9))
        while True:
            next_ns = edge_ns + round(self.part_s * 1e9)
            waited_s = (next_ns - begun_ns) / 1e9
            await self._until(next_ns, "waiting for a steady state", self.load.steady_s, begun_ns)
            next_ns = await self._aside(self.context.window.instant)
            saturated = await self._saturates(edge_ns, next_ns)
            if await self._aside(lambda: gate.feed(self._parts[-1])) == "steady":
                return "steady", waited_s, ()
            edge_ns = next_ns
            if saturated:
                return "saturated", waited_s, gate.reasons
            if len(gate.parts) >= patience:
                # Users who wait for their answers may be slow, and are never more than there are.
                return gate.verdict(before) if self.is_watched else "unsteady", waited_s, gate.reasons

    @property
    def _gaps_cv2(self) -> float:
        """Squared coefficient of variation of the gaps of arrival: the counting noise that arrivals bring."""
        return {"constant": 0.0, "gamma": self.load.cv**2}.get(self.load.arrival, 1.0)

    async def _saturates(self, start_ns: int, end_ns: int, *, has_energy: bool = True) -> bool:
        """Keep what happened between two instants as a part, and tell whether the load certainly saturates by now.

        Args:
            has_energy: its energy can be told now, as before the window.
        """

        def look() -> Saturation | None:
            energy_j = self.context.window.energy_j(start_ns, end_ns) if has_energy else None
            self._parts.append(self._tally.part(start_ns, end_ns, energy_j, self._start_ns))
            return saturates(self._parts, self._gaps_cv2) if self.is_watched else None

        # Beside the loop: the arrivals of a long load are many, and others shall be sent on time meanwhile.
        found = await self._aside(look)
        if found is not None:
            self._saturation = found
        return found is not None

    def _failing(self, open_ns: int, close_ns: int) -> str | None:
        """The reason against a steady state in the requests that ended in the window, or arrived in it."""
        window = Window(open_ns, close_ns)
        ended = [
            one
            for one in self._flight.exchanges
            if one.ended_ns is not None and (window.arrives_inside(one.arrived_ns) or window.ends_inside(one.ended_ns))
        ]
        return failing(sum(one.error is not None for one in ended), len(ended))

    async def _drain(self, open_ns: int, close_ns: int) -> None:
        """Wait for those that arrived in the window. Others go on arriving meanwhile: the last ones shall have it no easier."""
        window = Window(open_ns, close_ns)
        waited = [e for e in self._flight.exchanges if window.arrives_inside(e.arrived_ns)]
        end_ns = close_ns + round(self.load.drain_s * 1e9)
        left = [e for e in waited if e.ended_ns is None]
        while left and time.monotonic_ns() < end_ns:
            await asyncio.sleep(_LOOK_S)
            self._check()
            left = [e for e in left if e.ended_ns is None]
            self.context.window.progress("drain", len(waited) - len(left), len(waited), "requests")

    async def _until(self, t_ns: int, what: str, total_s: float, since_ns: int | None = None) -> None:
        """Wait for an instant, and say now and then how far it is. Raises what ends the load before."""
        begun_ns = time.monotonic_ns() if since_ns is None else since_ns
        while (left_s := (t_ns - time.monotonic_ns()) / 1e9) > 0:
            await asyncio.sleep(min(left_s, _TELL_S))
            self._check()
            self.context.window.progress(what, round((time.monotonic_ns() - begun_ns) / 1e9, 1), total_s, "s")

    def _check(self) -> None:
        """Raise what ends the load before its time: the end of the engine's own server, or an error of a part of the load."""
        if self._server is not None:
            self._server.check_server()
        if (fault := self._source.fault()) is not None:
            raise fault

    async def _aside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._beside, work)
