"""Checks of what options of `pytorch:` need of this machine. Imports neither torch nor any of the packages."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from llem.plugin_api import Finding, LlemError, PreflightContext
from llem_hub.sources import ModelLocation, locate_model
from llem_pytorch.config import FLASH, GPU_ATTENTION, PyTorchConfig

EXTRA = "pip install 'llem-pytorch[{}]'"


@dataclass(frozen=True)
class Need:
    """Something that one option needs.

    Attributes:
        option: key and value, for the message.
        distributions: any one of these, as (name, lowest version).
        install: the command that brings the first of them.
    """

    option: str
    distributions: tuple[tuple[str, str], ...]
    install: str


def check_packages(context: PreflightContext) -> Iterator[Finding]:
    """Packages that options need, each asked for once, and model files that contradict their options."""
    said: set[str] = set()
    for experiment in context.experiments:
        options = experiment.options
        if not isinstance(options, PyTorchConfig):
            continue
        location = _locate(experiment.model.source, str(context.base_dir))
        findings = [_missing(need) for need in needs(options, location)]
        for finding in (*findings, _contradiction(options, location), _without_compiler(options)):
            if finding is not None and finding.message not in said:
                said.add(finding.message)
                yield finding
    if not said:
        yield Finding(level="ok", message="every package that pytorch's options need is installed")


def needs(options: PyTorchConfig, location: ModelLocation | None = None) -> list[Need]:
    """Packages that these options need beyond llem-pytorch's own dependencies.

    Args:
        location: where the model is, or None where that is not known.
    """
    found = []
    method = options.quantization.method
    key = f"pytorch.quantization.method: {method}"
    if method.startswith("bnb_"):
        found.append(Need(key, (("bitsandbytes", "0.46.1"),), EXTRA.format("bitsandbytes")))
    if method.startswith("torchao_"):
        found.append(Need(key, (("torchao", "0.15.0"),), EXTRA.format("torchao")))
    if method == "loaded" and location is not None:
        found += _needs_of_checkpoint(location)
    if options.cache_implementation == "quantized":
        backend = options.cache_quantization.backend
        key = f"pytorch.cache_quantization.backend: {backend}"
        if backend == "quanto":
            found.append(Need(key, (("optimum-quanto", "0.2.6"),), EXTRA.format("quanto")))
        if backend == "hqq":
            found.append(Need(key, (("hqq", "0.2.1"),), EXTRA.format("hqq")))
    if options.lora_adapter is not None:
        found.append(Need(f"pytorch.lora_adapter: {options.lora_adapter}", (("peft", "0.20.0"),), EXTRA.format("lora")))
    if options.attn_implementation in FLASH:
        own = {"flash_attention_2": "flash-attn", "flash_attention_3": "flash-attn-3"}.get(
            options.attn_implementation, "flash-attn-4"
        )
        # Where flash-attn is missing, transformers takes the same kernel through the package kernels.
        key = f"pytorch.attn_implementation: {options.attn_implementation}"
        found.append(Need(key, ((own, "0"), ("kernels", "0.18.2")), EXTRA.format("kernels")))
    return found


def _needs_of_checkpoint(location: ModelLocation) -> list[Need]:
    if location.kind == "gguf":
        key = f"the packed weights of {location.name}"
        return [Need(key, (("kernels", "0.18.2"),), EXTRA.format("kernels"))]
    method = quantization_of(location)
    key = f"the {method} weights of {location.name}"
    extras = {"gptq": ("gptqmodel", "1.4.3", "gptq"), "awq": ("gptqmodel", "1.4.3", "awq")}
    extras |= {"bitsandbytes": ("bitsandbytes", "0.46.1", "bitsandbytes"), "torchao": ("torchao", "0.15.0", "torchao")}
    if method not in extras:
        return []
    name, version, extra = extras[method]
    found = [Need(key, ((name, version),), EXTRA.format(extra))]
    if method == "gptq":
        found.append(Need(key, (("optimum", "1.24.0"),), EXTRA.format(extra)))
    return found


def quantization_of(location: ModelLocation) -> str | None:
    """`quant_method` of a local folder's config.json; None where there is none, or the model is not a local folder."""
    if location.kind != "folder" or location.path is None:
        return None
    config = json.loads((location.path / "config.json").read_text(encoding="utf-8"))
    found = config.get("quantization_config")
    return str(found.get("quant_method")) if isinstance(found, dict) else None


def _locate(source: str, base_dir: str) -> ModelLocation | None:
    try:
        return locate_model(source, base_dir)
    except LlemError:
        return None  # the check `models` says what is wrong with it


def _contradiction(options: PyTorchConfig, location: ModelLocation | None) -> Finding | None:
    if location is None:
        return None
    method = options.quantization.method
    if location.kind == "gguf" and method not in ("none", "loaded"):
        return Finding(
            level="error",
            message=f"{location.name} is a GGUF file, which {method} cannot quantize",
            remedy="Say quantization.method none (unpacked at load) or loaded (kept packed).",
        )
    if location.kind == "gguf" and options.tensor_parallel.size > 1:
        return Finding(
            level="error",
            message=f"{location.name} is a GGUF file, which tensor_parallel cannot split",
            remedy="Take the model's folder of safetensors.",
        )
    stored = quantization_of(location)
    if (location.kind == "random" and method == "loaded") or (
        location.kind == "folder" and (stored is None) is (method == "loaded")
    ):
        has = f"is quantized ({stored})" if stored else "is not quantized"
        return Finding(
            level="error",
            message=f"{location.name} {has}, and pytorch.quantization.method is {method}",
            remedy=f"Say {'loaded' if stored else 'none'}.",
        )
    return None


