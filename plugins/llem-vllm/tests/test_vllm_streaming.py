"""Streams: from the engine that batches run on, and from vLLM's own server engine, which the scenario single_stream starts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llem.errors import LlemError
from llem.specs.backend import Request, TokenEvent

pytestmark = pytest.mark.vllm

LENGTH = 24


@pytest.fixture(scope="module", params=["offline", "single_stream"])
def session(request: pytest.FixtureRequest, model_folder: Path) -> Iterator[Any]:
    from vllm_lab import start

    one = start(str(model_folder), {"max_model_len": 256}, measurement={"scenario": request.param})
    yield one
    one.engine.close()


async def collect(session: Any, request: Request) -> list[TokenEvent]:
    return [event async for event in session.engine.stream(request)]


def test_a_stream_gives_the_right_tokens_at_their_own_times(session: Any, reference: dict[str, Any]) -> None:
    request = Request(id=3, prompt=reference["prompts"][3], output_tokens=LENGTH)
    events = asyncio.run(collect(session, request))
    assert [event.token_id for event in events] == reference["fixed"][3]
    assert len({event.t_ns for event in events}) == LENGTH
    assert [event.record is not None for event in events] == [False] * (LENGTH - 1) + [True]
    record = events[-1].record
    assert record is not None
    assert list(record.token_ns or ()) == [event.t_ns for event in events]
    assert record.input_tokens == len(reference["ids"][3])


def test_a_stream_ends_with_its_stop_token(session: Any, reference: dict[str, Any]) -> None:
    place = next(i for i, answer in enumerate(reference["natural"]) if len(answer) < LENGTH)
    request = Request(id=place, prompt=reference["prompts"][place], output_tokens=LENGTH, ignore_eos=False)
    events = asyncio.run(collect(session, request))
    assert [event.token_id for event in events] == reference["natural"][place]
    assert events[-1].record is not None
    assert events[-1].record.finish == "stop"


def test_a_stream_that_is_closed_leaves_nothing_behind(session: Any, reference: dict[str, Any]) -> None:
    async def first_tokens() -> None:
        stream = session.engine.stream(Request(id=0, prompt="a", output_tokens=200))
        async for _ in stream:
            break
        await stream.aclose()

    asyncio.run(first_tokens())
    session.engine.metrics(reset=True)
    asked = [Request(id=i, prompt=p, output_tokens=LENGTH) for i, p in enumerate(reference["prompts"])]
    records = session.answer(asked)
    assert [list(records[i].output_token_ids) for i in range(12)] == reference["fixed"]
    assert session.engine.metrics()["running_peak"] <= 12


def test_a_stream_that_is_cancelled_gives_all_that_came(session: Any, reference: dict[str, Any]) -> None:
    events: list[TokenEvent] = []

    async def read() -> None:
        async for event in session.engine.stream(Request(id=0, prompt=reference["prompts"][0], output_tokens=200)):
            events.append(event)  # noqa: PERF401 - looked at while they come

    async def cancelled() -> int:
        task = asyncio.create_task(read())
        while len(events) < 4:
            await asyncio.sleep(0.001)
        before = len(events)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return before

    before = asyncio.run(cancelled())
    assert len(events) > before, "the last token that came had waited for a record"
    assert [event.t_ns for event in events] == sorted(event.t_ns for event in events)
    assert [event.token_id for event in events][:LENGTH] == reference["fixed"][0][: len(events)]


def test_a_refused_prompt_does_not_disturb_the_next(session: Any, reference: dict[str, Any]) -> None:
    with pytest.raises(LlemError, match="do not fit"):
        asyncio.run(collect(session, Request(id=9, prompt_token_ids=[5] * 300, output_tokens=4)))
    events = asyncio.run(collect(session, Request(id=0, prompt=reference["prompts"][0], output_tokens=LENGTH)))
    assert [event.token_id for event in events] == reference["fixed"][0]


def test_a_stream_whose_reader_is_gone_is_ended_before_the_next_batch(session: Any, reference: dict[str, Any]) -> None:
    async def leave() -> None:
        stream = session.engine.stream(Request(id=0, prompt="a", output_tokens=200))
        async for _ in stream:
            return  # neither read on nor closed: the event loop ends first

    for _ in range(5):
        asyncio.run(leave())
        session.engine.metrics(reset=True)
        asked = [Request(id=i, prompt=p, output_tokens=LENGTH) for i, p in enumerate(reference["prompts"])]
        records = session.answer(asked)
        assert [list(records[i].output_token_ids) for i in range(12)] == reference["fixed"]
        assert session.engine.metrics()["running_peak"] <= 12
