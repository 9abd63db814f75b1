"""From prompts to requests."""

from __future__ import annotations

from typing import Any

import pytest

from llem.config.experiment import DatasetConfig, DecodingConfig, ExperimentConfig, ModelConfig
from llem.config.section import Section
from llem.errors import DatasetError
from llem.measure.workload import build_requests
from llem.specs.backend import LoadReport
from llem.specs.dataset import Message, Prompt

REPORT = LoadReport(vocab_size=20, special_token_ids=frozenset({0, 1, 19}), devices=["cpu"])


def config(length: Any = "fixed", **dataset: Any) -> ExperimentConfig:
    return ExperimentConfig(
        model=ModelConfig(source="random:tiny-llama"),
        dataset=DatasetConfig(**dataset),
        decoding=DecodingConfig(length=length),
        backend="testbed",
        options=Section(),
    )


def test_text_goes_as_it_is_with_its_limits() -> None:
    (request,) = build_requests(
        [Prompt(text="Hello there")], config(input_tokens=7, output_tokens=9, chat_template=True), REPORT
    )
    assert (request.prompt, request.prompt_token_ids) == ("Hello there", None)
    assert (request.max_input_tokens, request.output_tokens, request.chat_template) == (7, 9, True)
    assert request.ignore_eos is True


def test_a_chat_goes_whole() -> None:
    chat = (
        Message("system", "be short"),
        Message("user", "first"),
        Message("assistant", "ok"),
        Message("user", "last"),
    )
    (request,) = build_requests([Prompt(messages=chat)], config(), REPORT)
    assert request.messages == chat
    assert (request.prompt, request.prompt_token_ids) == (None, None)


def test_turns_of_a_conversation_keep_its_number() -> None:
    chat = (Message("user", "first"),)
    prompts = [Prompt(messages=chat, session=4), Prompt(messages=chat)]
    assert [request.session for request in build_requests(prompts, config(), REPORT)] == [4, None]


def test_natural_length_lets_the_sequence_end() -> None:
    (request,) = build_requests([Prompt(text="Hello")], config("natural"), REPORT)
    assert request.ignore_eos is False


def test_a_recipe_becomes_exactly_so_many_ordinary_tokens_by_its_own_seed() -> None:
    prompts = [Prompt(input_tokens=200, seed=1), Prompt(input_tokens=200, seed=2), Prompt(input_tokens=3, seed=1)]
    first, second, short = build_requests(prompts, config(), REPORT)
    assert first.prompt is None
    ids = [list(request.prompt_token_ids or ()) for request in (first, second, short)]
    assert [len(i) for i in ids] == [200, 200, 3]
    assert set(ids[0]) == set(range(2, 19))
    assert ids[0] != ids[1]
    again = build_requests(prompts, config(), REPORT)
    assert [list(request.prompt_token_ids or ()) for request in again] == ids


def test_ids_number_the_prompts() -> None:
    assert [r.id for r in build_requests([Prompt(text="a"), Prompt(text="b")], config(), REPORT)] == [0, 1]


def test_a_vocabulary_of_special_tokens_alone_is_an_error() -> None:
    report = LoadReport(vocab_size=2, special_token_ids=frozenset({0, 1}), devices=["cpu"])
    with pytest.raises(DatasetError, match="no ordinary token"):
        build_requests([Prompt(input_tokens=3)], config(), report)


def test_a_prompt_that_is_nothing_is_an_error() -> None:
    with pytest.raises(DatasetError, match="prompt 1"):
        build_requests([Prompt(text="a"), Prompt()], config(), REPORT)


def test_without_a_known_vocabulary_no_synthetic_prompt_is_drawn() -> None:
    with pytest.raises(DatasetError, match="cannot tell the model's vocabulary"):
        build_requests([Prompt(input_tokens=3)], config(), LoadReport(vocab_size=None, devices=["cpu"]))
