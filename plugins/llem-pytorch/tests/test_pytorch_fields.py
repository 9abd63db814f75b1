"""No field of the section `pytorch:` is silently ignored: each value either reaches the engine or is refused with its reason.

`REACHES` says for every field where its values go. A field that is not in it fails here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from field_values import invalid_values, valid_values
from pydantic import ValidationError

from llem.config.compose import Composer
from llem.config.experiment import DecodingConfig, ExperimentConfig, ModelConfig
from llem.config.identity import config_hash
from llem.config.introspect import facts_of
from llem.plugins import default_registry
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_pytorch import arguments
from llem_pytorch.batching import Length, make_batches
from llem_pytorch.config import PyTorchConfig, batch_size, fit, resolve
from llem_pytorch.preflight import device_problems, needs
from llem_pytorch.sections import ContinuousBatchingConfig
from llem_pytorch.serving.settings import continuous_arguments

MODEL = ModelConfig(source="org/model", revision="main")
LENGTHS = [Length(3, 4), Length(30, 4), Length(5, 4), Length(1, 4)]


def everything(options: PyTorchConfig) -> dict[str, Any]:
    """All arguments that leave for torch, transformers and peft, each under the name of what takes it."""
    quantizer = arguments.quantizer(options, gguf=False)
    return {
        "torch": arguments.torch_settings(options),
        "device": arguments.choose_device(options, cuda=True, mps=False),
        "from_pretrained": arguments.pretrained_arguments(
            options, MODEL, arguments.choose_device(options, cuda=True, mps=False)
        ),
        "DistributedConfig": arguments.distributed_arguments(options) or {},
        "quantizer": quantizer.config if quantizer else None,
        "quantization": {**quantizer.arguments, **quantizer.inner_arguments} if quantizer else {},
        "torchao": quantizer.inner if quantizer else None,
        "adapter": arguments.adapter_arguments(options) or {},
        "assistant": (arguments.assistant_model(options, MODEL) or MODEL).model_dump(),
        "drafting": arguments.assistant_generation(options) if options.assistant_model else {},
        "GenerationConfig": (
            generation := arguments.generation_arguments(
                options, DecodingConfig(), max_new_tokens=4, eos_token_ids={1}, pad_token_id=0, max_cache_len=34
            )
        ),
        "CompileConfig": generation.get("compile_config", {}),
        "cache_config": generation.get("cache_config", {}),
        "batches": make_batches(LENGTHS, options),
        "server": (
            {"serving": "continuous", **continuous_arguments(options, DecodingConfig(), "cuda:0")}
            if options.serves_continuously
            else {"serving": "queue", "max_wait_s": options.max_wait_s}
        ),
    }


@dataclass(frozen=True)
class Way:
    """Where a field's value is found among `everything`.

    Attributes:
        place: keys that lead to it.
        given: other fields that must be set for it to have an effect.
        absent: values for which nothing is passed on, since they are the engine's own default.
        turned: what the value is there; as it is by default.
    """

    place: tuple[str, ...]
    given: Mapping[str, Any] = field(default_factory=dict)
    absent: tuple[Any, ...] = (None,)
    turned: Callable[[Any], Any] = lambda value: value


def _cache(key: str, **given: Any) -> Way:
    return Way(("cache_config", key), {"cache_implementation": "quantized", "cache_quantization": given})


def _compile(key: str) -> Way:
    return Way(("CompileConfig", key), {"compile": {"enabled": True}}, absent=())


def _bnb(key: str, method: str = "bnb_4bit") -> Way:
    return Way(("quantization", key), {"quantization": {"method": method}})


ASSISTED = {"assistant_model": "org/small"}
ADAPTED = {"lora_adapter": "org/adapter"}
_METHODS = {
    "bnb_8bit": "load_in_8bit",
    "bnb_4bit": "load_in_4bit",
    "torchao_int8": "Int8WeightOnlyConfig",
    "torchao_int8_dynamic": "Int8DynamicActivationInt8WeightConfig",
    "torchao_int4": "Int4WeightOnlyConfig",
    "torchao_float8": "Float8WeightOnlyConfig",
    "torchao_float8_dynamic": "Float8DynamicActivationFloat8WeightConfig",
}

REACHES: dict[str, Way] = {
    "dtype": Way(("from_pretrained", "dtype")),
    "float32_matmul": Way(("torch", "float32_matmul_precision")),
    "device": Way(("device",), turned=lambda v: {"auto": "cuda:0"}.get(v, v)),
    "device_map": Way(("from_pretrained", "device_map"), absent=(), turned=lambda v: v or "cuda:0"),
    "tensor_parallel.size": Way(("DistributedConfig", "tp_size"), absent=(1,)),
    "tensor_parallel.plan": Way(
        ("DistributedConfig", "tp_plan"), {"tensor_parallel": {"size": 2}}, absent=(), turned=lambda v: v or "auto"
    ),
    "attn_implementation": Way(("from_pretrained", "attn_implementation")),
    "batch_size": Way(("batches", "0"), turned=lambda v: list(range(4))[:v]),
    "batching": Way(("batches", "0"), turned={"static": [0], "sorted": [1], "dynamic": [1, 2, 0, 3]}.get),
    "max_batch_tokens": Way(
        ("batches", "0"), {"batching": "dynamic"}, turned=lambda v: [1] if v < 4 * 34 else [1, 2, 0, 3]
    ),
    "serving": Way(("server", "serving"), absent=(), turned=lambda v: v or "continuous"),
    "max_wait_s": Way(("server", "max_wait_s"), {"serving": "queue"}),
    **{
        f"continuous_batching.{name}": Way(("server", name))
        for name in ContinuousBatchingConfig.model_fields
    },
    "compile.enabled": Way(("GenerationConfig", "disable_compile"), absent=(True,), turned=lambda v: not v),
    "compile.mode": _compile("mode"),
    "compile.backend": _compile("backend"),
    "compile.fullgraph": _compile("fullgraph"),
    "compile.dynamic": _compile("dynamic"),
    "use_cache": Way(("GenerationConfig", "use_cache")),
    "cache_implementation": Way(("GenerationConfig", "cache_implementation"), absent=(None, "dynamic")),
    "cache_quantization.backend": _cache("backend"),
    "cache_quantization.bits": _cache("nbits", backend="hqq"),
    "cache_quantization.group_size": _cache("q_group_size"),
    "cache_quantization.residual_length": _cache("residual_length"),
    "cache_quantization.axis_key": _cache("axis_key"),
    "cache_quantization.axis_value": _cache("axis_value"),
    "prefill_chunk_size": Way(("GenerationConfig", "prefill_chunk_size")),
    "quantization.method": Way(("quantizer",), absent=("none", "loaded"), turned=lambda v: {"b": "BitsAndBytesConfig", "t": "TorchAoConfig"}[v[0]]),
    "quantization.compute_dtype": _bnb("bnb_4bit_compute_dtype"),
    "quantization.quant_type": _bnb("bnb_4bit_quant_type"),
    "quantization.double_quant": _bnb("bnb_4bit_use_double_quant"),
    "quantization.int8_threshold": _bnb("llm_int8_threshold", "bnb_8bit"),
    "quantization.group_size": _bnb("group_size", "torchao_int4"),
    "prompt_lookup_num_tokens": Way(("GenerationConfig", "prompt_lookup_num_tokens")),
    "max_matching_ngram_size": Way(("GenerationConfig", "max_matching_ngram_size"), {"prompt_lookup_num_tokens": 3}),
    "assistant_model": Way(("assistant", "source")),
    "assistant_revision": Way(("assistant", "revision"), ASSISTED),
    "num_assistant_tokens": Way(("drafting", "num_assistant_tokens"), ASSISTED),
    "assistant_confidence_threshold": Way(("drafting", "assistant_confidence_threshold"), ASSISTED),
    "lora_adapter": Way(("adapter", "source")),
    "lora_revision": Way(("adapter", "revision"), ADAPTED),
    "lora_merge": Way(("adapter", "merge"), ADAPTED),
    "num_threads": Way(("torch", "num_threads")),
    "num_interop_threads": Way(("torch", "num_interop_threads")),
}  # fmt: skip

FIELDS = facts_of(PyTorchConfig)
_NEEDS_MORE: dict[str, Mapping[str, Any]] = {
    "batching=dynamic": {"max_batch_tokens": 1000},
    "cache_quantization.axis_key=1": {"cache_quantization": {"backend": "hqq"}},
    "cache_quantization.axis_value=1": {"cache_quantization": {"backend": "hqq"}},
}
"""Values that need yet another field to be possible."""


def _document(key: str, value: Any, way: Way) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for layer in (way.given, _NEEDS_MORE.get(f"{key}={value}", {})):
        for name, given in layer.items():
            document[name] = {**document.get(name, {}), **given} if isinstance(given, Mapping) else given
    section, _, name = key.rpartition(".")
    if section:
        document[section] = {**document.get(section, {}), name: value}
    else:
        document[name] = value
    return document


def cases() -> Iterator[Any]:
    for key in REACHES:
        if key in FIELDS:
            for value in valid_values(FIELDS[key]):
                yield pytest.param(key, value, id=f"{key}={value}")


def test_every_field_says_where_it_goes() -> None:
    assert set(REACHES) == set(FIELDS)


def _found(options: PyTorchConfig, place: tuple[str, ...]) -> Any:
    here: Any = everything(options)
    for step in place:
        here = here[int(step)] if isinstance(here, list) else here.get(step)
    return here


@pytest.mark.parametrize(("key", "value"), list(cases()))
def test_a_value_reaches_what_takes_it(key: str, value: Any) -> None:
    way = REACHES[key]
    if key == "max_batch_tokens" and value is None:
        with pytest.raises(ValidationError, match="batching dynamic needs max_batch_tokens"):
            PyTorchConfig.model_validate(_document(key, value, way))
        return
    options = PyTorchConfig.model_validate(_document(key, value, way))
    found = _found(resolve(options), way.place) if key != "device" else _found(options, way.place)
    if key == "assistant_model" and value is None:
        assert found == MODEL.source
    elif any(type(value) is type(other) and value == other for other in way.absent):
        assert found is None
    else:
        assert found == way.turned(value)


ALIKE = {
    "device": {"cuda:0"},  # as `auto` where there is a GPU
    "serving": {"continuous"},  # as null, where nothing rules it out
    "batch_size": {65_535},  # both hold every request here
    "max_batch_tokens": {2, 999_999_999, None},
    "cache_implementation": {"dynamic"},  # as null
    "quantization.method": {"loaded"},  # nothing to set up: checked against the checkpoint
}
"""Values that are rightly one with another of the same field, in this test's setting."""


