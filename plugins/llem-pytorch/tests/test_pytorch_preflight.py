"""Needs of an option that this machine lacks are said before anything runs, with the command that brings it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from llem.config.compose import Composer
from llem.plugins import default_registry
from llem.specs.check import Finding, PreflightContext
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_hub.sources import locate_model
from llem_pytorch.config import PyTorchConfig
from llem_pytorch.preflight import (
    Need,
    _missing,
    check_devices,
    check_packages,
    device_problems,
    needs,
    quantization_of,
    torch_cuda_version,
)


def context(base_dir: Path, *sections: dict[str, Any], source: str = "random:tiny-llama") -> PreflightContext:
    composer = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS])
    experiments = [composer.compose({"model": source, "backend": "pytorch", "pytorch": one}) for one in sections]
    return PreflightContext(registry=default_registry(), experiments=experiments, base_dir=base_dir)


def errors(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == "error"]


EXTRAS: dict[str, tuple[dict[str, Any], str]] = {
    "bnb_8bit": ({"quantization": {"method": "bnb_8bit"}}, "bitsandbytes"),
    "bnb_4bit": ({"quantization": {"method": "bnb_4bit"}}, "bitsandbytes"),
    "torchao": ({"quantization": {"method": "torchao_float8"}}, "torchao"),
    "quanto": ({"cache_implementation": "quantized"}, "quanto"),
    "hqq": ({"cache_implementation": "quantized", "cache_quantization": {"backend": "hqq"}}, "hqq"),
    "lora": ({"lora_adapter": "x"}, "lora"),
    "flash": ({"attn_implementation": "flash_attention_2"}, "kernels"),
}


@pytest.mark.parametrize(("section", "extra"), EXTRAS.values(), ids=EXTRAS)
def test_an_option_names_the_extra_that_brings_what_it_needs(section: dict[str, Any], extra: str) -> None:
    (need,) = needs(PyTorchConfig.model_validate(section))
    assert need.install == f"pip install 'llem-pytorch[{extra}]'"
    assert next(iter(section)) in need.option or "cache_quantization" in need.option


def test_every_extra_that_is_named_exists() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    offered = set(project["optional-dependencies"])
    assert {extra for _, extra in EXTRAS.values()} | {"gptq", "awq"} <= offered


def test_a_package_that_is_missing_or_old_is_an_error_with_the_command() -> None:
    need = Need("pytorch.x: y", (("llem-no-such-package", "1.0"),), "pip install it")
    found = _missing(need)
    assert found is not None
    assert (found.level, found.remedy) == ("error", "pip install it")
    assert "llem-no-such-package is not installed" in found.message
    old = _missing(Need("pytorch.x: y", (("torch", "999.0"),), "pip install it"))
    assert old is not None
    assert "older than 999.0" in old.message
    assert _missing(Need("pytorch.x: y", (("llem-no-such-package", "1"), ("torch", "2.0")), "")) is None


@pytest.mark.parametrize(
    ("method", "extra"), [("gptq", "gptq"), ("awq", "awq"), ("bitsandbytes", "bitsandbytes"), ("torchao", "torchao")]
)
def test_a_quantized_checkpoint_names_what_reads_it(
    tmp_path: Path, model_folder: Path, method: str, extra: str
) -> None:
    folder = quantized(tmp_path, model_folder, method)
    location = locate_model(str(folder), ".")
    assert quantization_of(location) == method
    found = needs(PyTorchConfig.model_validate({"quantization": {"method": "loaded"}}), location)
    assert {need.install for need in found} == {f"pip install 'llem-pytorch[{extra}]'"}


def quantized(tmp_path: Path, model_folder: Path, method: str) -> Path:
    folder = tmp_path / "quantized"
    folder.mkdir()
    config = json.loads((model_folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": method}}))
    (folder / "model.safetensors").write_bytes((model_folder / "model.safetensors").read_bytes())
    return folder


def test_a_checkpoint_that_contradicts_its_method_is_an_error(tmp_path: Path, model_folder: Path) -> None:
    folder = quantized(tmp_path, model_folder, "fp8")
    (found,) = errors(list(check_packages(context(tmp_path, {}, source=str(folder)))))
    assert "is quantized (fp8)" in found.message
    loaded = {"quantization": {"method": "loaded"}}
    (found,) = errors(list(check_packages(context(tmp_path, loaded, source=str(model_folder)))))
    assert "is not quantized" in found.message
    assert errors(list(check_packages(context(tmp_path, loaded))))


def test_each_lack_is_said_once_for_a_whole_study(tmp_path: Path) -> None:
    section = {"cache_implementation": "quantized"}
    found = list(check_packages(context(tmp_path, section, {**section, "batch_size": 2}, {})))
    assert len([f for f in found if "optimum-quanto" in f.message]) <= 1


def test_an_experiment_that_needs_nothing_is_in_order(tmp_path: Path) -> None:
    for check in (check_packages, check_devices):
        (found,) = check(context(tmp_path, {"device": "cpu"}))
        assert found.level == "ok"


def test_inductor_without_a_compiler_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    (found,) = errors(list(check_packages(context(tmp_path, {"compile": {"enabled": True}}))))
    assert "no-such-compiler" in found.message
    assert found.remedy
    eager = {"compile": {"enabled": True, "backend": "eager"}}
    assert not errors(list(check_packages(context(tmp_path, eager))))


GPU_OPTIONS: dict[str, dict[str, Any]] = {
    "device": {"device": "cuda"},
    "second device": {"device": "cuda:1"},
    "flash": {"attn_implementation": "flash_attention_3"},
    "flex": {"attn_implementation": "flex_attention"},
    "offloaded": {"cache_implementation": "offloaded_static"},
    "cudagraphs": {"compile": {"enabled": True, "backend": "cudagraphs"}},
}


@pytest.mark.parametrize("section", GPU_OPTIONS.values(), ids=GPU_OPTIONS)
def test_an_option_for_gpus_is_refused_without_one_and_taken_with_two(section: dict[str, Any]) -> None:
    options = PyTorchConfig.model_validate(section)
    ((message, remedy),) = device_problems(options, cuda=None, gpus=0, apple=False)
    assert "torch is built without CUDA" in message
    assert "pytorch.org" in remedy
    ((message, remedy),) = device_problems(options, cuda="12.8", gpus=0, apple=False)
    assert "0 NVIDIA GPUs are visible" in message
    assert "nvidia-smi" in remedy
    assert not device_problems(options, cuda="12.8", gpus=2, apple=False)


def test_more_devices_than_there_are_is_an_error() -> None:
    options = PyTorchConfig.model_validate({"tensor_parallel": {"size": 4}})
    ((message, _),) = device_problems(options, cuda="12.8", gpus=2, apple=False)
    assert "needs 4 CUDA GPUs, and 2 NVIDIA GPUs are visible" in message


def test_an_apple_gpu_is_needed_for_mps() -> None:
    options = PyTorchConfig(device="mps")
    assert device_problems(options, cuda=None, gpus=0, apple=False)
    assert not device_problems(options, cuda=None, gpus=0, apple=True)


@pytest.mark.engine
def test_the_cuda_version_of_torch_is_read_without_importing_it() -> None:
    import torch

    assert torch_cuda_version() == torch.version.cuda
