"""Tokens, counts and times of a real SGLang, against transformers' greedy answers to the same prompts in float32."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llem.errors import LlemError
from llem.specs.backend import Request, TokenEvent

pytestmark = [pytest.mark.sglang, pytest.mark.timeout(300)]

LENGTH = 24


@pytest.fixture(scope="module")
def session(load: Callable[..., Any], model_folder: Path) -> Any:
    return load(str(model_folder), {"max_running_requests": 5, "context_length": 256})


def requests(reference: dict[str, Any], **changes: Any) -> list[Request]:
    return [Request(id=i, prompt=p, output_tokens=LENGTH, **changes) for i, p in enumerate(reference["prompts"])]


async def collect(session: Any, request: Request) -> list[TokenEvent]:
    return [event async for event in session.engine.stream(request)]


def test_a_batch_answers_like_transformers_prompt_by_prompt(session: Any, reference: dict[str, Any]) -> None:
    records = session.answer(requests(reference))
    assert [records[i].input_tokens for i in range(12)] == [len(ids) for ids in reference["ids"]]
    assert [list(records[i].output_token_ids) for i in range(12)] == reference["fixed"]
    assert {record.finish for record in records.values()} == {"length"}


def test_an_answer_ends_with_its_stop_token(session: Any, reference: dict[str, Any]) -> None:
    records = session.answer(requests(reference, ignore_eos=False))
    assert [list(records[i].output_token_ids) for i in range(12)] == reference["natural"]
    stopped = [len(answer) < LENGTH for answer in reference["natural"]]
    assert any(stopped)
    assert not all(stopped)
    assert all(records[i].finish == "stop" for i in range(12) if stopped[i])


def test_each_token_has_its_own_time_and_only_so_many_run_at_once(session: Any, reference: dict[str, Any]) -> None:
    session.engine.metrics(reset=True)
    records = session.answer(requests(reference))
    counted = session.engine.metrics()
    for record in records.values():
        assert list(record.token_ns) == sorted(record.token_ns)
        # On a busy machine two steps may be fetched together, and then share the later one's time.
        assert len(set(record.token_ns)) > LENGTH // 2
        assert record.start_ns < record.token_ns[0]
        assert record.token_ns[-1] <= record.end_ns
    # Five run at once: the others get their first token when one of those has ended.
    first = sorted(record.token_ns[0] for record in records.values())
    earliest_end = min(record.end_ns for record in records.values())
    assert first[5] > earliest_end > first[4]
    assert counted["running_peak"] == 5
    assert 1 < counted["running_mean"] <= 5
    assert counted["waiting_peak"] == 12
    assert counted["preemptions"] == 0


def test_a_second_pass_finds_nothing_of_the_first_in_the_radix_cache(session: Any, reference: dict[str, Any]) -> None:
    def share() -> tuple[float, int]:
        session.engine.metrics(reset=True)
        records = session.answer(requests(reference))
        return session.engine.metrics(reset=True)["prefix_cache_hit_share"], sum(
            record.cached_tokens for record in records.values()
        )

    first, again = share(), share()
    assert first[0] < 0.5, "prompts of one pass may share a beginning"
    assert again[0] < 0.5
    asked = requests(reference)[3]
    (once,) = session.answer([asked]).values()
    assert once.cached_tokens == 0, "it was emptied before, since the prompt came again"


def test_a_cache_that_is_kept_holds_the_prompts_of_the_pass_before(
    session: Any, reference: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from llem_engines.passes import Passes

    monkeypatch.setattr(session.engine, "_passes", Passes(True, None))
    asked = [Request(id=50, prompt_token_ids=list(range(3, 180)), output_tokens=4)]
    session.answer(asked)
    session.engine.caveats()  # those of tests before this one
    session.engine.metrics(reset=True)
    (again,) = session.answer(asked).values()
    assert again.cached_tokens > 150
    assert session.engine.metrics()["prefix_cache_hit_tokens"] == again.cached_tokens
    (told,) = session.engine.caveats()
    assert told.code == "prompt_cached"
    assert f"{again.cached_tokens} of 177 prompt tokens" in told.message


def test_what_it_loaded_is_named(session: Any) -> None:
    report = session.report
    assert report.devices == ["cpu"]
    assert report.dtype == "float32"
    assert report.vocab_size == 400
    assert report.parameters == report.active_parameters
    assert report.effective["max_running_requests"] == 5
    assert report.effective["context_length"] == 256
    assert report.effective["attention_backend"] == "torch_native"
    assert report.effective["radix_cache"] == "emptied between passes"
    assert {"sglang", "torch", "transformers"} <= set(report.versions)


def test_a_prompt_that_does_not_fit_is_refused_with_its_size(session: Any) -> None:
    for prompt, answer in ((300, 4), (200, 57)):
        with pytest.raises(
            LlemError, match=rf"prompt 7 of {prompt} tokens and its answer of {answer} .* context of 256"
        ):
            session.answer([Request(id=7, prompt_token_ids=[5] * prompt, output_tokens=answer)])


def test_answers_to_chat_and_cut_prompts_count_what_was_sent(session: Any) -> None:
    chat = session.answer([Request(id=0, prompt="hello", output_tokens=2, chat_template=True)])[0]
    plain = session.answer([Request(id=1, prompt="hello", output_tokens=2)])[1]
    assert chat.input_tokens > plain.input_tokens
    cut = session.answer([Request(id=2, prompt="hello " * 50, output_tokens=2, max_input_tokens=9)])[2]
    assert cut.input_tokens == 9


def test_a_stream_gives_the_right_tokens_at_their_own_times(session: Any, reference: dict[str, Any]) -> None:
    request = Request(id=3, prompt=reference["prompts"][3], output_tokens=LENGTH)
    events = asyncio.run(collect(session, request))
    assert [event.token_id for event in events] == reference["fixed"][3]
    assert len({event.t_ns for event in events}) > LENGTH // 2
    assert [event.record is not None for event in events] == [False] * (LENGTH - 1) + [True]
    record = events[-1].record
    assert record is not None
    assert list(record.token_ns or ()) == [event.t_ns for event in events]
    assert record.input_tokens == len(reference["ids"][3])


def test_a_stream_that_is_closed_leaves_nothing_behind(session: Any, reference: dict[str, Any]) -> None:
    async def first_token() -> None:
        stream = session.engine.stream(Request(id=0, prompt="a", output_tokens=200))
        async for _ in stream:
            break
        await stream.aclose()

    asyncio.run(first_token())
    session.engine.metrics(reset=True)
    records = session.answer(requests(reference))
    assert [list(records[i].output_token_ids) for i in range(12)] == reference["fixed"]
    assert session.engine.metrics()["running_peak"] == 5


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
    assert [event.token_id for event in events][:LENGTH] == reference["fixed"][0][: len(events)]


def test_a_request_that_sglang_refuses_does_not_disturb_the_next(
    session: Any, reference: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(session.engine._sampling, "frequency_penalty", 9.0)
        with pytest.raises(LlemError, match=r"SGLang refuses prompt 9 of \d+ tokens: .*frequency_penalty"):
            session.answer([Request(id=9, prompt="hello", output_tokens=4)])
    session.engine.synchronize()
    events = asyncio.run(collect(session, Request(id=0, prompt=reference["prompts"][0], output_tokens=LENGTH)))
    assert [event.token_id for event in events] == reference["fixed"][0]
