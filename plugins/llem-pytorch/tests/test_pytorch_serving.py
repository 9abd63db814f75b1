"""Requests that do not wait for one another: each gets the answer that it gets alone, in either way of serving them."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lab import SERVED, Session, at_once, events, record
from pytorch_prompts import PROMPTS

from llem.specs.backend import Request
from llem_pytorch.serving.continuous_server import ContinuousServer

pytestmark = [pytest.mark.engine, pytest.mark.timeout(60)]

LENGTH = 24
WAYS: dict[str, dict[str, Any]] = {
    "continuous": {"serving": "continuous"},
    "continuous, chunks of 7": {"serving": "continuous", "continuous_batching": {"max_batch_tokens": 7}},
    "continuous, 3 at once": {"serving": "continuous", "continuous_batching": {"max_requests_per_batch": 3}},
    "continuous, little cache": {
        "serving": "continuous",
        "continuous_batching": {"page_size": 16, "num_blocks": 9},
    },
    "continuous, shared pages": {
        "serving": "continuous",
        "continuous_batching": {"page_size": 8, "num_blocks": 200, "allow_block_sharing": True},
    },
    "queue, 1": {"serving": "queue"},
    "queue, 5": {"serving": "queue", "batch_size": 5},
    "queue, static cache": {"batch_size": 5, "cache_implementation": "static"},
    "queue, prompt lookup": {"prompt_lookup_num_tokens": 3},
    "queue, 16": {"serving": "queue", "batch_size": 16, "max_wait_s": 0.5},
}
TWO = {"continuous": WAYS["continuous"], "queue": {"serving": "queue", "batch_size": 2, "max_wait_s": 0.01}}

Load = Callable[..., Session]


def ask(**keywords: Any) -> list[Request]:
    return [Request(id=i, prompt=prompt, **{"output_tokens": LENGTH, **keywords}) for i, prompt in enumerate(PROMPTS)]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_answers_at_once_are_those_of_the_scenario_offline(load: Load, model_folder: Path, way: dict[str, Any]) -> None:
    offline, served = load(str(model_folder)), load(str(model_folder), way, **SERVED)
    for natural in (False, True):
        requests = ask(ignore_eos=not natural)
        alone = offline.answer(requests)
        assert len({one.output_tokens for one in alone.values()}) > 2 or not natural
        for found in at_once(served, requests):
            expected = alone[found.id]
            assert found.output_token_ids == expected.output_token_ids
            assert (found.input_tokens, found.output_tokens) == (expected.input_tokens, expected.output_tokens)
            assert found.finish == expected.finish
            assert len(found.token_ns or ()) == found.output_tokens
            times = [found.start_ns, *(found.token_ns or ()), found.end_ns]
            assert times == sorted(times)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("way", TWO.values(), ids=TWO)
def test_requests_of_different_lengths_each_get_their_own(load: Load, way: dict[str, Any], attention: str) -> None:
    requests = [Request(id=i, prompt=PROMPTS[i], output_tokens=1 + 5 * i % 17) for i in range(16)]
    alone = load(pytorch={"attn_implementation": attention}).answer(requests)
    for found in at_once(load(pytorch={**way, "attn_implementation": attention}, **SERVED), requests):
        assert found.output_token_ids == alone[found.id].output_token_ids


@pytest.mark.parametrize("way", TWO.values(), ids=TWO)
def test_tokens_come_as_their_steps_are_made_and_the_last_has_the_record(load: Load, way: dict[str, Any]) -> None:
    session = load(pytorch=way, **SERVED)
    found = asyncio.run(events(session, Request(id=3, prompt=PROMPTS[3], output_tokens=9)))
    assert len({event.t_ns for event in found}) == 9
    assert [event.record is not None for event in found] == [False] * 8 + [True]
    last = found[-1].record
    assert last is not None
    assert last.output_token_ids == tuple(event.token_id for event in found)
    assert last.token_ns == tuple(event.t_ns for event in found)


@pytest.mark.parametrize("way", TWO.values(), ids=TWO)
def test_a_short_answer_leaves_while_a_long_one_goes_on(load: Load, way: dict[str, Any]) -> None:
    session = load(pytorch=way, **SERVED)

    async def short_and_long() -> tuple[bool, int]:
        long = asyncio.create_task(record(session, Request(id=0, prompt=PROMPTS[0], output_tokens=300)))
        short = await record(session, Request(id=1, prompt=PROMPTS[1], output_tokens=4))
        ended_first = not long.done()
        return ended_first, (await long).end_ns - short.end_ns

    ended_first, later_ns = asyncio.run(short_and_long())
    assert ended_first
    assert later_ns > 0


@pytest.mark.parametrize("way", TWO.values(), ids=TWO)
def test_a_request_that_fails_ends_no_other(load: Load, way: dict[str, Any]) -> None:
    session = load(pytorch=way, **SERVED)

    async def good_and_bad() -> list[Any]:
        prompts = [PROMPTS[0], "", PROMPTS[2]]
        requests = [Request(id=i, prompt=prompt, output_tokens=6) for i, prompt in enumerate(prompts)]
        return await asyncio.gather(*(record(session, request) for request in requests), return_exceptions=True)

    first, failed, third = asyncio.run(good_and_bad())
    assert "prompt 1 has no tokens" in str(failed)
    assert (first.output_tokens, third.output_tokens) == (6, 6)


def failing_once(real: Callable[..., Any]) -> Callable[..., Any]:
    """A forward pass that fails at its third call."""
    calls = iter(range(1000))

    def forward(*args: Any, **keywords: Any) -> Any:
        if next(calls) == 2:
            raise RuntimeError("a kernel was told to fail")
        return real(*args, **keywords)

    forward.__signature__ = inspect.signature(real)  # type: ignore[attr-defined]
    return forward


@pytest.mark.parametrize("way", TWO.values(), ids=TWO)
def test_an_error_in_a_step_ends_what_it_computed_and_the_next_request_is_answered(
    load: Load, way: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = load(pytorch=way, **SERVED)
    assert session.engine._loaded is not None
    model = session.engine._loaded.model
    monkeypatch.setattr(model, "forward", failing_once(model.forward))
    request = Request(id=0, prompt=PROMPTS[0], output_tokens=6)
    with pytest.raises(RuntimeError, match="a kernel was told to fail"):
        asyncio.run(record(session, request))
    (found,) = at_once(session, [request])
    assert found.output_tokens == 6


def test_the_next_request_may_come_before_an_error_is_recorded(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers tells the requests of an error first, and is for a while neither running on nor known to have failed."""
    session = load(pytorch=TWO["continuous"], **SERVED)
    assert session.engine._loaded is not None
    assert isinstance(session.engine._server, ContinuousServer)
    status = session.engine._server._manager.background_thread_status
    monkeypatch.setattr(session.engine._loaded.model, "forward", failing_once(session.engine._loaded.model.forward))
    record_error = status.record_fatal_error
    monkeypatch.setattr(status, "record_fatal_error", lambda error: (time.sleep(0.5), record_error(error)))
    request = Request(id=0, prompt=PROMPTS[0], output_tokens=6)
    with pytest.raises(RuntimeError, match="a kernel was told to fail"):
        asyncio.run(record(session, request))
    (found,) = at_once(session, [request])
    assert found.output_tokens == 6


