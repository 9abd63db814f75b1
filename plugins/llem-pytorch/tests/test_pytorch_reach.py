"""Arguments that the engine hands to torch and transformers, seen where they arrive; those still take them."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from pytorch_lab import Session, tiny_model
from pytorch_prompts import PROMPTS
from transformers.distributed.configuration_utils import DistributedConfig

from llem.config.experiment import DecodingConfig
from llem.specs.backend import Request
from llem_pytorch import arguments
from llem_pytorch.config import PyTorchConfig
from llem_pytorch.generation import generation_config

pytestmark = pytest.mark.engine


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The keyword arguments of every `from_pretrained` of a causal model; the call itself goes on."""
    seen: list[dict[str, Any]] = []
    real = transformers.PreTrainedModel.from_pretrained.__func__  # type: ignore[attr-defined]

    def note(cls: Any, *args: Any, **keywords: Any) -> Any:
        seen.append(keywords)
        return real(cls, *args, **keywords)

    monkeypatch.setattr(transformers.PreTrainedModel, "from_pretrained", classmethod(note))
    return seen


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("source", ["folder", "random"])
def test_weights_have_the_dtype_that_was_asked_for(
    load: Callable[..., Session], model_folder: Path, dtype: str, source: str
) -> None:
    session = load(str(model_folder) if source == "folder" else "random:tiny-llama", {"dtype": dtype})
    assert session.report.dtype == dtype
    assert session.engine._loaded is not None
    assert {p.dtype for p in session.engine._loaded.model.parameters()} == {getattr(torch, dtype)}


def test_dtype_auto_is_that_of_the_checkpoint(load: Callable[..., Session], tmp_path: Path, model_folder: Path) -> None:
    tiny_model().to(torch.bfloat16).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(model_folder).save_pretrained(tmp_path)
    assert load(str(tmp_path), {"dtype": "auto"}).report.dtype == "bfloat16"
    assert load("random:tiny-llama", {"dtype": "auto"}).report.dtype == "float32"


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_attention_kernel_is_the_models(load: Callable[..., Session], attention: str) -> None:
    assert load(pytorch={"attn_implementation": attention}).report.effective["attn_implementation"] == attention


@pytest.mark.parametrize("device_map", ["auto", "balanced", "balanced_low_0", "sequential"])
def test_a_device_map_arrives_and_is_recorded(
    load: Callable[..., Session], model_folder: Path, arrived: list[dict[str, Any]], device_map: str
) -> None:
    session = load(str(model_folder), {"device_map": device_map})
    assert arrived[0]["device_map"] == device_map
    assert len(session.ids(PROMPTS[0])) == 8


@pytest.mark.parametrize("trusted", [False, True])
def test_revision_and_trust_arrive_and_trust_is_recorded(
    load: Callable[..., Session], model_folder: Path, arrived: list[dict[str, Any]], trusted: bool
) -> None:
    session = load(str(model_folder), model={"revision": "v1", "trust_remote_code": trusted})
    assert arrived[0]["revision"] == "v1"
    assert arrived[0]["trust_remote_code"] is trusted
    assert session.report.effective["trust_remote_code"] is trusted


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_matmul_precision_is_set_and_recorded(load: Callable[..., Session], precision: str) -> None:
    session = load(pytorch={"float32_matmul": precision})
    assert torch.get_float32_matmul_precision() == precision
    assert session.report.effective["float32_matmul"] == precision


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_set_and_recorded(load: Callable[..., Session], threads: int) -> None:
    session = load(pytorch={"num_threads": threads})
    assert torch.get_num_threads() == threads
    assert session.report.effective["num_threads"] == threads


def test_interop_threads_are_set_in_a_process_of_its_own() -> None:
    code = (
        "import torch; from llem_pytorch.settings import apply_settings; from llem_pytorch.config import PyTorchConfig;"
        "apply_settings(PyTorchConfig(num_interop_threads=3)); print(torch.get_num_interop_threads())"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "3"
    )


GENERATION: dict[str, dict[str, Any]] = {
    "plain": {},
    "no cache": {"use_cache": False},
    "static": {"cache_implementation": "static"},
    "chunks": {"prefill_chunk_size": 5},
    "lookup": {"prompt_lookup_num_tokens": 4, "max_matching_ngram_size": 3},
    "compiled": {"compile": {"enabled": True, "backend": "eager", "fullgraph": False, "dynamic": True}},
}


