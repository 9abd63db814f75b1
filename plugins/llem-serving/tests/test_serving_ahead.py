"""Requests that are handed to the engine before they are due, where it can take them so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from driven_load import SleepingEngine, drive_of, driven, load_of
from virtual_loop import run_virtually

from llem.plugin_api import Request, RequestRecord, TokenEvent
from llem_serving import in_flight
from llem_serving.ahead import LEAD_NS
from llem_serving.course import Course
from llem_serving.in_flight import Exchange, InFlight

MANY = [Request(id=number, output_tokens=1, prompt="a prompt") for number in range(50)]


@dataclass
class EngineWithSender(SleepingEngine):
    """Takes requests ahead, and has them leave 3 ms after they are due."""

    can: bool = True
    ahead: list[tuple[int, int]] = field(default_factory=list)

    def prepare_ahead(self) -> bool:
        return self.can

    async def stream_at(self, request: Request, due_ns: int, left: Callable[[int], None]) -> AsyncIterator[TokenEvent]:
        self.ahead.append((time.monotonic_ns(), due_ns))
        await asyncio.sleep(max(0, due_ns + 3_000_000 - time.monotonic_ns()) / 1e9)
        left(due_ns + 3_000_000)
        async for event in self.stream(request):
            yield event


def test_requests_are_handed_over_before_they_are_due_and_counted_as_they_left() -> None:
    engine = EngineWithSender()
    course = driven(engine, MANY, load_of(rate_rps=100, arrival="constant", ramp_s=0.3))
    assert len(engine.ahead) > 30
    assert sorted(due - t for t, due in engine.ahead)[len(engine.ahead) // 2] > LEAD_NS / 2
    inside = [one for one in course.exchanges if course.open_ns <= one.arrived_ns < course.close_ns]
    assert inside
    assert all(one.sent_ns is not None and one.answer is not None for one in inside)
    late_ns = sorted(one.sent_ns - one.arrived_ns for one in course.exchanges if one.sent_ns is not None)
    assert late_ns[len(late_ns) // 2] == 3_000_000


class RefusingEngine(EngineWithSender):
    """Fails as soon as a request is handed over."""

    async def stream_at(self, request: Request, due_ns: int, left: Callable[[int], None]) -> AsyncIterator[TokenEvent]:
        raise RuntimeError("refused")
        yield


def test_a_request_that_fails_before_it_is_due_has_arrived_all_the_same() -> None:
    course = driven(RefusingEngine(), MANY, load_of(rate_rps=100, arrival="constant", ramp_s=0.3))
    assert course.exchanges
    assert all(one.ended_ns is not None and one.ended_ns >= one.arrived_ns for one in course.exchanges)


def test_what_is_not_due_as_the_load_ends_never_arrived() -> None:
    engine = EngineWithSender()

    async def between() -> tuple[int, Course, int]:
        begun_ns = time.monotonic_ns()
        course = await drive_of(engine, MANY, load_of(rate_rps=100, arrival="constant")).run()
        return begun_ns, course, time.monotonic_ns()

    begun_ns, course, ended_ns = run_virtually(between)
    assert all(begun_ns < one.arrived_ns <= ended_ns for one in course.exchanges)
    assert max(due for _, due in engine.ahead) > max(one.arrived_ns for one in course.exchanges)


@pytest.mark.parametrize(
    ("engine", "fields"),
    [
        (EngineWithSender(can=False), {"rate_rps": 100}),
        (EngineWithSender(), {"rate_rps": 100, "max_in_flight": 5}),
        (EngineWithSender(), {"concurrency": 3}),
    ],
    ids=["it cannot", "some wait for their turn", "users"],
)
def test_where_nothing_is_known_ahead_requests_go_when_they_arrive(
    engine: EngineWithSender, fields: dict[str, float]
) -> None:
    course = asyncio.run(drive_of(engine, MANY, load_of(**fields)).run())
    assert engine.asked
    assert not engine.ahead
    assert all(one.sent_ns is None or one.sent_ns >= one.arrived_ns for one in course.exchanges)


class EngineThatIsHeardLate(SleepingEngine):
    """Was done with each request 40 ms before it says so."""

    async def stream(self, request: Request) -> AsyncIterator[TokenEvent]:
        start_ns = time.monotonic_ns()
        await asyncio.sleep(0.05)
        end_ns = time.monotonic_ns() - 40_000_000
        yield TokenEvent(0, end_ns, RequestRecord(request.id, 1, 1, start_ns, end_ns, "length", token_ns=[end_ns]))


def test_the_next_request_was_free_to_go_when_the_engine_was_done_however_late_that_was_heard() -> None:
    async def asked() -> list[Exchange]:
        flight = InFlight(EngineThatIsHeardLate(), most=1)
        pair = [flight.arrive(request, time.monotonic_ns()) for request in MANY[:2]]
        await flight.until_ended(pair[1])
        return pair

    first, later = asyncio.run(asked())
    assert first.answer is not None
    assert later.free_ns == first.answer.records[0].end_ns
    assert later.sent_ns is not None
    assert later.sent_ns - later.free_ns >= 40_000_000


def test_what_is_due_by_now_goes_the_short_way() -> None:
    engine = EngineWithSender()

    async def asked() -> Exchange:
        flight = InFlight(engine, ahead=engine)
        exchange = flight.arrive(MANY[0], time.monotonic_ns() - 1_000_000)
        await flight.until_ended(exchange)
        return exchange

    exchange = asyncio.run(asked())
    assert not engine.ahead
    assert exchange.answer is not None


@pytest.mark.parametrize("ahead_ns", [10**9, 500_000, 20_000])
def test_a_request_never_goes_before_it_is_due(ahead_ns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # The loop was held up, and gets round to a request a moment before it is due.
    engine = EngineWithSender()

    async def asked() -> Exchange:
        flight = InFlight(engine, ahead=engine)
        exchange = flight.arrive(MANY[0], time.monotonic_ns() + ahead_ns)
        real_ns = time.monotonic_ns

        def held_up() -> int:
            return min(real_ns(), exchange.arrived_ns - ahead_ns)

        # Its task runs while the clock stands this long before the instant.
        monkeypatch.setattr(in_flight.time, "monotonic_ns", held_up)
        await asyncio.sleep(0)
        monkeypatch.undo()
        if ahead_ns < 10**8:
            await flight.until_ended(exchange)
        else:
            await flight.cancel()
        return exchange

    exchange = asyncio.run(asked())
    assert [due for _, due in engine.ahead] == [exchange.arrived_ns]
    assert exchange.sent_ns is None or exchange.sent_ns >= exchange.arrived_ns
