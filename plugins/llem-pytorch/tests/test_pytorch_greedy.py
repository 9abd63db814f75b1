"""Batches change nothing: greedy answers of every batching are those of a plain `generate` of each prompt alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import transformers
from pytorch_lab import Session, plain_answer
from pytorch_prompts import PROMPTS

from llem.specs.backend import Request

pytestmark = pytest.mark.engine

LENGTH = 24

BATCHINGS = {
    "one at a time": {"batch_size": 1},
    "4": {"batch_size": 4},
    "16": {"batch_size": 16},
    "more than there are": {"batch_size": 64},
    "4, sorted": {"batch_size": 4, "batching": "sorted"},
    "16, sorted": {"batch_size": 16, "batching": "sorted"},
    "tokens, few": {"batching": "dynamic", "max_batch_tokens": 150},
    "tokens, all": {"batching": "dynamic", "max_batch_tokens": 100_000},
}


class Reference(NamedTuple):
    """transformers alone: the prompts' token ids, the answers of fixed and of natural length, and the stop token."""

    prompts: list[list[int]]
    fixed: list[list[int]]
    natural: list[list[int]]
    stop: int


@pytest.fixture(scope="module")
def reference(model_folder: Path) -> Reference:
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(model_folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder)
    prompts = [tokenizer(prompt)["input_ids"] for prompt in PROMPTS]
    stop = model.config.eos_token_id
    return Reference(
        prompts,
        [plain_answer(model, ids, LENGTH) for ids in prompts],
        [plain_answer(model, ids, LENGTH, [stop]) for ids in prompts],
        stop,
    )


def ask(prompts: Sequence[str] = PROMPTS, **keywords: Any) -> list[Request]:
    return [Request(id=i, prompt=prompt, **{"output_tokens": LENGTH, **keywords}) for i, prompt in enumerate(prompts)]


def test_the_reference_has_prompts_and_answers_of_many_lengths(reference: Reference) -> None:
    assert len({len(ids) for ids in reference.prompts}) >= 10
    ended = [answer for answer in reference.natural if answer[-1] == reference.stop]
    assert 4 <= len(ended) <= 12
    assert len({len(answer) for answer in reference.natural}) >= 4


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("batching", BATCHINGS.values(), ids=BATCHINGS)
def test_answers_of_fixed_length_are_those_of_each_prompt_alone(
    load: Callable[..., Session], model_folder: Path, reference: Reference, batching: dict[str, Any], attention: str
) -> None:
    session = load(str(model_folder), {**batching, "attn_implementation": attention})
    records = session.answer(ask())
    assert [list(records[i].output_token_ids or ()) for i in range(16)] == reference.fixed
    assert [records[i].output_tokens for i in range(16)] == [LENGTH] * 16
    assert {record.finish for record in records.values()} == {"length"}


@pytest.mark.parametrize("batching", BATCHINGS.values(), ids=BATCHINGS)
def test_answers_of_natural_length_end_with_the_stop_token_and_count_nothing_after_it(
    load: Callable[..., Session], model_folder: Path, reference: Reference, batching: dict[str, Any]
) -> None:
    records = load(str(model_folder), batching).answer(ask(ignore_eos=False))
    assert [list(records[i].output_token_ids or ()) for i in range(16)] == reference.natural
    assert [records[i].output_tokens for i in range(16)] == [len(answer) for answer in reference.natural]
    for i, answer in enumerate(reference.natural):
        assert records[i].finish == ("stop" if answer[-1] == reference.stop else "length")


@pytest.mark.parametrize("batching", BATCHINGS.values(), ids=BATCHINGS)
def test_input_tokens_are_the_tokenizers_count(
    load: Callable[..., Session], model_folder: Path, reference: Reference, batching: dict[str, Any]
) -> None:
    records = load(str(model_folder), batching).answer(ask(output_tokens=2))
    assert [records[i].input_tokens for i in range(16)] == [len(ids) for ids in reference.prompts]


