"""The course of a load: ramp, window and drain, in one event loop. It computes no figure."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Literal, TypeVar

from llem.plugin_api import DriveContext, Engine
from llem_serving.arrivals import draw, think_times
from llem_serving.config import LoadConfig
from llem_serving.in_flight import Exchange, InFlight
from llem_serving.pacing import Pacer
from llem_serving.steadiness import LoadPart, SteadyGate, saturates

T = TypeVar("T")
Verdict = Literal["steady", "unsteady", "saturated"]

_LEAD_S = 0.05
"""The first arrival is so far ahead of the loop's start, so that it is not late before anything has begun."""

_SPARE_S = 5.0
"""Arrivals are drawn for so much longer than the window may take: its edges wait for counters."""

_SAMPLES = 20
"""Requests in flight are looked at so often in a part."""

_LOOK_S = 0.02
"""How often a wait looks again."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """A load as it was.

    Attributes:
        exchanges: every request that arrived, in the order of arrival.
        open_ns, close_ns: the window's edges (monotonic ns).
        edges_ns: of its parts: the opening, instants between, and the close.
        verdict: of the load before the window; None where nothing was to be steady.
        waited_s: how long a steady state was waited for.
        reasons: what spoke against one at the end.
        under_way: requests under way as the window opened.
    """

    exchanges: Sequence[Exchange]
    open_ns: int
    close_ns: int
    edges_ns: Sequence[int]
    verdict: Verdict | None
    waited_s: float
    reasons: Sequence[str]
    under_way: int


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
    _flight: InFlight = field(init=False)
    _beside: ThreadPoolExecutor = field(init=False)
    _completed: list[Exchange] = field(default_factory=list, init=False)
    _over: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._flight = InFlight(self.engine, self.load.max_in_flight, self._completed.append)
        # The window waits for counters; the loop must not.
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="llem-window")

    @property
    def is_tested(self) -> bool:
        """True where the load has a steady state that is waited for: stages and traces have none."""
        return self.load.steady_s > 0 and self.load.stages is None and self.load.arrival != "trace"

    @property
    def part_s(self) -> float:
        """Length of a part of the window."""
        return self.load.duration_s / self.load.parts

    async def run(self) -> Course:
        """Ramp, window and drain."""
        start_ns = time.monotonic_ns() + round(_LEAD_S * 1e9)
        stop = self._users(start_ns) if self.load.concurrency is not None else self._arrivals(start_ns)
        try:
            await self._until(start_ns + round(self.load.ramp_s * 1e9), "ramp", self.load.ramp_s)
            verdict, waited_s, reasons = await self._steady() if self.is_tested else (None, 0.0, ())
            under_way = self._flight.under_way
            edges_ns = [await self._aside(self.context.window.open)]
            for number in range(1, self.load.parts):
                await self._until(
                    edges_ns[0] + round(number * self.part_s * 1e9), "window", self.load.duration_s, edges_ns[0]
                )
                edges_ns.append(await self._aside(self.context.window.instant))
            await self._until(
                edges_ns[0] + round(self.load.duration_s * 1e9), "window", self.load.duration_s, edges_ns[0]
            )
            edges_ns.append(await self._aside(self.context.window.close))
            await self._drain(edges_ns[0], edges_ns[-1])
        finally:
            self._over = True
            stop()
            await self._flight.cancel()
            self._beside.shutdown(wait=True)
        return Course(
            exchanges=self._flight.exchanges,
            open_ns=edges_ns[0],
            close_ns=edges_ns[-1],
            edges_ns=edges_ns,
            verdict=verdict,
            waited_s=waited_s,
            reasons=reasons,
            under_way=under_way,
        )

    def _arrivals(self, start_ns: int) -> Callable[[], None]:
        load, requests = self.load, self.context.requests
        span_s = load.ramp_s + load.steady_s + (4 * self.part_s) + load.duration_s + load.drain_s + _SPARE_S
        due_ns = (draw(load, self.context.cycle, span_s, base_dir=self.context.base_dir).t_ns + start_ns).tolist()

        def release(first: int, last: int) -> None:
            for place in range(first, last):
                if not self._over:
                    self._flight.arrive(requests[place % len(requests)], due_ns[place])

        pacer = Pacer(due_ns, release)
        pacer.start()
        return pacer.end

    def _users(self, start_ns: int) -> Callable[[], None]:
        assert self.load.concurrency is not None
        tasks = [asyncio.create_task(self._user(number, start_ns)) for number in range(self.load.concurrency)]

        def stop() -> None:
            for task in tasks:
                task.cancel()

        return stop

    async def _user(self, number: int, start_ns: int) -> None:
        """One user: thinks, asks, waits for the answer, and thinks again."""
        requests, due_ns = self.context.requests, start_ns
        for think_s in think_times(self.load, self.context.cycle, number):
            due_ns += round(think_s * 1e9)
            await asyncio.sleep(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
            place = len(self._flight.exchanges)
            exchange = self._flight.arrive(requests[place % len(requests)], due_ns)
            await self._flight.until_ended(exchange)
            assert exchange.ended_ns is not None
            due_ns = exchange.ended_ns

    async def _steady(self) -> tuple[Verdict, float, Sequence[str]]:
        """Wait until the load is steady, or for as long as it may take."""
        gate, begun_ns = SteadyGate(self._gaps_cv2), time.monotonic_ns()
        edge_ns = await self._aside(self.context.window.instant)
        while True:
            next_ns = edge_ns + round(self.part_s * 1e9)
            waited_s = (next_ns - begun_ns) / 1e9
            await self._until(next_ns, "waiting for a steady state", self.load.steady_s, begun_ns)
            next_ns = await self._aside(self.context.window.instant)
            if gate.feed(await self._part(edge_ns, next_ns)) == "steady":
                return "steady", waited_s, ()
            edge_ns = next_ns
            patience_s = max(self.load.steady_s, 3 * self.part_s)
            if saturates(gate.parts, self._gaps_cv2) is not None:
                return "saturated", waited_s, gate.reasons
            if waited_s + self.part_s > patience_s:
                return gate.verdict(), waited_s, gate.reasons

    @property
    def _gaps_cv2(self) -> float:
        """Squared coefficient of variation of the gaps of arrival: the counting noise that arrivals bring."""
        return {"constant": 0.0, "gamma": self.load.cv**2}.get(self.load.arrival, 1.0)

    async def _part(self, start_ns: int, end_ns: int) -> LoadPart:
        energy_j = await self._aside(lambda: self.context.window.energy_j(start_ns, end_ns))
        arrived = [e for e in self._flight.exchanges if start_ns < e.arrived_ns <= end_ns]
        began = [
            (e.first_ns, e)
            for e in self._flight.exchanges
            if e.first_ns is not None and start_ns < e.first_ns <= end_ns
        ]
        ended = [e for e in self._completed if e.ended_ns is not None and start_ns < e.ended_ns <= end_ns]
        return LoadPart(
            arrivals=len(arrived),
            completions=len(ended),
            output_tokens=sum(
                e.answer.records[0].output_tokens for e in ended if e.answer is not None and e.answer.records
            ),
            energy_j=energy_j,
            in_flight=[
                self._under_way(start_ns + step * (end_ns - start_ns) // _SAMPLES) for step in range(1, _SAMPLES + 1)
            ],
            ttft_s=[(first_ns - e.arrived_ns) / 1e9 for first_ns, e in sorted(began, key=itemgetter(0))],
        )

    def _under_way(self, t_ns: int) -> int:
        arrived = sum(e.arrived_ns <= t_ns for e in self._flight.exchanges)
        return arrived - sum(e.ended_ns is not None and e.ended_ns <= t_ns for e in self._completed)

    async def _drain(self, open_ns: int, close_ns: int) -> None:
        """Wait for those that arrived in the window. Others go on arriving meanwhile: the last ones shall have it no easier."""
        waited = [e for e in self._flight.exchanges if open_ns < e.arrived_ns <= close_ns]
        end_ns = close_ns + round(self.load.drain_s * 1e9)
        while any(e.ended_ns is None for e in waited) and time.monotonic_ns() < end_ns:
            await asyncio.sleep(_LOOK_S)
            done = sum(e.ended_ns is not None for e in waited)
            self.context.window.progress("drain", done, len(waited), "requests")

    async def _until(self, t_ns: int, what: str, total_s: float, since_ns: int | None = None) -> None:
        """Wait for an instant, and say now and then how far it is."""
        begun_ns = time.monotonic_ns() if since_ns is None else since_ns
        while (left_s := (t_ns - time.monotonic_ns()) / 1e9) > 0:
            await asyncio.sleep(min(left_s, 0.5))
            self.context.window.progress(what, round((time.monotonic_ns() - begun_ns) / 1e9, 1), total_s, "s")

    async def _aside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._beside, work)
