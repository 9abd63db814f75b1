"""Caveats of the result for what vLLM did otherwise than it was told. Nothing here needs vLLM."""

from __future__ import annotations

import pytest

from llem.errors import LlemError
from llem.plugins import default_registry
from llem.specs.backend import Request
from llem.specs.kinds import BACKENDS
from llem_analysis.warning_codes import WARNINGS
from llem_engines.answers import UnderWay
from llem_engines.passes import Passes
from llem_vllm.caveats import CAVEATS
from llem_vllm.config import VllmConfig
from llem_vllm.engine import VllmEngine
from llem_vllm.names import VLLM

EFFECTIVE = {"max_num_seqs": 64, "enable_prefix_caching": False, "enforce_eager": True, "cache_dtype": "auto"}


def test_options_that_vllm_took_need_no_word() -> None:
    asked = VllmConfig.model_validate({"max_num_seqs": 64, "enforce_eager": True, "dtype": "bfloat16"})
    assert CAVEATS.settings(asked, EFFECTIVE, "bfloat16") == []
    assert CAVEATS.settings(VllmConfig(), EFFECTIVE, "bfloat16") == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"enable_prefix_caching": True}, "vllm.enable_prefix_caching is True, and vLLM runs with False"),
        ({"max_num_seqs": 128}, "vllm.max_num_seqs is 128, and vLLM runs with 64"),
        ({"dtype": "float16"}, "vllm.dtype is float16, and vLLM runs with bfloat16"),
        ({"kv_cache_dtype": "fp8"}, "vllm.kv_cache_dtype is fp8, and vLLM runs with auto"),
    ],
)
def test_an_option_that_vllm_decided_otherwise_is_named_with_both(options: dict[str, object], said: str) -> None:
    (caveat,) = CAVEATS.settings(VllmConfig.model_validate(options), EFFECTIVE, "bfloat16")
    assert caveat.code == "setting_ignored"
    assert said in caveat.message


def test_tokens_from_the_prefix_cache_and_requests_taken_back_are_told_with_their_numbers() -> None:
    cached, taken_back = CAVEATS.counts(
        {"prefix_cache_hit_tokens": 320.0, "prefix_cache_queried_tokens": 1600.0, "preemptions": 3.0}
    )
    assert cached.code == "prompt_cached"
    assert "320 of 1,600 prompt tokens (20.0%)" in cached.message
    assert taken_back.code == "preempted"
    assert "3 times" in taken_back.message
    assert (
        CAVEATS.counts({"prefix_cache_hit_tokens": 0.0, "prefix_cache_queried_tokens": 9.0, "preemptions": 0.0}) == []
    )
    assert CAVEATS.counts({}) == []


class FullCache:
    """A driver whose prefix cache is never empty, and which has counted nothing."""

    counter: FullCache

    def __init__(self) -> None:
        self.counter = self

    def figures(self) -> dict[str, float]:
        return {}

    def forget(self) -> bool:
        return False


class NothingCut:
    """A tokenizer that cut nothing."""

    def caveats(self) -> list[object]:
        return []


def test_a_prefix_cache_that_could_not_be_emptied_is_told_once_with_how_often() -> None:
    engine = VllmEngine()
    engine._driver, engine._tokenizer = FullCache(), NothingCut()  # type: ignore[assignment]
    engine._passes = Passes(True, engine._forget)
    requests = [Request(id=i, output_tokens=1, prompt="x") for i in range(3)]
    engine._passes.before(requests)
    assert engine.caveats() == []
    for _ in range(2):
        engine._passes.before(requests)
    (caveat,) = engine.caveats()
    assert caveat == CAVEATS.cache(2)[0]
    assert caveat.code == "prefix_cache_kept"
    assert engine.caveats() == []


@pytest.mark.parametrize("finish", ["abort", "error", ""])
def test_an_answer_that_was_broken_off_is_no_answer(finish: str) -> None:
    one = UnderWay(VLLM, Request(id=5, output_tokens=8, prompt="x"), input_tokens=3)
    one.take([1, 2], 10, "length")
    assert one.record(0).finish == "length"
    one.finish = finish
    with pytest.raises(LlemError, match=r"ended prompt 5 with .* after 2 tokens"):
        one.record(0)


def test_every_code_has_a_row_in_the_table_of_warnings() -> None:
    assert {"setting_ignored", "prefix_cache_kept", "prompt_cached", "preempted", "prompts_cut"} <= set(WARNINGS)


def test_the_size_asked_for_is_the_most_sequences_and_two_of_them_are_two_experiments() -> None:
    spec = default_registry().find(BACKENDS, "vllm")
    assert spec.batch_size is not None
    assert spec.batch_size(VllmConfig.model_validate({"max_num_seqs": 64})) == 64
    assert spec.batch_size(VllmConfig()) is None
    assert spec.fit is None
