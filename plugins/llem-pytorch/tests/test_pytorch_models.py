"""Models that load, what is said of them, and one clear paragraph for each that does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from pytorch_lab import Session
from pytorch_prompts import PROMPTS

from llem.errors import ModelError
from llem.specs.backend import Request

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("shape", ["tiny-llama", "tiny-qwen2", "tiny-mixtral"])
def test_a_random_model_has_its_shape_and_the_same_weights_each_time(load: Callable[..., Session], shape: str) -> None:
    first, second = load(f"random:{shape}"), load(f"random:{shape}")
    assert first.report.vocab_size == 512
    assert first.report.parameters == sum(p.numel() for p in _model(first).parameters())
    for a, b in zip(_model(first).parameters(), _model(second).parameters(), strict=True):
        assert torch.equal(a, b)
    assert first.report.architecture is not None
    assert first.report.tokenizer == "bytes"


def test_random_weights_are_drawn_not_empty(load: Callable[..., Session]) -> None:
    for name, weight in _model(load("random:tiny-llama")).named_parameters():
        assert torch.isfinite(weight).all(), name
        if weight.dim() == 2:
            assert 0.01 < float(weight.std()) < 0.05, name


def test_a_mixture_of_experts_has_fewer_active_parameters(load: Callable[..., Session]) -> None:
    report = load("random:tiny-mixtral").report
    assert report.parameters is not None
    assert report.active_parameters is not None
    per_expert = 3 * 64 * 96
    assert (
        report.parameters - report.active_parameters == 2 * 2 * per_expert
    )  # 2 of 4 experts rest, in each of 2 layers


def test_a_random_model_takes_another_tokenizer(load: Callable[..., Session], model_folder: Path) -> None:
    session = load("random:tiny-llama", base_dir=str(model_folder.parent), model={"tokenizer": model_folder.name})
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder)
    record = session.answer([Request(id=0, prompt=PROMPTS[0], output_tokens=2)])[0]
    assert record.input_tokens == len(tokenizer(PROMPTS[0])["input_ids"])


def test_a_folder_loads_relative_to_the_study(load: Callable[..., Session], model_folder: Path) -> None:
    session = load(f"./{model_folder.name}", base_dir=str(model_folder.parent))
    stored: Any = transformers.AutoModelForCausalLM.from_pretrained(model_folder)
    for a, b in zip(_model(session).parameters(), stored.parameters(), strict=True):
        assert torch.equal(a, b)
    assert {"torch", "transformers"} <= set(session.report.versions)
    stop = stored.generation_config.eos_token_id
    assert stop in session.report.special_token_ids


@pytest.fixture
def broken(model_folder: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "broken"
    shutil.copytree(model_folder, folder)
    return folder


def _refusal(load: Callable[..., Session], folder: Path, **keywords: Any) -> str:
    with pytest.raises(ModelError) as caught:
        load(str(folder), **keywords)
    text = str(caught.value)
    assert "\n\n" not in text
    assert "Traceback" not in text
    return text


def test_a_missing_folder_is_named(load: Callable[..., Session], tmp_path: Path) -> None:
    assert str(tmp_path / "absent") in _refusal(load, tmp_path / "absent")


def test_a_cut_off_weight_file_is_named(load: Callable[..., Session], broken: Path) -> None:
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "model.safetensors" in _refusal(load, broken)


def test_weights_of_another_shape_are_refused(load: Callable[..., Session], broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "hidden_size": 128, "intermediate_size": 99}))
    assert str(broken) in _refusal(load, broken)


def test_a_checkpoint_without_some_of_the_weights_is_refused(load: Callable[..., Session], broken: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(broken / "model.safetensors")
    del weights["model.layers.1.mlp.down_proj.weight"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    assert "down_proj" in _refusal(load, broken)


def test_an_unknown_architecture_is_refused(load: Callable[..., Session], broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "model_type": "no-such-architecture"}))
    assert "no-such-architecture" in _refusal(load, broken)


def test_a_folder_without_a_tokenizer_says_how_to_name_one(load: Callable[..., Session], broken: Path) -> None:
    for file in broken.glob("*token*"):
        file.unlink()
    assert "model.tokenizer" in _refusal(load, broken)


def test_a_model_with_code_of_its_own_asks_for_trust(load: Callable[..., Session], broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"}}
    (broken / "config.json").write_text(json.dumps(config))
    (broken / "own.py").write_text("raise SystemExit('this must never run')\n")
    assert "trust_remote_code" in _refusal(load, broken)


def test_a_quantized_checkpoint_and_the_method_must_agree(load: Callable[..., Session], broken: Path) -> None:
    assert "not quantized" in _refusal(load, broken, pytorch={"quantization": {"method": "loaded"}})
    config = json.loads((broken / "config.json").read_text())
    quantized = {"quant_method": "gptq", "bits": 4, "group_size": 32}
    (broken / "config.json").write_text(json.dumps({**config, "quantization_config": quantized}))
    assert "gptq" in _refusal(load, broken)


def test_a_quantizer_that_is_missing_is_named(load: Callable[..., Session], model_folder: Path) -> None:
    for method in ("torchao_int8", "bnb_4bit"):
        package = {"t": "torchao", "b": "bitsandbytes"}[method[0]]
        try:
            __import__(package)
        except ImportError:
            assert package in _refusal(load, model_folder, pytorch={"quantization": {"method": method}}).lower()
        else:
            assert load(str(model_folder), {"quantization": {"method": method}}).report.effective["quantization"]


def test_an_engine_whose_load_failed_can_be_closed(load: Callable[..., Session], tmp_path: Path) -> None:
    _refusal(load, tmp_path / "absent")  # the fixture closes it


@pytest.fixture
def adapter(tmp_path: Path, model_folder: Path) -> Path:
    """A LoRA adapter with weights that change every answer."""
    import peft

    base: Any = transformers.AutoModelForCausalLM.from_pretrained(model_folder)
    torch.manual_seed(3)
    settings = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    peft.get_peft_model(base, settings).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_an_adapter_changes_answers_and_merging_it_does_not(
    load: Callable[..., Session], model_folder: Path, adapter: Path
) -> None:
    base_dir = str(adapter.parent)
    plain = load(str(model_folder)).ids(PROMPTS[0], 16)
    beside = load(str(model_folder), {"lora_adapter": "adapter"}, base_dir=base_dir)
    merged = load(str(model_folder), {"lora_adapter": "adapter", "lora_merge": True}, base_dir=base_dir)
    assert beside.ids(PROMPTS[0], 16) == merged.ids(PROMPTS[0], 16) != plain
    assert any("lora" in name for name, _ in _model(beside).named_parameters())
    assert not any("lora" in name for name, _ in _model(merged).named_parameters())
    assert "peft" in beside.report.versions
    assert beside.report.parameters is not None
    assert merged.report.parameters is not None
    assert beside.report.parameters > merged.report.parameters


def test_an_adapter_of_another_model_is_refused(load: Callable[..., Session], adapter: Path) -> None:
    with pytest.raises(ModelError, match="adapter"):
        load("random:tiny-qwen2", {"lora_adapter": str(adapter)})


def test_an_adapter_that_is_not_there_is_refused(
    load: Callable[..., Session], model_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="no-adapter"):
        load(str(model_folder), {"lora_adapter": "./no-adapter"}, base_dir=str(tmp_path))


def _model(session: Session) -> Any:
    assert session.engine._loaded is not None
    return session.engine._loaded.model
