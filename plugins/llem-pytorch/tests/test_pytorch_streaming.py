"""Times of tokens, one request token by token, memory, and what is left when an engine closes."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pytorch_lab import Session
from pytorch_prompts import PROMPTS

from llem.specs.backend import Request, TokenEvent

pytestmark = pytest.mark.engine


def stream(session: Session, request: Request) -> list[TokenEvent]:
    async def collect() -> list[TokenEvent]:
        return [event async for event in session.engine.stream(request)]

    return asyncio.run(collect())


@pytest.mark.parametrize("size", [1, 4])
def test_each_token_has_a_time_of_its_own_in_order(load: Callable[..., Session], model_folder: Path, size: int) -> None:
    session = load(str(model_folder), {"batch_size": size})
    records = session.answer([Request(id=i, prompt=PROMPTS[i], output_tokens=9) for i in range(4)])
    for record in records.values():
        assert record.token_ns is not None
        assert len(set(record.token_ns)) == 9
        assert [record.start_ns, *record.token_ns, record.end_ns] == sorted(
            [record.start_ns, *record.token_ns, record.end_ns]
        )


def test_times_end_where_an_answer_ends(load: Callable[..., Session], model_folder: Path) -> None:
    session = load(str(model_folder), {"batch_size": 16})
    requests = [Request(id=i, prompt=p, output_tokens=24, ignore_eos=False) for i, p in enumerate(PROMPTS)]
    records = session.answer(requests)
    assert len({record.output_tokens for record in records.values()}) > 2
    for record in records.values():
        assert len(record.token_ns or ()) == record.output_tokens


@pytest.mark.parametrize("options", [{}, {"prompt_lookup_num_tokens": 3}, {"cache_implementation": "static"}])
def test_a_stream_is_the_answer_of_generate(
    load: Callable[..., Session], model_folder: Path, options: dict[str, object]
) -> None:
    session = load(str(model_folder), options)
    for ignore_eos in (True, False):
        request = Request(id=5, prompt=PROMPTS[5], output_tokens=12, ignore_eos=ignore_eos)
        events = stream(session, request)
        record = events[-1].record
        assert record is not None
        assert record.output_token_ids == session.answer([request])[5].output_token_ids
        assert tuple(e.token_id for e in events) == record.output_token_ids
        assert tuple(e.t_ns for e in events) == tuple(record.token_ns or ())
        assert all(e.record is None for e in events[:-1])


def test_a_stream_gives_tokens_while_the_rest_is_still_being_made(
    load: Callable[..., Session], model_folder: Path
) -> None:
    session = load(str(model_folder))

    async def first_then_rest() -> tuple[int, int]:
        events = session.engine.stream(Request(id=0, prompt=PROMPTS[0], output_tokens=400))
        await anext(events)
        seen = time.monotonic_ns()
        last = [event async for event in events][-1]
        return seen, last.t_ns

    seen, last = asyncio.run(first_then_rest())
    assert seen < last


def test_a_stream_that_is_closed_stops_the_generation(load: Callable[..., Session], model_folder: Path) -> None:
    session = load(str(model_folder))

    async def one() -> None:
        events = session.engine.stream(Request(id=0, prompt=PROMPTS[0], output_tokens=1500))
        await anext(events)
        await events.aclose()  # type: ignore[attr-defined]

    asyncio.run(one())
    # The next answer waits for the end of what ran, which would else be 1,500 steps away.
    assert len(session.ids(PROMPTS[0], 3)) == 3
    assert session.engine._server is not None
    assert session.engine._server.metrics()["steps"] < 750
    session.engine.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("llem-pytorch")]


def test_an_error_while_streaming_reaches_the_reader(load: Callable[..., Session]) -> None:
    session = load("random:tiny-llama")
    with pytest.raises(Exception, match="prompt 0 has no tokens"):
        stream(session, Request(id=0, prompt="", output_tokens=2))


def test_memory_is_unknown_on_the_cpu_and_synchronize_returns(load: Callable[..., Session]) -> None:
    session = load("random:tiny-llama")
    session.engine.synchronize()
    memory = session.engine.memory(reset_peak=True)
    assert (memory.allocated_mb, memory.peak_mb, memory.source) == (None, None, None)


def test_closing_frees_the_model_even_if_it_is_done_twice(load: Callable[..., Session], model_folder: Path) -> None:
    session = load(str(model_folder), {"assistant_model": str(model_folder)})
    session.ids(PROMPTS[0])
    assert session.engine._loaded is not None
    model = weakref.ref(session.engine._loaded.model)
    weight = weakref.ref(next(session.engine._loaded.model.parameters()))
    session.engine.close()
    gc.collect()
    assert model() is None
    assert weight() is None
    session.engine.close()


def test_an_engine_that_never_loaded_closes() -> None:
    from llem_pytorch.engine import PyTorchEngine

    PyTorchEngine().close()


def test_tokens_decode_to_the_text_that_they_came_from(load: Callable[..., Session], model_folder: Path) -> None:
    session = load(str(model_folder))
    ids = session.engine._tokenizer.encode([Request(id=0, prompt=PROMPTS[1], output_tokens=1)])[0]
    assert session.engine.decode(ids) == PROMPTS[1]
    assert load("random:tiny-llama").engine.decode([5, 6]) is None


def test_gradients_are_off(load: Callable[..., Session]) -> None:
    session = load("random:tiny-llama")
    assert session.engine._loaded is not None
    model = session.engine._loaded.model
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert isinstance(next(model.parameters()), torch.nn.Parameter)
