"""Streams beside one another, as under a load that does not wait: vLLM's server engine, asked from one event loop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llem.errors import ModelError
from llem.specs.backend import Request, TokenEvent

pytestmark = pytest.mark.vllm

LENGTH = 24


@pytest.fixture(scope="module")
def session(model_folder: Path) -> Iterator[Any]:
    from vllm_lab import start

    measurement, load = {"scenario": "server"}, {"rate_rps": 1}
    one = start(str(model_folder), {"max_model_len": 512}, measurement=measurement, load=load)
    yield one
    one.engine.close()


async def collect(session: Any, request: Request) -> list[TokenEvent]:
    return [event async for event in session.engine.stream(request)]


async def all_of(session: Any, requests: list[Request]) -> list[list[TokenEvent]]:
    return list(await asyncio.gather(*(collect(session, request) for request in requests)))


def asked(reference: dict[str, Any]) -> list[Request]:
    return [Request(id=i, prompt=prompt, output_tokens=LENGTH) for i, prompt in enumerate(reference["prompts"])]


def test_streams_beside_one_another_give_what_each_gives_alone(session: Any, reference: dict[str, Any]) -> None:
    session.engine.metrics(reset=True)
    found = asyncio.run(all_of(session, asked(reference)))
    assert [[event.token_id for event in events] for events in found] == reference["fixed"]
    for events in found:
        times = [event.t_ns for event in events]
        # On a busy machine two steps may be fetched together, and then share the later one's time.
        assert times == sorted(times)
        assert len(set(times)) > 1
        assert [event.record is not None for event in events] == [False] * (LENGTH - 1) + [True]
    assert session.engine.metrics()["running_peak"] > 6, "they ran together"


def test_one_that_is_closed_disturbs_no_other_and_does_not_run_on(session: Any, reference: dict[str, Any]) -> None:
    async def close_one() -> list[list[TokenEvent]]:
        long = session.engine.stream(Request(id=99, prompt="a", output_tokens=400))
        await anext(long)
        others = asyncio.ensure_future(all_of(session, asked(reference)))
        await asyncio.sleep(0.05)
        await long.aclose()
        found = await others
        session.engine.metrics(reset=True)
        await collect(session, Request(id=98, prompt="b", output_tokens=LENGTH))
        return found

    found = asyncio.run(close_one())
    assert [[event.token_id for event in events] for events in found] == reference["fixed"]
    assert session.engine.metrics()["running_peak"] == 1, "nothing of the closed one is left"


def test_prompts_that_come_again_find_the_cache_as_a_server_keeps_it(session: Any) -> None:
    prompt = Request(id=7, prompt_token_ids=list(range(3, 300)), output_tokens=4)
    first = asyncio.run(collect(session, prompt))[-1].record
    session.engine.metrics(reset=True)
    again = asyncio.run(collect(session, prompt))[-1].record
    hits = session.engine.metrics()["prefix_cache_hit_tokens"]
    assert hits > 200
    assert (first.cached_tokens, again.cached_tokens) == (0, hits)


def test_counts_and_memory_can_be_asked_for_by_another_thread_meanwhile(
    session: Any, reference: dict[str, Any]
) -> None:
    async def ask() -> tuple[Any, Any]:
        running = asyncio.ensure_future(all_of(session, asked(reference)))
        memory = await asyncio.to_thread(session.engine.memory, reset_peak=True)
        metrics = await asyncio.to_thread(session.engine.metrics, reset=True)
        await running
        return memory, metrics

    asyncio.run(asyncio.wait_for(ask(), 60))


def engine_cores() -> set[int]:
    """Processes of vLLM below this one."""
    command = ["pgrep", "-P", str(os.getpid()), "-f", "EngineCore"]
    return set(map(int, subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()))


def test_every_stream_ends_with_the_reason_when_vllms_process_dies(model_folder: Path) -> None:
    from vllm_lab import start

    others = engine_cores()  # those of the other tests' engine, which has to live on
    one = start(str(model_folder), {"max_model_len": 512}, measurement={"scenario": "server"}, load={"rate_rps": 1})
    cores = engine_cores() - others

    async def kill() -> list[Any]:
        requests = [Request(id=i, prompt="a", output_tokens=400) for i in range(4)]
        running = [asyncio.ensure_future(collect(one, request)) for request in requests]
        await asyncio.sleep(0.3)
        for pid in cores:
            os.kill(pid, signal.SIGKILL)
        return list(await asyncio.gather(*running, return_exceptions=True))

    try:
        assert cores
        one.engine.check_server()
        ends = asyncio.run(asyncio.wait_for(kill(), 60))
        assert all(isinstance(end, Exception) for end in ends), ends
        with pytest.raises(ModelError, match=r"own process \(EngineCore\) has ended"):
            one.engine.check_server()
    finally:
        one.engine.close()
