"""Options of the section in the words of `vllm serve`, each against vLLM's own parser, and fields of requests against its protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from llem.errors import ConfigError
from llem_vllm.config import SCHEMA_VERSION, VllmConfig
from llem_vllm.flags import WITHOUT_FIELD, WITHOUT_FLAG, WITHOUT_WORD, check_flags, request_fields, serve_flags
from llem_vllm.schema import load


def keys(group: str) -> dict[str, Mapping[str, Any]]:
    """Options of one group that a study may give, by name."""
    return {field["name"]: field for field in load(SCHEMA_VERSION)[group] if "value" in field and "set_by" not in field}


def values(field: Mapping[str, Any]) -> Iterator[Any]:
    """Values that a study may give to an option, each kind that it takes once, and every word of its list."""
    if field["name"] in SAMPLES:
        yield from SAMPLES[field["name"]]
        return
    if "fields" in field:
        inner = next((one for one in field["fields"] if "value" in one and "fields" not in one), None)
        if inner is not None:
            yield {inner["name"]: next(values(inner))}
        return
    yield from (value for value in _of(field["value"]) if value is not None and value != field["default"])


def _of(schema: Mapping[str, Any]) -> Iterator[Any]:
    for branch in schema.get("anyOf", [schema]):
        if "enum" in branch:
            yield from branch["enum"]
        elif branch.get("type") == "boolean":
            yield from (True, False)
        elif branch.get("type") in ("integer", "number"):
            yield max(branch.get("minimum", 0), branch.get("exclusiveMinimum", 0)) + (
                3 if branch["type"] == "integer" else 0.25
            )
        elif branch.get("type") == "string":
            yield "word"
        elif branch.get("type") == "array":
            yield list(_of(branch.get("items", {"type": "string"})))[:2]
        elif branch.get("type") == "object":
            yield {"a": next(_of(branch["additionalProperties"]))} if branch.get("additionalProperties") else {"a": 1}


SAMPLES: Mapping[str, tuple[Any, ...]] = {
    "max_model_len": (-1, 1_000),
    "tokenizer_mode": ("slow", "hf"),
    "prefix_cache_retention_interval": (None, 7),
    "device_ids": ([0, 1], ["GPU-1"]),
    "ignore_patterns": (["a/*"], ["a b", "c"]),
    "hf_overrides": ({"rope_theta": 10_000.0, "inner": {"a": None}},),
    "speculative_config": ({"method": "ngram", "num_speculative_tokens": 3},),
    "mm_encoder_attn_backend": ("TORCH_SDPA",),
    "mm_encoder_attn_dtype": ("fp8",),
    "mm_processor_device": ("cpu",),
    "lora_dtype": ("bfloat16",),
    "offload_backend": ("uva", "prefetch"),
    "quantization_config": ({"ignore": ["lm_head"]},),
    "video_pruning_method": ("vidcom2",),
    "profiler_config": ({"profiler": "torch", "torch_profiler_dir": "/a"},),
    "kv_transfer_config": ({"kv_connector": "word", "kv_role": "kv_both", "engine_id": "x"},),
    "ec_transfer_config": ({"ec_connector": "word", "ec_role": "ec_both", "engine_id": "x"},),
    "limit_mm_per_prompt": ({"image": 2},),
    "show_hidden_metrics_for_version": ("0.31.0",),
}
"""Values for options that do not take every word or number."""


def test_each_kind_of_value_has_its_form() -> None:
    given = {
        "model": "a folder/model",
        "max_num_seqs": 8,
        "enforce_eager": True,
        "enable_prefix_caching": False,
        "disable_log_stats": False,
        "revision": None,
        "compilation_config": {"cudagraph_mode": "FULL"},
        "cudagraph_capture_sizes": [1, 2],
        "device_ids": [0, 1],
        "prefix_cache_retention_interval": None,
    }
    assert serve_flags(given) == [
        *("a folder/model", "--max-num-seqs=8", "--enforce-eager", "--no-enable-prefix-caching"),
        *('--compilation-config={"cudagraph_mode": "FULL"}', "--cudagraph-capture-sizes", "1", "2", "--device-ids=0,1"),
        "--prefix-cache-retention-interval=None",
    ]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"enable_mm_processor_stats": True}, "does not take `vllm.enable_mm_processor_stats`"),
        ({"mamba_config": {"backend": "CPU"}}, "does not take `vllm.mamba_config`"),
        ({"all2all_backend": "passthrough"}, "does not take passthrough for `vllm.all2all_backend`"),
        ({"ignore_patterns": []}, "`vllm.ignore_patterns` is an empty list"),
        ({"lora_dtype": None}, "`vllm.lora_dtype` is null"),
        ({"sampling": {"logprobs": 3}}, "no field for `vllm.sampling.logprobs`"),
    ],
)
def test_what_cannot_be_said_over_http_is_refused_by_name(given: dict[str, Any], words: str) -> None:
    (error,) = check_flags(VllmConfig.model_validate({"frontend": "http", **given}))
    assert words in error.what
    assert "vllm.frontend: engine" in (error.remedy or "")


def test_the_command_is_not_made_of_what_it_does_not_take() -> None:
    with pytest.raises(ConfigError, match="mamba_config"):
        serve_flags({"model": "m", "mamba_config": {"backend": "TRITON"}})


@pytest.fixture(scope="module")
def parser() -> Any:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    found = make_arg_parser(FlexibleArgumentParser())

    def refuse(message: str) -> None:
        raise ValueError(message)

    found.error = refuse  # type: ignore[method-assign, assignment]
    return found


@pytest.mark.vllm
def test_every_option_means_the_same_to_vllms_parser_as_to_its_engine(parser: Any) -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs

    from llem_vllm.start import _made

    wrong, seen = [], 0
    for name, field in keys("engine").items():
        if name in WITHOUT_FLAG:
            assert f"--{name.replace('_', '-')}" not in parser._option_string_actions, f"{name} has a flag now"
            continue
        for value in values(field):
            seen += 1
            if value == WITHOUT_WORD.get(name, ...):
                continue
            VllmConfig.model_validate({name: value})
            words = serve_flags({"model": "some/model", name: value})
            try:
                parsed = parser.parse_args(words)
                told = AsyncEngineArgs.from_cli_args(parsed)
                expected = AsyncEngineArgs(model="some/model", **{name: _made(name, value)})
            except Exception as error:  # noqa: BLE001 - all that fail are told together
                wrong.append(f"{words}: {error!r}"[:300])
                continue
            if _plain(getattr(told, name)) != _plain(getattr(expected, name)):
                wrong.append(f"{words}: {getattr(told, name)!r}, not {getattr(expected, name)!r}")
            if parsed.model_tag != "some/model":
                wrong.append(f"{words}: the model is {parsed.model_tag}")
    assert not wrong, "\n".join(wrong)
    assert seen > 300


def _plain(value: Any) -> Any:
    """A value as it is compared: sets and lists of paths are one, and a configuration counts by what it holds."""
    if isinstance(value, (set, list, tuple)):
        return sorted(map(str, value))
    return repr(value)


@pytest.mark.vllm
def test_the_flags_of_the_servers_own_are_its_own(parser: Any) -> None:
    words = ["m", "--served-model-name", "model", "--host=127.0.0.1", "--port=1", "--enable-prompt-tokens-details"]
    words += ["--middleware=llem_vllm.guard.Guard", "--disable-uvicorn-access-log", "--lora-modules", "adapter=/a"]
    found = parser.parse_args(words)
    assert (found.host, found.port, found.middleware) == ("127.0.0.1", 1, ["llem_vllm.guard.Guard"])
    assert found.enable_prompt_tokens_details
    assert found.disable_uvicorn_access_log
    assert [(one.name, one.path) for one in found.lora_modules] == [("adapter", "/a")]


SAMPLING = {
    "presence_penalty": 0.5,
    "frequency_penalty": 0.25,
    "watermarking": None,
    "stop": [". "],
    "stop_token_ids": [5],
    "min_tokens": 2,
    "prompt_logprobs": 1,
    "structured_outputs": {"choice": ["a", "b"]},
    "logit_bias": {"7": 1.5},
    "allowed_token_ids": [1, 2, 5],
    "extra_args": {"a": 1},
    "bad_words": ["x"],
    "thinking_token_budget": 9,
    "repetition_detection": {"max_pattern_size": 4, "min_pattern_size": 1, "min_count": 3},
    "routed_experts_prompt_start": 1,
}


@pytest.mark.vllm
def test_every_field_of_sampling_means_the_same_in_a_request() -> None:
    from vllm import SamplingParams
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest
    from vllm.sampling_params import RepetitionDetectionParams, StructuredOutputsParams

    assert set(keys("sampling")) == SAMPLING.keys() | WITHOUT_FIELD
    made = {"structured_outputs": StructuredOutputsParams, "repetition_detection": RepetitionDetectionParams}
    other_defaults = {"temperature": 0.7, "top_p": 0.5, "top_k": 9, "repetition_penalty": 1.2, "presence_penalty": 1.0}
    for name, value in {**SAMPLING, "temperature": 0.5, "top_k": 3, "top_p": 0.9}.items():
        sampling = {"temperature": 0.0, "detokenize": False, name: value}
        keyword = {int(k): v for k, v in value.items()} if name == "logit_bias" else value  # type: ignore[union-attr]
        keyword = made[name](**keyword) if name in made else keyword
        expected = SamplingParams(**{**sampling, "max_tokens": 8, "detokenize": True, name: keyword})
        fields = request_fields(sampling)
        assert fields.keys() <= CompletionRequest.model_fields.keys() & ChatCompletionRequest.model_fields.keys()
        request = CompletionRequest(model="m", prompt=[1], max_tokens=8, **fields)
        found = request.to_sampling_params(8, other_defaults)
        for key in {name, *other_defaults}:
            assert repr(getattr(found, key)) == repr(getattr(expected, key)), f"{key} with {name}: {value}"