@pytest.mark.parametrize("way", TWO.values(), ids=TWO)
def test_a_request_that_is_given_up_makes_room(load: Load, way: dict[str, Any]) -> None:
    session = load(pytorch=way, **SERVED)

    async def give_up() -> None:
        stream = session.engine.stream(Request(id=0, prompt=PROMPTS[0], output_tokens=1500))
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(give_up())
    found = at_once(session, [Request(id=1, prompt=PROMPTS[1], output_tokens=3)])
    assert found[0].output_tokens == 3
    # Those of the first one that were made before it was given up, and of the second: by far not 1,500.
    assert session.engine.metrics()["steps"] < 750
    assert session.engine.metrics()["running_peak"] == 1


@pytest.mark.parametrize("way", TWO.values(), ids=TWO)
def test_memory_and_counts_are_told_to_another_thread_while_requests_run(load: Load, way: dict[str, Any]) -> None:
    session = load(pytorch=way, **SERVED)
    seen: list[Any] = []

    async def meanwhile() -> None:
        stream = session.engine.stream(Request(id=0, prompt=PROMPTS[0], output_tokens=40))
        await anext(stream)
        look = lambda: seen.append((session.engine.memory(), dict(session.engine.metrics())))  # noqa: E731
        await asyncio.get_running_loop().run_in_executor(None, look)
        async for _ in stream:
            pass

    asyncio.run(meanwhile())
    ((memory, metrics),) = seen
    assert memory.source is None
    assert metrics["running_peak"] == 1


@pytest.mark.parametrize("way", TWO.values(), ids=TWO)
def test_closing_ends_the_thread_and_what_is_under_way(load: Load, way: dict[str, Any]) -> None:
    session = load(pytorch=way, **SERVED)

    async def closed_meanwhile() -> None:
        waiting = [Request(id=i, prompt=PROMPTS[i], output_tokens=1500) for i in range(4)]
        streams = [asyncio.create_task(record(session, request)) for request in waiting]
        await anext(session.engine.stream(Request(id=9, prompt=PROMPTS[9], output_tokens=1500)))
        await asyncio.get_running_loop().run_in_executor(None, session.engine.close)
        found = await asyncio.gather(*streams, return_exceptions=True)
        assert all(isinstance(error, RuntimeError) for error in found)

    asyncio.run(closed_meanwhile())
    assert not [t for t in threading.enumerate() if t.name.startswith("llem-pytorch") or "generation_loop" in t.name]


