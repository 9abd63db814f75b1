"""Every argument that goes to TensorRT-LLM is one that its references name, and says what the study asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llem.errors import ConfigError
from llem.specs.backend import Request
from llem_trtllm.arguments import (
    NO_END,
    TORCH_ONLY,
    build_inputs,
    check_options,
    engine_arguments,
    needs_text,
    request_arguments,
    sampling_arguments,
)
from llem_trtllm.config import TrtllmConfig, batch_size, gpus, resolve
from llem_trtllm.schema.references import parameters

REFERENCES = Path(__file__).parent / "references"
Configured = Callable[..., Any]


def of_request(config: Any, ends: tuple[int, ...] = (2, 7), **changes: Any) -> dict[str, Any]:
    request = Request(id=3, prompt="x", output_tokens=5, **changes)
    shared = sampling_arguments(config.options, config.decoding)
    has_text = needs_text(config.options)
    found = request_arguments(shared, config.decoding, request, ends, has_text=has_text)
    assert found.keys() <= parameters(REFERENCES / "sampling_params.yaml").keys()
    return found


def test_options_at_their_default_are_left_to_tensorrt_llm(configured: Configured) -> None:
    assert engine_arguments(configured().options) == {}


def test_options_go_by_their_own_names_and_llems_own_do_not(configured: Configured) -> None:
    asked = {"max_batch_size": 8, "kv_cache_config": {"enable_block_reuse": False}, "keep_cache": False}
    found = engine_arguments(configured({**asked, "sampling": {"bad_token_ids": [4]}}).options)
    assert found == {"max_batch_size": 8, "kv_cache_config": {"enable_block_reuse": False}}


def test_an_engine_that_is_built_gets_what_only_it_has(configured: Configured) -> None:
    options = configured({"engine": "tensorrt", "max_batch_size": 4, "tensorrt": {"fast_build": True}}).options
    found = engine_arguments(options)
    assert found == {"max_batch_size": 4, "fast_build": True}
    known = parameters(REFERENCES / "llm.yaml").keys() | parameters(REFERENCES / "tensorrt_llm_args.yaml").keys()
    assert found.keys() <= known


def test_what_only_says_how_an_engine_is_run_makes_it_no_other_one(configured: Configured) -> None:
    one = {"engine": "tensorrt", "max_batch_size": 4}
    more = {"kv_cache_config": {"free_gpu_memory_fraction": 0.5}, "tensorrt": {"normalize_log_probs": True}}
    assert build_inputs(configured({**one, **more}).options) == build_inputs(configured(one).options)
    assert build_inputs(configured({**one, "max_batch_size": 5}).options) != build_inputs(configured(one).options)


def test_greedy_is_one_token_to_choose_from(configured: Configured) -> None:
    found = of_request(configured())
    assert found["top_k"] == 1
    assert not {"temperature", "seed"} & found.keys()
    assert (found["max_tokens"], found["ignore_eos"], found["end_id"]) == (5, True, NO_END)
    assert "stop_token_ids" not in found


def test_sampled_answers_have_a_seed_each_and_choose_among_all_tokens(configured: Configured) -> None:
    config = configured(decoding={"temperature": 0.7, "seed": 40})
    assert of_request(config) | {"temperature": 0.7, "top_p": 1.0, "seed": 43} == of_request(config)
    narrow = configured(decoding={"temperature": 0.7, "top_p": 0.5, "top_k": 9})
    assert (of_request(narrow)["top_p"], of_request(narrow)["top_k"]) == (0.5, 9)


def test_answers_end_with_each_of_the_models_end_tokens_and_the_studys_own(configured: Configured) -> None:
    config = configured({"sampling": {"stop_token_ids": [11]}}, decoding={"length": "natural"})
    found = of_request(config, ignore_eos=False)
    assert (found["end_id"], found["stop_token_ids"]) == (2, [7, 11])
    assert of_request(configured(), (), ignore_eos=False)["end_id"] == NO_END
    assert found["include_stop_str_in_output"], "what was counted is not taken back"


def test_words_are_left_to_the_tokenizer_of_tensorrt_llm(configured: Configured) -> None:
    config = configured({"sampling": {"stop": "end"}}, decoding={"length": "natural"})
    found = of_request(config, ignore_eos=False)
    assert found["detokenize"]
    assert "end_id" not in found, "with one it would not look up the words"


@pytest.mark.parametrize(
    ("trtllm", "sections", "said"),
    [
        ({"tensorrt": {"fast_build": True}}, {}, "none is built"),
        ({"engine": "tensorrt", "attn_backend": "FLASHINFER"}, {}, "attn_backend` is an option of PyTorch's executor"),
        ({"engine": "tensorrt", "kv_cache_config": {"dtype": "fp8"}}, {}, "has it from its building"),
        ({"keep_cache": True, "kv_cache_config": {"enable_block_reuse": False}}, {}, "lets none of it be found"),
        ({"sampling": {"bad": ["no"]}}, {}, "has no tokenizer"),
        ({"sampling": {"stop_token_ids": [3]}}, {"decoding": {"length": "fixed"}}, "ends answers early"),
    ],
)
def test_options_that_contradict_one_another_are_named(
    configured: Configured, trtllm: dict[str, Any], sections: dict[str, Any], said: str
) -> None:
    config = configured(trtllm, **sections)
    try:
        found = [error.what for error in check_options(config)]
    except ConfigError as error:
        found = [error.what]
    assert any(said in what for what in found), found


def test_options_that_fit_need_no_word(configured: Configured) -> None:
    for trtllm in ({}, {"engine": "tensorrt"}, {"keep_cache": True}, {"cuda_graph_config": {"enable_padding": True}}):
        assert list(check_options(configured(trtllm))) == []


def test_what_is_settled_elsewhere_is_refused_with_where(configured: Configured) -> None:
    for name, instead in (("model", "model.source"), ("backend", "trtllm.engine")):
        with pytest.raises(ConfigError) as caught:
            configured({name: "x"})
        assert instead in str(caught.value)
    with pytest.raises(ConfigError):
        configured({"max_bach_size": 4})


def test_the_section_says_how_many_run_at_once_and_on_how_many_devices() -> None:
    section = TrtllmConfig.model_validate(
        {"max_batch_size": 16, "tensor_parallel_size": 2, "pipeline_parallel_size": 3}
    )
    assert (batch_size(section), gpus(section), gpus(TrtllmConfig())) == (16, 6, 1)
    empty = TrtllmConfig.model_validate({"kv_cache_config": {}, "tensorrt": {}})
    assert resolve(empty) == TrtllmConfig()
    with pytest.raises(TypeError):
        resolve(type("Other", (TrtllmConfig.__base__,), {})())


def test_pytorchs_own_options_are_none_of_the_tensorrt_group() -> None:
    assert not TORCH_ONLY & parameters(REFERENCES / "tensorrt_llm_args.yaml").keys()
