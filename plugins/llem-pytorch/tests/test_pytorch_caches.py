"""Ways of keeping keys and values, of prefilling and of drafting change cost, never the greedy answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from pytorch_lab import Session, tiny_model
from pytorch_prompts import PROMPTS

from llem.errors import LlemError, ModelError
from llem.specs.backend import Request

pytestmark = pytest.mark.engine

WAYS: dict[str, dict[str, Any]] = {
    "without a cache": {"use_cache": False},
    "static": {"cache_implementation": "static"},
    "dynamic": {"cache_implementation": "dynamic"},
    "prefill in chunks": {"prefill_chunk_size": 7},
    "prefill in chunks, static": {"prefill_chunk_size": 7, "cache_implementation": "static"},
    "compiled": {"compile": {"enabled": True, "backend": "eager"}},
}


def answers(session: Session, **keywords: Any) -> list[tuple[int, ...]]:
    requests = [Request(id=i, prompt=p, output_tokens=10, **keywords) for i, p in enumerate(PROMPTS[:6])]
    records = session.answer(requests)
    return [tuple(records[i].output_token_ids or ()) for i in range(6)]


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_answer_is_the_same(
    load: Callable[..., Session], model_folder: Path, way: dict[str, Any], size: int
) -> None:
    if "compile" in way:
        torch.compiler.reset()
    expected = answers(load(str(model_folder)))
    assert answers(load(str(model_folder), {**way, "batch_size": size})) == expected


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_quantized_cache_of_fp8_answers_in_full(
    load: Callable[..., Session], model_folder: Path, batch_size: int
) -> None:
    options = {"cache_implementation": "quantized", "cache_quantization": {"backend": "fp8"}, "batch_size": batch_size}
    session = load(str(model_folder), options)
    assert [len(answer) for answer in answers(session)] == [10] * 6
    assert session.report.effective["cache_implementation"] == "quantized"


def test_a_static_cache_keeps_one_size_for_all_batches(
    load: Callable[..., Session], model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    real = transformers.StaticCache.__init__

    def note(self: Any, *args: Any, **keywords: Any) -> None:
        sizes.append(keywords.get("max_cache_len", args[1] if len(args) > 1 else None))
        real(self, *args, **keywords)

    monkeypatch.setattr(transformers.StaticCache, "__init__", note)
    session = load(str(model_folder), {"cache_implementation": "static", "batch_size": 2})
    answers(session)
    assert sizes
    assert len(set(sizes)) == 1


@pytest.mark.parametrize("drafted", [1, 3, 8])
def test_prompt_lookup_gives_the_plain_answer_with_a_time_for_each_token(
    load: Callable[..., Session], model_folder: Path, drafted: int
) -> None:
    expected = answers(load(str(model_folder)))
    session = load(str(model_folder), {"prompt_lookup_num_tokens": drafted, "max_matching_ngram_size": 1})
    assert answers(session) == expected
    record = session.answer([Request(id=0, prompt=PROMPTS[0], output_tokens=10)])[0]
    assert len(record.token_ns or ()) == 10


@pytest.mark.parametrize("natural", [False, True])
def test_assisted_decoding_gives_the_plain_answer(
    load: Callable[..., Session], model_folder: Path, tmp_path: Path, natural: bool
) -> None:
    expected = answers(load(str(model_folder)), ignore_eos=not natural)
    tiny_model(seed=8).save_pretrained(tmp_path / "draft")
    options = {"assistant_model": "draft", "num_assistant_tokens": 4, "assistant_confidence_threshold": 0.0}
    session = load(str(model_folder), options, base_dir=str(tmp_path))
    assert answers(session, ignore_eos=not natural) == expected


def test_an_assistant_that_drafts_right_saves_steps(
    load: Callable[..., Session], model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"assistant_model": str(model_folder), "num_assistant_tokens": 5, "assistant_confidence_threshold": 0.0}
    session = load(str(model_folder), options)
    record = session.answer([Request(id=0, prompt=PROMPTS[0], output_tokens=12)])[0]
    assert len(record.token_ns or ()) == 12
    assert len(set(record.token_ns or ())) <= 4, "tokens of one step share its time"


def test_an_assistant_of_another_vocabulary_is_refused(load: Callable[..., Session], model_folder: Path) -> None:
    with pytest.raises(ModelError, match="vocabulary") as caught:
        load(str(model_folder), {"assistant_model": "random:smollm2-135m"})
    assert "assistant_model" in str(caught.value)


def test_an_answer_beyond_the_rotary_context_is_warned_of_and_given(load: Callable[..., Session]) -> None:
    session = load("random:tiny-llama", {"batch_size": 2})
    assert session.engine.caveats() == []
    long = Request(id=0, prompt_token_ids=[5] * 2047, output_tokens=4)
    record = session.answer([long, Request(id=1, prompt_token_ids=[5, 6], output_tokens=4)])[0]
    assert record.output_tokens == 4
    (caveat,) = session.engine.caveats()
    assert caveat.code == "context_exceeded"
    assert "1 of 2 prompts" in caveat.message
    assert "2,048 positions" in caveat.message
    assert "2,051 tokens" in caveat.message
    assert session.engine.caveats() == [], "told once"


def test_a_prompt_without_tokens_is_refused_by_its_number(load: Callable[..., Session]) -> None:
    session = load("random:tiny-llama")
    with pytest.raises(LlemError, match="prompt 7 has no tokens"):
        session.answer([Request(id=7, prompt="", output_tokens=2)])