@pytest.mark.parametrize("options", GENERATION.values(), ids=GENERATION)
def test_generate_gets_every_argument(
    load: Callable[..., Session], model_folder: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    session = load(str(model_folder), options, decoding={"repetition_penalty": 1.25})
    assert session.engine._generator is not None
    model = session.engine._generator.model
    seen: list[dict[str, Any]] = []
    real = model.generate

    def note(*args: Any, **keywords: Any) -> Any:
        seen.append(keywords)
        return real(*args, **keywords)

    monkeypatch.setattr(model, "generate", note)
    session.answer([Request(id=0, prompt=PROMPTS[0], output_tokens=6)])
    expected = arguments.generation_arguments(
        PyTorchConfig.model_validate(options), DecodingConfig(repetition_penalty=1.25),
        max_new_tokens=6, eos_token_ids=(), pad_token_id=2,
        max_cache_len=None if "cache_implementation" not in options and "compile" not in options else 22,
    )  # fmt: skip
    config = seen[-1]["generation_config"]
    for key, value in expected.items():
        found = getattr(config, key)
        if key == "compile_config":
            assert {name: getattr(found, name) for name in value} == value
            assert found._compile_all_devices
        else:
            assert found == value, key
    assert seen[-1]["attention_mask"].all()


def test_compile_options_arrive_at_torch(
    load: Callable[..., Session], model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    real = torch.compile

    def note(*args: Any, **keywords: Any) -> Any:
        seen.append(keywords)
        return real(*args, **keywords)

    monkeypatch.setattr(torch, "compile", note)
    torch.compiler.reset()
    options = {"enabled": True, "backend": "aot_eager", "fullgraph": True, "dynamic": False}
    session = load(str(model_folder), {"compile": options, "batch_size": 2})
    plain = load(str(model_folder)).ids(PROMPTS[0])
    assert session.ids(PROMPTS[0]) == plain
    assert seen
    assert {"backend": "aot_eager", "fullgraph": True, "dynamic": False}.items() <= seen[0].items()


def test_nothing_is_compiled_unless_it_is_asked_for(
    load: Callable[..., Session], model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **keywords: Any) -> Any:
        raise AssertionError("torch.compile was called")

    monkeypatch.setattr(torch, "compile", refuse)
    assert len(load(str(model_folder), {"cache_implementation": "static"}).ids(PROMPTS[0])) == 8


# What is used of the installed transformers and torch is there.

OPTIONS = [
    {},
    {"use_cache": False},
    {"cache_implementation": "quantized", "cache_quantization": {"backend": "hqq", "axis_key": 1}},
    {"cache_implementation": "static", "prefill_chunk_size": 4},
    {"compile": {"enabled": True}},
    {"prompt_lookup_num_tokens": 2},
]


@pytest.mark.parametrize("options", OPTIONS, ids=json.dumps)
def test_generation_config_still_has_every_field(options: dict[str, Any]) -> None:
    given = arguments.generation_arguments(
        PyTorchConfig.model_validate(options),
        DecodingConfig(temperature=0.5, top_k=3, top_p=0.5, min_p=0.1, repetition_penalty=1.1),
        max_new_tokens=3, eos_token_ids={1}, pad_token_id=0, max_cache_len=9,
    )  # fmt: skip
    assert set(given) <= set(vars(transformers.GenerationConfig()))
    generation_config(given, everywhere=True).validate()


def test_the_assistants_generation_config_still_has_every_field() -> None:
    given = arguments.assistant_generation(PyTorchConfig(assistant_model="x"))
    assert set(given) <= set(vars(transformers.GenerationConfig()))


def test_quantizers_and_their_arguments_are_still_there() -> None:
    for method in ("bnb_8bit", "bnb_4bit", "torchao_int8", "torchao_int4", "torchao_float8"):
        quantizer = arguments.quantizer(PyTorchConfig.model_validate({"quantization": {"method": method}}), gguf=False)
        assert quantizer is not None
        taken = inspect.signature(getattr(transformers, quantizer.config)).parameters
        assert set(quantizer.arguments) <= set(taken)
    packed = arguments.quantizer(PyTorchConfig(), gguf=True)
    assert packed is not None
    assert set(packed.arguments) <= set(inspect.signature(transformers.GgufConfig).parameters)


def test_the_companions_of_generate_are_still_there() -> None:
    compiled = arguments.compile_arguments(PyTorchConfig.model_validate({"compile": {"enabled": True}}))
    assert compiled is not None
    assert set(compiled) <= set(inspect.signature(transformers.CompileConfig).parameters)
    assert hasattr(transformers.CompileConfig(), "_compile_all_devices")
    assert {"tp_size", "tp_plan"} <= set(inspect.signature(DistributedConfig).parameters)
    modes = set(torch._inductor.list_mode_options())
    fields = PyTorchConfig.model_json_schema()["$defs"]["CompileConfig"]["properties"]
    assert set(fields["mode"]["enum"]) == modes
    assert set(fields["backend"]["enum"]) <= set(torch._dynamo.list_backends(exclude_tags=()))
    for setting in ("float32_matmul_precision", "num_threads", "num_interop_threads"):
        assert callable(getattr(torch, f"set_{setting}"))