@pytest.mark.parametrize("key", [key for key in REACHES if key in FIELDS])
def test_two_values_of_a_field_never_mean_the_same(key: str) -> None:
    seen: dict[str, Any] = {}
    for value in valid_values(FIELDS[key]):
        if value == {} or (not isinstance(value, dict) and value in ALIKE.get(key, ())):
            continue
        text = repr(everything(PyTorchConfig.model_validate(_document(key, value, REACHES[key]))))
        assert text not in seen or seen[text] == value, f"{value!r} and {seen[text]!r} are one to the engine"
        seen[text] = value
    assert len(seen) > 1


@pytest.mark.parametrize("method", _METHODS)
def test_a_quantization_method_sets_up_its_own_config(method: str) -> None:
    found = everything(PyTorchConfig.model_validate({"quantization": {"method": method}}))
    assert _METHODS[method] in (found["torchao"], *found["quantization"])


@pytest.mark.parametrize("key", [key for key in REACHES if key in FIELDS])
def test_every_invalid_value_is_refused(key: str) -> None:
    way = REACHES[key]
    for value in invalid_values(FIELDS[key]):
        with pytest.raises(ValidationError):
            PyTorchConfig.model_validate(_document(key, value, way))


def test_what_this_machine_may_lack_is_named_by_preflight() -> None:
    """Each value that needs another package or a GPU has a finding that names the option and the way out."""
    for document, word in (
        ({"quantization": {"method": "bnb_4bit"}}, "bitsandbytes"),
        ({"quantization": {"method": "torchao_int8"}}, "torchao"),
        ({"cache_implementation": "quantized"}, "optimum-quanto"),
        ({"cache_implementation": "quantized", "cache_quantization": {"backend": "hqq", "axis_key": 1}}, "hqq"),
        ({"lora_adapter": "x"}, "peft"),
        ({"attn_implementation": "flash_attention_2"}, "flash-attn"),
    ):
        found = needs(PyTorchConfig.model_validate(document))
        assert any(word == name for need in found for name, _ in need.distributions)
        assert all("pip install" in need.install for need in found)
    for document in (
        {"device": "cuda"},
        {"attn_implementation": "flex_attention"},
        {"cache_implementation": "offloaded"},
        {"compile": {"enabled": True, "backend": "cudagraphs"}},
    ):
        problems = device_problems(PyTorchConfig.model_validate(document), cuda=None, gpus=0, apple=False)
        assert problems
        assert all(remedy for _, remedy in problems)


