"""The GPUs that a container gets: those that the experiment would use on this machine, by UUID."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

from llem.plugin_api import BACKENDS, ExperimentConfig, Gpu, Nvml, SamplerUnavailable, SpecRegistry, visible_gpus


def gpus_of(config: ExperimentConfig, registry: SpecRegistry, environ: Mapping[str, str] = os.environ) -> list[str]:
    """UUIDs of the GPUs for this experiment, in CUDA's order; empty for one on the CPU, and on a machine without GPUs.

    As many as its backend says that it takes, of those that CUDA_VISIBLE_DEVICES leaves; all of them where it cannot say.
    """
    wanted = registry.find(BACKENDS, config.backend).gpus_of(config.options)
    if wanted == 0:
        return []
    return [card.uuid for card in visible_gpus(gpus_here(), environ).gpus[:wanted]]


def gpus_here() -> Sequence[Gpu]:
    """NVIDIA's cards in this machine; empty where there is no driver."""
    try:
        nvml = Nvml()
    except SamplerUnavailable:
        return []
    try:
        return [gpu for gpu, _ in nvml.cards()]
    finally:
        nvml.lib.nvmlShutdown()


def target_here() -> Literal["cuda", "cpu"]:
    """The kind of image for this machine: `cuda` where it has an NVIDIA GPU, else `cpu`."""
    return "cuda" if gpus_here() else "cpu"


def driver() -> tuple[str | None, tuple[int, int] | None]:
    """The driver's version, and the highest CUDA that it supports, such as `("580.65", (13, 0))`; None where it tells none."""
    try:
        nvml = Nvml()
    except SamplerUnavailable:
        return None, None
    try:
        highest = nvml.ask("nvmlSystemGetCudaDriverVersion_v2") or nvml.ask("nvmlSystemGetCudaDriverVersion")
        cuda = (int(highest) // 1000, int(highest) % 1000 // 10) if highest else None
        return nvml.ask("nvmlSystemGetDriverVersion"), cuda
    finally:
        nvml.lib.nvmlShutdown()