@pytest.mark.parametrize("size", [1, 4, 16])
@pytest.mark.parametrize("natural", [False, True])
def test_requests_of_different_lengths_in_a_batch_each_get_their_own(
    load: Callable[..., Session], model_folder: Path, reference: Reference, size: int, natural: bool
) -> None:
    wanted = [1 + (5 * i) % LENGTH for i in range(16)]
    requests = [Request(id=i, prompt=PROMPTS[i], output_tokens=wanted[i], ignore_eos=not natural) for i in range(16)]
    records = load(str(model_folder), {"batch_size": size}).answer(requests)
    answers = reference.natural if natural else reference.fixed
    for i in range(16):
        assert list(records[i].output_token_ids or ()) == answers[i][: wanted[i]]


def test_a_batch_of_fixed_and_natural_lengths_serves_both(
    load: Callable[..., Session], model_folder: Path, reference: Reference
) -> None:
    requests = [Request(id=i, prompt=PROMPTS[i], output_tokens=LENGTH, ignore_eos=i % 2 == 0) for i in range(16)]
    records = load(str(model_folder), {"batch_size": 16}).answer(requests)
    for i in range(16):
        expected = reference.fixed[i] if i % 2 == 0 else reference.natural[i]
        assert list(records[i].output_token_ids or ()) == expected


def test_prompts_as_token_ids_are_taken_as_they_are(
    load: Callable[..., Session], model_folder: Path, reference: Reference
) -> None:
    requests = [Request(id=i, prompt_token_ids=ids, output_tokens=LENGTH) for i, ids in enumerate(reference.prompts)]
    records = load(str(model_folder), {"batch_size": 16}).answer(requests)
    assert [list(records[i].output_token_ids or ()) for i in range(16)] == reference.fixed
    assert [records[i].input_tokens for i in range(16)] == [len(ids) for ids in reference.prompts]


@pytest.mark.parametrize("shape", ["tiny-llama", "tiny-qwen2", "tiny-mixtral"])
def test_batches_of_random_models_answer_like_single_requests(load: Callable[..., Session], shape: str) -> None:
    requests = ask(output_tokens=8)
    alone = load(f"random:{shape}").answer(requests)
    together = load(f"random:{shape}", {"batch_size": 16}).answer(requests)
    for i in range(16):
        assert together[i].output_token_ids == alone[i].output_token_ids
        assert together[i].input_tokens == len(PROMPTS[i].encode())


def test_a_cut_prompt_is_its_first_tokens(
    load: Callable[..., Session], model_folder: Path, reference: Reference
) -> None:
    session = load(str(model_folder), {"batch_size": 4})
    cut = session.answer(ask(max_input_tokens=9))
    given = [Request(id=i, prompt_token_ids=ids[:9], output_tokens=LENGTH) for i, ids in enumerate(reference.prompts)]
    expected = session.answer(given)
    for i in range(16):
        assert cut[i].input_tokens == 9
        assert cut[i].output_token_ids == expected[i].output_token_ids


def test_a_chat_template_wraps_the_prompt_and_is_counted(load: Callable[..., Session], model_folder: Path) -> None:
    session = load(str(model_folder), {"batch_size": 4})
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder)
    records = session.answer(ask(chat_template=True, output_tokens=4))
    for i, prompt in enumerate(PROMPTS):
        ids = tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True)
        assert records[i].input_tokens == len(ids["input_ids"])


def test_a_cut_chat_keeps_its_template_whole(load: Callable[..., Session], model_folder: Path) -> None:
    session = load(str(model_folder))
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder)
    around = len(
        tokenizer.apply_chat_template([{"role": "user", "content": ""}], add_generation_prompt=True)["input_ids"]
    )
    record = session.answer(ask(chat_template=True, output_tokens=1, max_input_tokens=5))[3]
    assert around < record.input_tokens <= around + 6