@pytest.mark.parametrize("way", TWO.values(), ids=TWO)
def test_closing_frees_the_model(load: Load, way: dict[str, Any]) -> None:
    session = load(pytorch=way, **SERVED)
    at_once(session, ask(output_tokens=2)[:2])
    assert session.engine._loaded is not None
    weight = weakref.ref(next(session.engine._loaded.model.parameters()))
    session.engine.close()
    gc.collect()
    assert weight() is None
    session.engine.close()


@pytest.mark.parametrize("way", TWO.values(), ids=TWO)
def test_closing_goes_through_all_that_is_alive_once_and_so_does_the_process_end(
    load: Load, way: dict[str, Any]
) -> None:
    session = load(pytorch=way, **SERVED)
    at_once(session, ask(output_tokens=2)[:2])
    gc.unfreeze()  # as in a worker, where no engine was closed before
    gc.collect()
    everything, walked = len(gc.get_objects()), []

    def collects(moment: str, of: dict[str, int]) -> None:
        if moment == "start" and of["generation"] == 2:
            walked.append(len(gc.get_objects()))

    gc.callbacks.append(collects)
    try:
        session.engine.close()
    finally:
        gc.callbacks.remove(collects)
    assert sum(count > everything / 2 for count in walked) == 1
    assert len(gc.get_objects()) < everything / 10


@pytest.mark.parametrize("way", TWO.values(), ids=TWO)
def test_the_windows_counts_begin_with_it(load: Load, way: dict[str, Any]) -> None:
    session = load(pytorch=way, **SERVED)
    at_once(session, ask(output_tokens=3)[:4])
    session.engine.metrics(reset=True)
    at_once(session, [Request(id=0, prompt=PROMPTS[0], output_tokens=7)])
    found = session.engine.metrics()
    assert (found["steps"], found["running_mean"], found["running_peak"]) == (7, 1, 1)
    assert found["queue_max_s"] == found["queue_mean_s"] > 0


def test_one_request_at_a_time_has_no_queue_to_tell_of(load: Load) -> None:
    session = load(measurement={"scenario": "single_stream"})
    asyncio.run(events(session, Request(id=0, prompt=PROMPTS[0], output_tokens=2)))
    assert session.engine.metrics() == {}
    assert "serving" not in session.report.effective


@pytest.mark.parametrize("way", TWO.values(), ids=TWO)
def test_the_result_says_how_requests_were_served(load: Load, way: dict[str, Any]) -> None:
    effective = load(pytorch=way, **SERVED).report.effective
    assert effective["serving"] == way["serving"]
    if way["serving"] == "queue":
        assert (effective["batch_size"], effective["max_wait_s"]) == (2, 0.01)
    else:
        assert effective["continuous_batching"]["num_blocks"] == 64
    assert effective["attn_implementation"] == "sdpa"


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}], ids=["top_k", "top_p", "min_p"])
@pytest.mark.parametrize("way", TWO.values(), ids=TWO)
def test_a_choice_narrowed_to_one_token_is_greedy(
    load: Load, model_folder: Path, way: dict[str, Any], narrow: dict[str, Any]
) -> None:
    requests = ask(output_tokens=12)[2:5]
    greedy = load(str(model_folder)).answer(requests)
    wide = at_once(load(str(model_folder), way, decoding={"temperature": 3.0}, **SERVED), requests)
    found = at_once(load(str(model_folder), way, decoding={"temperature": 3.0, **narrow}, **SERVED), requests)
    assert [one.output_token_ids for one in found] == [greedy[one.id].output_token_ids for one in found]
    assert [one.output_token_ids for one in wide] != [greedy[one.id].output_token_ids for one in wide]


def test_sampled_answers_of_a_seed_come_again(load: Load, model_folder: Path) -> None:
    def answer(seed: int, **way: Any) -> tuple[int, ...]:
        session = load(str(model_folder), way, decoding={"temperature": 1.0, "seed": seed}, **SERVED)
        return tuple(at_once(session, [Request(id=0, prompt=PROMPTS[2], output_tokens=12)])[0].output_token_ids or ())

    for way in ({"serving": "continuous"}, {"serving": "queue"}):
        assert answer(1, **way) == answer(1, **way) != answer(2, **way)


def test_the_model_has_its_own_attention_back_when_the_engine_closes(load: Load) -> None:
    session = load(pytorch={"serving": "continuous", "attn_implementation": "eager"}, **SERVED)
    assert session.engine._loaded is not None
    model = session.engine._loaded.model
    assert model.config._attn_implementation == "paged|eager"
    session.engine.close()
    assert model.config._attn_implementation == "eager"
    ids = torch.tensor([[5, 6, 7]])
    assert model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=2, do_sample=False).shape == (1, 5)
