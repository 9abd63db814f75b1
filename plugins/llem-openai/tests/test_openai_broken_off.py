"""Answers that break off: what came of them is given out before the error, with the times at which it came."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from asking import engine_on
from replay import Behaviour, Replay, replaying

from llem.plugin_api import LlemError, Request
from llem_openai.engine import OpenaiEngine

pytestmark = pytest.mark.process

GAP_S, CAME = 0.02, 5


def event(place: int, **usage: int) -> bytes:
    chunk = {"choices": [{"index": 0, "text": f"word{place} "}], **({"usage": usage} if usage else {})}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def whole(replay: Replay) -> None:
    replay.begin("text/event-stream")
    for place in range(1, 4):
        replay.send(event(place, prompt_tokens=5, completion_tokens=place))
    replay.send(b'data: {"choices": [{"index": 0, "text": "", "finish_reason": "length"}]}\n\ndata: [DONE]\n\n')


def begun(tokens: int | None, end: Callable[[Replay], None]) -> Callable[[Replay, Mapping[str, Any]], None]:
    """Whole answers to the probe; then five events, each of so many tokens if the server counts them, and an end."""
    asked = iter(range(10**6))

    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        if next(asked) < 1:
            whole(replay)
            return
        replay.begin("text/event-stream")
        for place in range(1, CAME + 1):
            usage = {} if tokens is None else {"prompt_tokens": 5, "completion_tokens": tokens * place}
            replay.send(event(place, **usage))
            time.sleep(GAP_S)
        end(replay)

    return handle


async def came(engine: OpenaiEngine, *, ahead: bool, until: threading.Event | None) -> tuple[list[int], BaseException]:
    """Times of the events of a request, which is cancelled once the server has sent all that it will; and what ended it."""
    times: list[int] = []
    request = Request(id=7, output_tokens=100, prompt="Where do rivers go?", ignore_eos=False)
    if ahead:
        assert engine.prepare_ahead()
        stream = engine.stream_at(request, time.monotonic_ns() + 50_000_000, lambda _: None)
    else:
        stream = engine.stream(request)

    async def read() -> None:
        async for one in stream:
            assert one.record is None
            times.append(one.t_ns)

    task = asyncio.create_task(read())
    if until is not None:
        await asyncio.get_running_loop().run_in_executor(None, until.wait, 20)
        assert not times, "nothing comes before the answer is whole"
        task.cancel()
    (ended,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(ended, BaseException)
    return times, ended


@pytest.mark.parametrize("ahead", [False, True], ids=["at once", "ahead"])
@pytest.mark.parametrize("tokens", [None, 1, 3])
def test_of_a_request_that_is_cancelled_what_came_is_given_out(tokens: int | None, ahead: bool) -> None:
    sent, over = threading.Event(), threading.Event()

    def goes_on(_: Replay) -> None:
        sent.set()
        over.wait(20)

    with (
        replaying(Behaviour(handle={"it": begun(tokens, goes_on)})) as address,
        engine_on(f"{address}/it/v1") as (engine, _),
    ):
        begun_ns = time.monotonic_ns()
        times, ended = asyncio.run(came(engine, ahead=ahead, until=sent))
        over.set()
    assert isinstance(ended, asyncio.CancelledError)
    assert len(times) == CAME * (tokens or 1)
    assert times == sorted(times)
    assert begun_ns < times[0]
    assert times[-1] - times[0] >= (CAME - 1) * GAP_S * 1e9 * 0.9


def test_of_an_answer_that_the_server_breaks_off_what_came_is_given_out() -> None:
    def hangs_up(replay: Replay) -> None:
        replay.close_connection = True

    with (
        replaying(Behaviour(handle={"it": begun(1, hangs_up)})) as address,
        engine_on(f"{address}/it/v1") as (engine, _),
    ):
        times, ended = asyncio.run(came(engine, ahead=False, until=None))
    assert isinstance(ended, LlemError)
    assert "middle of an answer" in str(ended)
    assert len(times) == CAME
