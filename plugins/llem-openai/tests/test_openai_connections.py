"""Connections of many requests: kept for the next one, no more than files may be open, and left when nobody waits any more."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llem.errors import LlemError
from llem.specs.backend import Request, RequestRecord
from llem_openai.engine import OpenaiEngine

sys.path.insert(0, str(Path(__file__).parent))
from asking import ask, engine_on
from openai_server import Behaviour as SlowBehaviour
from openai_server import serving
from replay import STREAMS, Behaviour, Replay, replaying

WHOLE = STREAMS["tgi"]


def kept(replay: Replay, data: bytes = WHOLE) -> None:
    """Answer, and keep the connection."""
    replay.send_response(200)
    replay.send_header("Content-Type", "text/event-stream")
    replay.send_header("Transfer-Encoding", "chunked")
    replay.end_headers()
    replay.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))


def request(number: int = 0) -> Request:
    return Request(id=number, output_tokens=8, prompt="Where do rivers go?", ignore_eos=False)


async def streamed(engine: OpenaiEngine, number: int = 0) -> RequestRecord:
    events = [event async for event in engine.stream(request(number))]
    record = events[-1].record
    assert record is not None
    return record


def test_one_connection_serves_one_request_after_the_other() -> None:
    ports: Counter[int] = Counter()

    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        ports[replay.client_address[1]] += 1
        kept(replay)

    async def all_of(engine: OpenaiEngine) -> None:
        for number in range(6):
            assert (await streamed(engine, number)).output_tokens == 8

    with replaying(Behaviour(handle={"it": handle})) as base, engine_on(f"{base}/it/v1") as (engine, _):
        asyncio.run(all_of(engine))
        asyncio.run(all_of(engine))
        assert ask(engine).output_tokens == 8
    # The probe and the last one have a loop of their own, and each `run` has one.
    assert sorted(ports.values()) == [2, 6, 6]


def test_a_refusal_leaves_the_connection_to_the_next_request() -> None:
    ports: list[int] = []

    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        ports.append(replay.client_address[1])
        if len(ports) % 2:
            kept(replay)
        else:
            replay.document(500, {"error": "not this one"})

    async def all_of(engine: OpenaiEngine) -> list[object]:
        return [await asyncio.gather(streamed(engine), return_exceptions=True) for _ in range(5)]

    with replaying(Behaviour(handle={"it": handle})) as base, engine_on(f"{base}/it/v1") as (engine, _):
        told = asyncio.run(all_of(engine))
    assert ["not this one" in str(one) for one in told] == [True, False, True, False, True]
    assert len(set(ports[1:])) == 1


def test_a_kept_connection_that_has_ended_is_replaced_and_nobody_is_told() -> None:
    seen: Counter[int] = Counter()

    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        seen[replay.client_address[1]] += 1
        if seen[replay.client_address[1]] > 1:
            replay.close_connection = True  # without a word, as a server that had enough of waiting
            return
        kept(replay)

    async def all_of(engine: OpenaiEngine) -> None:
        for number in range(3):
            assert (await streamed(engine, number)).output_tokens == 8

    with replaying(Behaviour(handle={"it": handle})) as base, engine_on(f"{base}/it/v1") as (engine, _):
        asyncio.run(all_of(engine))
    assert sum(count > 1 for count in seen.values()) == 2


def test_a_new_connection_that_ends_without_a_word_is_an_error() -> None:
    asked: list[int] = []

    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        asked.append(replay.client_address[1])
        if len(asked) == 1:
            kept(replay)
        else:
            replay.close_connection = True

    with (
        replaying(Behaviour(handle={"it": handle})) as base,
        engine_on(f"{base}/it/v1") as (engine, _),
        pytest.raises(LlemError, match="does not answer: the connection was closed"),
    ):
        asyncio.run(streamed(engine))
    assert len(asked) == 2


def test_a_request_that_is_given_up_is_given_up_at_the_server_too() -> None:
    begun, left = threading.Event(), threading.Event()

    def handle(replay: Replay, body: Mapping[str, Any]) -> None:
        if body["max_tokens"] != 8:
            kept(replay)
            return
        replay.begin("text/event-stream")
        begun.set()
        try:
            for _ in range(3_000):
                replay.send(b": still here\n\n")
                left.wait(0.01)
        except OSError:
            left.set()

    async def give_up(engine: OpenaiEngine) -> None:
        task = asyncio.create_task(streamed(engine))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with replaying(Behaviour(handle={"it": handle})) as base, engine_on(f"{base}/it/v1") as (engine, _):
        asyncio.run(give_up(engine))
        assert left.wait(30)


def test_many_streams_at_once_are_all_heard() -> None:
    async def all_of(engine: OpenaiEngine) -> list[RequestRecord]:
        return await asyncio.gather(*(streamed(engine, number) for number in range(150)))

    with serving(SlowBehaviour(token_s=0.01)) as address, engine_on(address) as (engine, _):
        records = asyncio.run(all_of(engine))
    assert [record.id for record in records] == list(range(150))
    assert all(record.token_ns is not None and len(record.token_ns) == 8 for record in records)
    times = [record.token_ns for record in records if record.token_ns is not None]
    assert all(
        record.start_ns < times[0] <= times[-1] <= record.end_ns for record, times in zip(records, times, strict=True)
    )
    assert len({end for *_, end in times}) > 1


SCRIPT = """
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))
sys.path.insert(0, sys.argv[1])
from asking import engine_on
from test_openai_connections import streamed

async def main(engine):
    return await asyncio.gather(*(streamed(engine, n) for n in range(200)), return_exceptions=True)

with engine_on(sys.argv[2]) as (engine, _):
    found = asyncio.run(main(engine))
    again = asyncio.run(main(engine))
for one in (found, again):
    errors = [str(error) for error in one if isinstance(error, Exception)]
    assert all("more requests are under way than there can be connections" in error for error in errors), errors[0]
    assert all("may open 160 files" in error and "load.max_in_flight" in error for error in errors), errors[0]
    print(len(errors), len(one) - len(errors))
open("/dev/null").close()
"""


@pytest.mark.process
@pytest.mark.timeout(120)
def test_more_requests_than_files_may_be_open_are_errors_of_theirs_and_no_hang(tmp_path: Path) -> None:
    with serving(SlowBehaviour(token_s=0.1)) as address:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), address],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        failed, answered = map(int, line.split())
        assert failed > 50
        assert answered > 20
