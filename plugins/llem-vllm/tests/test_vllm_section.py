"""The section `vllm:` as a user meets it: every option of the schema is a key or is refused with what to write instead."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from llem.config.compose import Composer
from llem.config.identity import config_hash
from llem.config.introspect import facts_of, nested_section
from llem.config.section import Section
from llem.errors import ConfigError
from llem.plugins import default_registry
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_engines.section import given
from llem_vllm.config import OWN, SCHEMA_VERSION, VllmConfig, resolve
from llem_vllm.retired import RETIRED
from llem_vllm.schema import load, versions
from llem_vllm.section import GROUPS

SCHEMA = load(SCHEMA_VERSION)


def compose(vllm: Mapping[str, Any], **sections: Any) -> Any:
    registry = default_registry()
    return Composer(registry[BACKENDS], registry[SCENARIOS]).compose(
        {"model": "random:tiny-llama", "backend": "vllm", "vllm": vllm, **sections}
    )


def nested(key: str, value: Any) -> dict[str, Any]:
    """`a.b` as the mapping that a study holds."""
    for part in reversed(key.split(".")):
        value = {part: value}
    found: dict[str, Any] = value
    return found


def parts(
    fields: Any, model: type[Section], prefix: str = ""
) -> Iterator[tuple[str, Mapping[str, Any], type[Section]]]:
    """Every field of the schema with its dotted key and the section in which it would stand."""
    for field in fields:
        yield f"{prefix}{field['name']}", field, model
        inner = model.model_fields.get(field["name"])
        section = nested_section(inner) if inner is not None else None
        if section is not None:
            yield from parts(field["fields"], section, f"{prefix}{field['name']}.")


def everything() -> Iterator[tuple[str, Mapping[str, Any], type[Section]]]:
    yield from parts(SCHEMA["engine"], VllmConfig)
    for group in GROUPS:
        section = nested_section(VllmConfig.model_fields[group])
        assert section is not None
        yield from parts(SCHEMA[group], section, f"{group}.")


def test_every_option_of_the_schema_is_a_key_or_says_why_not() -> None:
    for key, field, model in everything():
        taken = field["name"] in model.model_fields
        assert taken or field["name"] in model.retired or "value" not in field, key


def test_nothing_is_a_key_that_the_schema_does_not_have() -> None:
    assert set(VllmConfig.model_fields) - {f["name"] for f in SCHEMA["engine"]} == {*GROUPS, *OWN}


def test_the_description_of_a_key_is_what_was_judged_of_it() -> None:
    facts = facts_of(VllmConfig)
    for key, field, model in everything():
        if key in facts and field["name"] in model.model_fields:
            assert facts[key].description == field["why"], key


def test_every_option_is_judged_with_a_reason() -> None:
    for key, field, _ in everything():
        assert field["energy"] in (True, False, None), key
        assert field["why"], key


@pytest.mark.parametrize(
    "name",
    [
        "dtype",
        "quantization",
        "kv_cache_dtype",
        "block_size",
        "gpu_memory_utilization",
        "max_model_len",
        "max_num_seqs",
        "max_num_batched_tokens",
        "enforce_eager",
        "compilation_config.mode",
        "compilation_config.cudagraph_mode",
        "cudagraph_capture_sizes",
        "enable_prefix_caching",
        "enable_chunked_prefill",
        "tensor_parallel_size",
        "pipeline_parallel_size",
        "data_parallel_size",
        "enable_expert_parallel",
        "distributed_executor_backend",
        "attention_backend",
        "cpu_offload_gb",
        "kv_offloading_size",
        "speculative_config.method",
        "speculative_config.model",
        "speculative_config.num_speculative_tokens",
        "speculative_config.prompt_lookup_max",
        "enable_lora",
        "lora_adapter",
        "max_lora_rank",
        "scheduling_policy",
        "async_scheduling",
        "load_format",
        "sampling.presence_penalty",
        "sampling.frequency_penalty",
        "sampling.stop",
        "sampling.min_tokens",
        "sampling.logprobs",
    ],
)
def test_what_changes_energy_most_can_be_swept(name: str) -> None:
    assert name in facts_of(VllmConfig)


@pytest.mark.parametrize("key", sorted(RETIRED))
def test_a_name_that_vllm_dropped_is_refused_with_todays(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(nested(key, 1))
    assert f"`vllm.{key}` is not accepted: {RETIRED[key]}" in str(caught.value)


def test_what_a_retired_name_points_to_exists() -> None:
    keys = [key.split(".") for key in facts_of(VllmConfig)]
    known = {".".join(key[: depth + 1]) for key in keys for depth in range(len(key))}
    for text in RETIRED.values():
        for quoted in text.split("`")[1::2]:
            key = quoted.partition(":")[0]
            if key.startswith("vllm."):
                assert key.removeprefix("vllm.") in known, text


def test_no_retired_name_is_an_option_of_today() -> None:
    assert not RETIRED.keys() & {key for key, _, _ in everything()}


@pytest.mark.parametrize(
    ("key", "instead"),
    [
        ("model", "model.source"),
        ("tokenizer", "model.tokenizer"),
        ("seed", "decoding.seed"),
        ("sampling.temperature", "decoding.temperature"),
        ("sampling.max_tokens", "dataset.output_tokens"),
        ("sampling.ignore_eos", "decoding.length"),
    ],
)
def test_what_the_core_settles_is_refused_with_its_key(key: str, instead: str) -> None:
    with pytest.raises(ConfigError, match=instead):
        compose(nested(key, 1))


@pytest.mark.parametrize(
    "wrong",
    [
        {"gpu_memory_utilization": 1.5},
        {"tensor_parallel_size": 0},
        {"tensor_parallel_size": "2"},
        {"kv_cache_dtype": "float3"},
        {"speculative_config": {"methode": "ngram"}},
        {"compilation_config": {"cudagraph_mode": "SOMETIMES"}},
    ],
    ids=str,
)
def test_a_value_that_vllm_could_not_take_is_refused_before_anything_starts(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"vllm\."):
        compose(wrong)


def test_a_part_that_says_nothing_is_the_same_experiment() -> None:
    plain = config_hash(compose({}))
    assert config_hash(compose({"sampling": {}, "compilation_config": {}})) == plain
    assert config_hash(compose({"speculative_config": {"method": None}})) == plain
    assert config_hash(compose({"enforce_eager": True})) != plain


def test_only_what_was_given_leaves_for_vllm() -> None:
    section = resolve(VllmConfig.model_validate({"block_size": 32, "compilation_config": {"cudagraph_mode": "NONE"}}))
    assert given(section) == {"block_size": 32, "compilation_config": {"cudagraph_mode": "NONE"}}


def test_the_schema_of_every_version_makes_a_section() -> None:
    from llem_vllm.section import section_model

    for version in versions():
        model = section_model(load(version), RETIRED, OWN)
        assert model.model_validate({}) == model()


@pytest.mark.process
def test_reading_the_section_imports_no_engine() -> None:
    code = "import sys, llem_vllm.config; print([n for n in ('torch', 'vllm', 'transformers', 'psutil') if n in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
