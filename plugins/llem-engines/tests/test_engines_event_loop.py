"""An event loop of its own thread: results, failures, and the death of who should have answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from llem_engines import event_loop
from llem_engines.event_loop import EventLoop


@pytest.fixture
def deaths() -> list[BaseException]:
    """The engine has died once this holds its error."""
    return []


@pytest.fixture
def loop(deaths: list[BaseException], monkeypatch: pytest.MonkeyPatch) -> Iterator[EventLoop]:
    monkeypatch.setattr(event_loop, "_WATCH_S", 0.01)
    made = EventLoop("llem-test-loop", lambda: deaths[0] if deaths else None)
    yield made
    made.end()


async def forever() -> None:
    await asyncio.Event().wait()


async def failing(error: BaseException) -> None:
    raise error


def test_a_result_comes_and_a_failure_is_raised(loop: EventLoop) -> None:
    async def two() -> int:
        await asyncio.sleep(0.05)
        return 2

    assert loop.wait(two()) == 2
    for error in (ValueError("no"), TimeoutError("its own")):
        with pytest.raises(type(error), match=str(error)):
            loop.wait(failing(error))


def test_where_one_fails_the_others_are_cancelled(loop: EventLoop) -> None:
    ended: list[str] = []

    async def waits() -> None:
        try:
            await forever()
        finally:
            ended.append("cancelled")

    with pytest.raises(ValueError, match="no"):
        loop.together([waits(), failing(ValueError("no"))])
    assert ended == ["cancelled"]


def test_who_waits_for_a_dead_engine_gets_its_error(loop: EventLoop, deaths: list[BaseException]) -> None:
    deaths.append(RuntimeError("it died"))
    with pytest.raises(RuntimeError, match="it died"):
        loop.wait(forever())


def test_what_was_answered_before_the_death_is_not_lost(loop: EventLoop, deaths: list[BaseException]) -> None:
    async def answer() -> str:
        return "here"

    deaths.append(RuntimeError("it died"))
    assert loop.wait(answer()) == "here"


def test_work_that_is_given_up_ends(loop: EventLoop) -> None:
    ended = asyncio.Event()

    async def waits() -> None:
        try:
            await forever()
        finally:
            ended.set()

    async def until_ended() -> bool:
        return await ended.wait()

    future = loop.begin(waits())
    loop.wait(asyncio.sleep(0))
    future.cancel()
    assert loop.wait(until_ended())
