"""Static batches behind a queue: what shares a batch, when it starts, and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pytorch_lab import SERVED, Session, at_once, record
from pytorch_prompts import PROMPTS

from llem.specs.backend import Request

pytestmark = [pytest.mark.engine, pytest.mark.timeout(60)]

NEVER_S = 3_600
"""A batch that is not full does not start by itself within a test."""


@pytest.fixture
def queue(load: Callable[..., Session]) -> Callable[..., Session]:
    """Takes batch_size and max_wait_s; returns a loaded engine that serves by them."""
    return lambda size, max_wait_s: load(
        pytorch={"serving": "queue", "batch_size": size, "max_wait_s": max_wait_s}, **SERVED
    )


def ask(*lengths: int) -> list[Request]:
    return [Request(id=i, prompt=PROMPTS[i], output_tokens=length) for i, length in enumerate(lengths)]


def counted(session: Session) -> dict[str, Any]:
    return dict(session.engine.metrics())


def test_a_batch_starts_as_soon_as_it_is_full(queue: Callable[..., Session]) -> None:
    session = queue(4, NEVER_S)
    at_once(session, ask(*[5] * 8))
    found = counted(session)
    assert (found["batches"], found["batch_size_mean"], found["batch_size_max"]) == (2, 4, 4)
    assert found["steps"] == 10
    assert 4 <= found["waiting_peak"] <= 8


def test_a_batch_that_is_not_full_starts_when_its_oldest_request_has_waited(queue: Callable[..., Session]) -> None:
    session = queue(4, 1.0)
    at_once(session, ask(2, 2, 2))
    found = counted(session)
    assert (found["batches"], found["batch_size_mean"]) == (1, 3)
    assert found["queue_max_s"] >= 1.0


def test_an_answer_that_is_whole_stays_in_its_batch_and_counts_no_more(queue: Callable[..., Session]) -> None:
    session = queue(2, NEVER_S)
    short, long = at_once(session, ask(4, 12))
    assert short.token_ns is not None
    assert long.token_ns is not None
    assert short.token_ns == long.token_ns[:4]  # one step gives both their tokens
    found = counted(session)
    assert (found["steps"], found["running_mean"], found["running_peak"]) == (12, 16 / 12, 2)


def test_a_request_that_is_given_up_while_it_waits_is_in_no_batch(queue: Callable[..., Session]) -> None:
    session = queue(2, NEVER_S)
    given_up, second, third = ask(5, 5, 5)

    async def one_is_given_up() -> None:
        waiting = asyncio.create_task(record(session, given_up))
        while not counted(session).get("waiting_peak"):
            await asyncio.sleep(0.001)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.gather(record(session, second), record(session, third))

    asyncio.run(one_is_given_up())
    found = counted(session)
    assert (found["batches"], found["batch_size_mean"]) == (1, 2)


def test_a_batch_goes_on_for_those_who_still_wait_and_no_longer(queue: Callable[..., Session]) -> None:
    session = queue(2, NEVER_S)
    given_up, kept = ask(1500, 20)

    async def one_is_given_up() -> tuple[int, ...]:
        async def first_token() -> None:
            stream = session.engine.stream(given_up)
            await anext(stream)
            await stream.aclose()  # type: ignore[attr-defined]

        _, found = await asyncio.gather(first_token(), record(session, kept))
        return tuple(found.output_token_ids or ())

    answer = asyncio.run(one_is_given_up())
    (alone, _) = at_once(session, [kept, Request(id=9, prompt=PROMPTS[9], output_tokens=1)])
    assert answer == alone.output_token_ids
    assert counted(session)["steps"] < 200


def test_those_that_wait_when_the_window_opens_are_of_its_queue(queue: Callable[..., Session]) -> None:
    session = queue(3, NEVER_S)

    async def two_wait() -> dict[str, Any]:
        waiting = [asyncio.create_task(record(session, request)) for request in ask(2, 2)]
        while counted(session).get("waiting_peak") != 2:
            await asyncio.sleep(0.001)
        session.engine.metrics(reset=True)
        found = counted(session)
        await asyncio.gather(record(session, Request(id=2, prompt=PROMPTS[2], output_tokens=2)), *waiting)
        return found

    assert asyncio.run(two_wait()) == {"waiting_peak": 2}