HASHES = {
    1: "a5afb35721ed9ab06ea0ecdefc89b29a72fdd6cc58e9f1e35a7e69c442a1c3b1",
    64: "c37b3fbee177d642fd6fe9aed1e4c165aeb940c5b3974eeab1a5835a8b54971b",
    100: "a1c092e36eebcd235a2d804134db8c5796d2027d7b3296e9a7c4949b9d1ee466",
}
"""Identities as they were before batch sizes were fitted to the number of prompts."""


def composed(batch_size: int, **sections: Any) -> ExperimentConfig:
    document = {"model": "random:tiny-llama", "backend": "pytorch", "pytorch": {"batch_size": batch_size}, **sections}
    return Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)


def test_batch_sizes_above_the_number_of_prompts_are_one_experiment_and_the_others_keep_their_identity() -> None:
    found = {size: config_hash(composed(size, dataset={"n": 100})) for size in (1, 64, 100, 128, 256, 512)}
    assert {size: found[size] for size in HASHES} == HASHES
    assert {found[size] for size in (128, 256, 512)} == {HASHES[100]}
    assert composed(512, dataset={"n": 100}).options == PyTorchConfig(batch_size=100)


def test_single_stream_knows_no_batch_size() -> None:
    one, eight = (composed(size, measurement={"scenario": "single_stream"}) for size in (1, 8))
    assert config_hash(one) == config_hash(eight)
    assert config_hash(composed(8)) != config_hash(composed(1))


