"""Every decoding field changes how tokens are chosen, and a seed makes the choice repeatable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from field_values import valid_values
from pytorch_lab import Session
from pytorch_prompts import PROMPTS

from llem.config.experiment import DecodingConfig
from llem.config.introspect import facts_of
from llem.specs.backend import Request
from llem_pytorch.arguments import sampling_arguments

pytestmark = pytest.mark.engine

PROMPT = PROMPTS[2]


def test_temperature_zero_and_no_temperature_are_greedy(load: Callable[..., Session], model_folder: Path) -> None:
    assert load(str(model_folder)).ids(PROMPT) == load(str(model_folder), decoding={"temperature": 0.0}).ids(PROMPT)


def test_one_seed_gives_one_answer_and_another_seed_another(load: Callable[..., Session], model_folder: Path) -> None:
    def answer(seed: int) -> tuple[int, ...]:
        return load(str(model_folder), decoding={"temperature": 1.0, "seed": seed}).ids(PROMPT, 16)

    assert answer(1) == answer(1)
    assert answer(1) != answer(2)


def test_a_sampled_answer_does_not_depend_on_what_ran_before(load: Callable[..., Session], model_folder: Path) -> None:
    session = load(str(model_folder), decoding={"temperature": 1.0})
    first = session.ids(PROMPT, 12)
    session.ids(PROMPTS[5], 3)
    assert session.ids(PROMPT, 12) == first


def test_different_requests_sample_differently(load: Callable[..., Session], model_folder: Path) -> None:
    session = load(str(model_folder), decoding={"temperature": 2.0})
    requests = [Request(id=i, prompt=PROMPT, output_tokens=12) for i in range(3)]
    assert len({record.output_token_ids for record in session.answer(requests).values()}) == 3


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}], ids=["top_k", "top_p", "min_p"])
def test_a_choice_narrowed_to_one_token_is_greedy(
    load: Callable[..., Session], model_folder: Path, narrow: dict[str, Any]
) -> None:
    greedy = load(str(model_folder)).ids(PROMPT, 12)
    assert load(str(model_folder), decoding={"temperature": 1.5, **narrow}).ids(PROMPT, 12) == greedy
    assert load(str(model_folder), decoding={"temperature": 1.5}).ids(PROMPT, 12) != greedy


def test_a_repetition_penalty_lessens_repetition(load: Callable[..., Session], model_folder: Path) -> None:
    repeating = PROMPTS[3]
    plain = load(str(model_folder)).ids(repeating, 24)
    penalised = load(str(model_folder), decoding={"repetition_penalty": 5.0}).ids(repeating, 24)
    assert len(set(penalised)) > len(set(plain))


def test_sampling_is_over_the_whole_vocabulary_where_nothing_narrows_it() -> None:
    arguments = sampling_arguments(DecodingConfig(temperature=1.0))
    assert (arguments["top_k"], arguments["top_p"], arguments["min_p"]) == (0, 1.0, None)


def test_the_checkpoints_own_suggestions_do_not_leak_in(
    load: Callable[..., Session], model_folder: Path, tmp_path: Path
) -> None:
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(model_folder)
    model.generation_config = transformers.GenerationConfig(
        do_sample=True, temperature=3.0, top_k=7, repetition_penalty=4.0, min_new_tokens=3, no_repeat_ngram_size=1,
        eos_token_id=model.config.eos_token_id,
    )  # fmt: skip
    model.save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(model_folder).save_pretrained(tmp_path)
    assert load(str(tmp_path)).ids(PROMPTS[3], 24) == load(str(model_folder)).ids(PROMPTS[3], 24)


def test_every_field_of_the_section_reaches_generation_or_the_requests() -> None:
    elsewhere = {
        "preset": "expanded before the engine sees it",
        "length": "Request.ignore_eos",
        "seed": "Batch.seed",
    }
    base = {"temperature": 0.7}
    for key, facts in facts_of(DecodingConfig).items():
        if key in elsewhere:
            continue
        seen = set()
        for value in valid_values(facts):
            section = DecodingConfig.model_validate({**base, key: value})
            arguments = sampling_arguments(section)
            config = transformers.GenerationConfig(**arguments)
            if value is not None and section.temperature:
                assert getattr(config, key) == value, f"{key}: {value} does not reach GenerationConfig"
            seen.add(repr(arguments))
        assert len(seen) > 1, f"{key} is ignored"


@pytest.mark.parametrize("length", [1, 2, 17])
def test_fixed_length_is_exact_even_where_every_token_is_a_stop_token(
    load: Callable[..., Session], model_folder: Path, length: int
) -> None:
    session = load(str(model_folder))
    records = session.answer([Request(id=i, prompt=p, output_tokens=length) for i, p in enumerate(PROMPTS)])
    assert {record.output_tokens for record in records.values()} == {length}


def test_the_state_of_torchs_generator_is_set_only_where_tokens_are_sampled(
    load: Callable[..., Session], model_folder: Path
) -> None:
    session = load(str(model_folder))
    torch.manual_seed(123)
    before = torch.get_rng_state()
    session.ids(PROMPT)
    assert torch.equal(before, torch.get_rng_state())
