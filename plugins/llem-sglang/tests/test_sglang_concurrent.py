"""Streams beside one another, as under a load that does not wait; and the end of it all when a process of SGLang dies."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llem.errors import LlemError
from llem.specs.backend import Request, TokenEvent

pytestmark = [pytest.mark.sglang, pytest.mark.timeout(300)]

LENGTH = 24


@pytest.fixture(scope="module")
def session(model_folder: Path) -> Iterator[Any]:
    from sglang_lab import start

    measurement, load = {"scenario": "server"}, {"rate_rps": 1}
    one = start(str(model_folder), {"context_length": 512}, measurement=measurement, load=load)
    yield one
    one.engine.close()


@pytest.fixture
def doomed(session: Any) -> Any:
    """The same, for a test that kills it: conftest.py puts such a test last."""
    return session


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
        assert times == sorted(times)
        assert len(set(times)) > 1
        assert [event.record is not None for event in events] == [False] * (LENGTH - 1) + [True]
    assert session.engine.metrics()["running_peak"] > 6, "they ran together"
    assert session.report.effective["radix_cache"] == "kept, as a server keeps it"


def test_one_that_is_closed_disturbs_no_other_and_does_not_run_on(session: Any, reference: dict[str, Any]) -> None:
    async def close_one() -> list[list[TokenEvent]]:
        long = session.engine.stream(Request(id=99, prompt="a", output_tokens=400))
        await anext(long)
        others = asyncio.ensure_future(all_of(session, asked(reference)))
        await asyncio.sleep(0.05)
        await long.aclose()
        return await others

    found = asyncio.run(close_one())
    assert [[event.token_id for event in events] for events in found] == reference["fixed"]
    session.engine.metrics(reset=True)
    asyncio.run(collect(session, Request(id=98, prompt="b", output_tokens=LENGTH)))
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
    async def ask() -> None:
        running = asyncio.ensure_future(all_of(session, asked(reference)))
        await asyncio.to_thread(session.engine.memory, reset_peak=True)
        await asyncio.to_thread(session.engine.synchronize)
        await asyncio.to_thread(session.engine.metrics, reset=True)
        await running

    asyncio.run(asyncio.wait_for(ask(), 60))


def test_every_stream_ends_with_the_reason_when_a_process_of_sglang_dies(doomed: Any) -> None:
    from sglang_lab import below, gone

    host = doomed.engine._hosted._process.pid
    everything = [process for process in below() if process.pid == host] + below(host)
    scheduler = next(process for process in below(host) if "scheduler" in " ".join(process.cmdline()))

    async def kill() -> list[Any]:
        requests = [Request(id=i, prompt="a", output_tokens=400) for i in range(4)]
        running = [asyncio.ensure_future(collect(doomed, request)) for request in requests]
        await asyncio.sleep(0.3)
        scheduler.kill()
        return list(await asyncio.gather(*running, return_exceptions=True))

    ends = asyncio.run(asyncio.wait_for(kill(), 60))
    assert all(isinstance(end, LlemError) for end in ends), ends
    assert "SGLang's process ended in the run" in str(ends[0])
    assert gone(everything), "SGLang killed its own tree, and this process lives on"
    with pytest.raises(LlemError, match="ended in the run"):
        doomed.engine.memory()
    with pytest.raises(LlemError, match="ended in the run"):
        doomed.answer([Request(id=0, prompt="a", output_tokens=4)])