def test_a_fitted_section_fits_and_is_told_to_the_result() -> None:
    for section in (PyTorchConfig(batch_size=8), PyTorchConfig(batching="dynamic", max_batch_tokens=9)):
        once = fit(section, 3)
        assert fit(once, 3) == once
    assert batch_size(PyTorchConfig(batch_size=8)) == 8
    assert batch_size(PyTorchConfig(batching="dynamic", max_batch_tokens=9)) is None


ONLY_IN_QUEUE: list[dict[str, Any]] = [
    {"use_cache": False},
    {"cache_implementation": "static"},
    {"cache_implementation": "quantized"},
    {"prefill_chunk_size": 8},
    {"prompt_lookup_num_tokens": 3},
    {"assistant_model": "org/small"},
    {"tensor_parallel": {"size": 2}},
    {"device_map": "auto"},
    {"attn_implementation": "flex_attention"},
]


@pytest.mark.parametrize("section", ONLY_IN_QUEUE, ids=repr)
def test_what_continuous_batching_lacks_is_served_in_batches_and_refused_where_it_was_asked_for(
    section: dict[str, Any],
) -> None:
    assert not PyTorchConfig.model_validate(section).serves_continuously
    with pytest.raises(ValidationError, match=r"serving continuous is not possible with .*say serving queue"):
        PyTorchConfig.model_validate({**section, "serving": "continuous"})
    queue = resolve(PyTorchConfig.model_validate({**section, "serving": "queue", "max_wait_s": 1.0}))
    assert queue == resolve(PyTorchConfig.model_validate({**section, "max_wait_s": 1.0}))
    assert queue.max_wait_s == 1.0  # type: ignore[attr-defined]


def test_details_of_a_way_of_serving_that_is_not_taken_change_no_identity() -> None:
    pages = {"page_size": 16}
    assert resolve(PyTorchConfig(max_wait_s=1.0)) == resolve(PyTorchConfig())
    queue = PyTorchConfig.model_validate({"serving": "queue", "continuous_batching": pages})
    assert resolve(queue) == resolve(PyTorchConfig(serving="queue"))
    assert resolve(PyTorchConfig.model_validate({"continuous_batching": pages})) != resolve(PyTorchConfig())
    assert resolve(PyTorchConfig(serving="queue", max_wait_s=1.0)) != resolve(PyTorchConfig(serving="queue"))
