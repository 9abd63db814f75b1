"""Tokens, counts and times of a real vLLM, against transformers' greedy answers to the same prompts in float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llem.errors import LlemError
from llem.specs.backend import Request

pytestmark = pytest.mark.vllm

LENGTH = 24


@pytest.fixture(scope="module")
def session(load: Callable[..., Any], model_folder: Path) -> Any:
    return load(str(model_folder), {"max_num_seqs": 5, "max_model_len": 256, "block_size": 32})


def requests(reference: dict[str, Any], **changes: Any) -> list[Request]:
    return [Request(id=i, prompt=p, output_tokens=LENGTH, **changes) for i, p in enumerate(reference["prompts"])]


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


def test_each_token_of_a_batch_has_the_time_of_its_own_step(session: Any, reference: dict[str, Any]) -> None:
    records = session.answer(requests(reference))
    for record in records.values():
        assert len(set(record.token_ns)) == LENGTH, "one token comes of each step"
        assert record.token_ns[-1] == record.end_ns
    # Five run at once: the others get their first token when one of those has ended.
    first = sorted(record.token_ns[0] for record in records.values())
    earliest_end = min(record.end_ns for record in records.values())
    assert first[5] > earliest_end > first[4]


def test_a_second_pass_finds_nothing_of_the_first_in_the_prefix_cache(session: Any, reference: dict[str, Any]) -> None:
    session.answer(requests(reference))
    session.engine.metrics(reset=True)
    session.answer(requests(reference))
    once = session.engine.metrics(reset=True)
    assert once["prefix_cache_queried_tokens"] > 0
    assert once["prefix_cache_hit_share"] < 0.5
    more = [Request(id=100 + r.id, prompt=r.prompt, output_tokens=LENGTH) for r in requests(reference)]
    session.answer(more)
    again = session.engine.metrics()
    assert again["prefix_cache_hit_tokens"] > once["prefix_cache_hit_tokens"], "other prompts may share a beginning"


def test_it_counts_what_vllm_did(session: Any, reference: dict[str, Any]) -> None:
    session.engine.metrics(reset=True)
    session.answer(requests(reference))
    found = session.engine.metrics()
    assert found["steps"] >= 3 * LENGTH, "twelve requests, five at a time"
    assert found["running_peak"] == 5
    assert found["waiting_peak"] >= 5
    assert 0 < found["kv_cache_use_peak"] < 1
    assert found["preemptions"] == 0
    assert found["queue_max_s"] > found["queue_mean_s"] > 0
    session.engine.metrics(reset=True)
    assert session.engine.metrics() == {}


def test_what_it_loaded_is_named(session: Any) -> None:
    report = session.report
    assert report.devices == ["cpu"]
    assert report.dtype == "float32"
    assert report.vocab_size == 400
    assert report.parameters == report.active_parameters
    assert report.effective["max_num_seqs"] == 5
    assert report.effective["max_model_len"] == 256
    assert report.effective["enforce_eager"] is True
    assert {"vllm", "torch", "transformers"} <= set(report.versions)


def test_a_prompt_that_does_not_fit_is_refused_with_its_size(session: Any, reference: dict[str, Any]) -> None:
    for prompt, answer in ((300, 4), (200, 57)):
        with pytest.raises(
            LlemError, match=rf"prompt 7 of {prompt} tokens and its answer of {answer} .* context of 256"
        ):
            session.answer([Request(id=7, prompt_token_ids=[5] * prompt, output_tokens=answer)])
    fits = session.answer([Request(id=7, prompt_token_ids=[5] * 200, output_tokens=56)])
    assert fits[7].output_tokens == 56


def test_answers_to_chat_and_cut_prompts_count_what_was_sent(session: Any) -> None:
    chat = session.answer([Request(id=0, prompt="hello", output_tokens=2, chat_template=True)])[0]
    plain = session.answer([Request(id=1, prompt="hello", output_tokens=2)])[1]
    assert chat.input_tokens > plain.input_tokens
    cut = session.answer([Request(id=2, prompt="hello " * 50, output_tokens=2, max_input_tokens=9)])[2]
    assert cut.input_tokens == 9
