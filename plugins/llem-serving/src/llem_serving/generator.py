"""The load generator of the scenario `server`: puts a load to the engine, and works out what it came to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from llem.plugin_api import (
    Answer,
    DriveContext,
    Engine,
    Request,
    ScenarioFigures,
    Served,
    Unanswered,
)
from llem_serving.broken_off import broken_off, tokens_of_an_event
from llem_serving.config import LoadConfig, SloConfig
from llem_serving.course import Course
from llem_serving.driving import Drive
from llem_serving.figures import figures_of
from llem_serving.in_flight import InFlight
from llem_serving.judging import Window
from llem_serving.loop import Loop


class ServerLoad:
    """Asks by `stream`, many requests at once. Made with a loaded engine, driven once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop = Loop()
        self._warmed: list[Answer] = []
        self._course: Course | None = None
        self._load: LoadConfig | None = None
        self._slo = SloConfig()

    def group(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """A batch for each request: the warm-up asks one at a time."""
        return [[request] for request in requests]

    def answer(self, batch: Sequence[Request], pass_number: int = 1, batch_number: int = 1) -> Answer:
        """Release one request and wait for its last token, for the warm-up. Raises RuntimeError where it fails."""
        (request,) = batch
        answer = self._loop.run(self._one(request))
        self._warmed.append(answer)
        return answer

    async def _one(self, request: Request) -> Answer:
        flight = InFlight(self._engine)
        exchange = flight.arrive(request, time.monotonic_ns())
        await flight.until_ended(exchange)
        if exchange.answer is None:
            raise exchange.failure or RuntimeError(f"the engine gave no answer: {exchange.error}")
        return exchange.answer

    def fill_window(
        self,
        batches: Sequence[Sequence[Request]],
        open_ns: int,
        minimum_s: float,
        answered: Callable[[Answer], None],
    ) -> list[Answer]:
        """Not for a load that does not wait: see `drive`."""
        raise NotImplementedError("the scenario server opens its window itself")

    def drive(self, context: DriveContext) -> Served:
        """See `DrivesWindow.drive`."""
        load, slo = context.config.sections["load"], context.config.sections["slo"]
        assert isinstance(load, LoadConfig)
        assert isinstance(slo, SloConfig)
        self._load, self._slo = load, slo
        course = self._course = self._loop.run(Drive(self._engine, load, context).run())
        return served_of(course)

    def figures(self, energy_j: Callable[[int, int], float | None]) -> ScenarioFigures:
        """See `DrivesWindow.figures`."""
        assert self._course is not None
        assert self._load is not None
        return figures_of(self._course, self._load, self._slo, energy_j, warmed=self._warmed)

    def close(self) -> None:
        """End the event loop, with whatever still runs in it."""
        self._loop.close()


def served_of(course: Course) -> Served:
    """The load as the core counts its tokens and writes its table: answers, and what came of those that broke off."""
    window = Window(course.open_ns, course.close_ns)
    answered = [(window.arrives_inside(e.arrived_ns), e.answer) for e in course.exchanges if e.answer is not None]
    each = tokens_of_an_event(course.exchanges)
    unanswered = [
        Unanswered(e.request, e.arrived_ns, e.sent_ns, e.error, e.ended_ns, broken_off(e, each))
        for e in course.exchanges
        if e.answer is None
    ]
    return Served(
        inside=[answer for is_inside, answer in answered if is_inside],
        beside=[answer for is_inside, answer in answered if not is_inside],
        unanswered=[
            one
            for one in unanswered
            if window.arrives_inside(one.arrived_ns) or any(map(window.ends_inside, one.token_ns))
        ],
    )