def _without_compiler(options: PyTorchConfig) -> Finding | None:
    """inductor writes C++, and on GPUs its Triton kernels are started through C: both need a compiler at run time."""
    if not options.compile.enabled or options.compile.backend != "inductor":
        return None
    wanted = os.environ.get("CXX") or ("clang++" if platform.system() == "Darwin" else "g++")
    if shutil.which(wanted.split()[0]) is not None:
        return None
    return Finding(
        level="error",
        message=f"pytorch.compile.backend: inductor needs a C++ compiler, and there is no {wanted}",
        remedy="Install one (Debian and Ubuntu: apt install g++), or name one in the environment variable CXX.",
    )


def _missing(need: Need) -> Finding | None:
    reasons = []
    for name, lowest in need.distributions:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            reasons.append(f"{name} is not installed")
            continue
        if _numbers(version) >= _numbers(lowest):
            return None
        reasons.append(f"{name} is {version}, older than {lowest}")
    return Finding(level="error", message=f"{need.option} needs more: {', '.join(reasons)}", remedy=need.install)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version.partition("+")[0])[:3])


def check_devices(context: PreflightContext) -> Iterator[Finding]:
    """Devices that options name, and torch's ability to use them."""
    cuda, gpus, apple = torch_cuda_version(), visible_gpus(), _apple_gpu()
    said: set[str] = set()
    for experiment in context.experiments:
        if isinstance(experiment.options, PyTorchConfig):
            for text, remedy in device_problems(experiment.options, cuda=cuda, gpus=gpus, apple=apple):
                if text not in said:
                    said.add(text)
                    yield Finding(level="error", message=text, remedy=remedy)
    if not said:
        build = f"built for CUDA {cuda}" if cuda else "built without CUDA"
        yield Finding(level="ok", message=f"torch is {build}; {_visible(gpus)}")


def _visible(gpus: int) -> str:
    return "1 NVIDIA GPU is visible" if gpus == 1 else f"{gpus} NVIDIA GPUs are visible"


def device_problems(options: PyTorchConfig, *, cuda: str | None, gpus: int, apple: bool) -> Sequence[tuple[str, str]]:
    """Devices that these options lack on a machine, each with its remedy.

    Args:
        cuda: CUDA version that torch is built for, or None.
        gpus: NVIDIA GPUs that a process started now may see.
        apple: this is a Mac with an Apple GPU.
    """
    usable = gpus if cuda else 0
    why = "torch is built without CUDA" if not cuda else _visible(gpus)
    remedy = (
        "Install torch for CUDA (https://pytorch.org/get-started)."
        if not cuda
        else "Check nvidia-smi and CUDA_VISIBLE_DEVICES, or choose another device."
    )
    number = int(options.device.partition(":")[2] or 0)
    wanted: list[tuple[str, int]] = []
    if options.device.startswith("cuda"):
        wanted.append((f"pytorch.device: {options.device}", number + 1))
    if options.tensor_parallel.size > 1 and options.device != "cpu" and usable:
        wanted.append((f"pytorch.tensor_parallel.size: {options.tensor_parallel.size}", options.tensor_parallel.size))
    if options.attn_implementation in GPU_ATTENTION:
        wanted.append((f"pytorch.attn_implementation: {options.attn_implementation}", 1))
    if options.cache_implementation in ("offloaded", "offloaded_static") and not apple:
        wanted.append((f"pytorch.cache_implementation: {options.cache_implementation}", 1))
    if options.compile.enabled and options.compile.backend == "cudagraphs":
        wanted.append(("pytorch.compile.backend: cudagraphs", 1))
    problems = [
        (f"{option} needs {count} CUDA GPU{'s' * (count > 1)}, and {why}", remedy)
        for option, count in wanted
        if usable < count
    ]
    if options.device == "mps" and not apple:
        problems.append(("pytorch.device: mps needs a Mac with an Apple GPU", "Choose auto, cpu or cuda."))
    return problems


def torch_cuda_version() -> str | None:
    """CUDA version that the installed torch is built for, from its version file; None for a build without."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    found = re.search(r"^cuda\b[^=\n]*=\s*'([^']+)'", text, re.MULTILINE)
    return found.group(1) if found else None


def visible_gpus() -> int:
    """NVIDIA GPUs that a new process may see: NVML's count, cut by CUDA_VISIBLE_DEVICES. 0 without a driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    try:
        count = int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return count
    named = [word.strip() for word in visible.split(",") if word.strip()]
    usable = 0
    for word in named:  # CUDA stops at the first device that is not there
        if word.startswith("-") or (word.isdigit() and int(word) >= count):
            break
        usable += 1
    return usable


def _apple_gpu() -> bool:
    return platform.system() == "Darwin" and platform.machine() == "arm64"
