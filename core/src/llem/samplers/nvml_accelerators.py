"""NVIDIA GPUs as accelerators, by NVML."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from llem.errors import SamplerUnavailable
from llem.samplers.nvml_library import Nvml
from llem.samplers.visible import Gpu, visible_gpus
from llem.specs.accelerator import Accelerator, AcceleratorLimits, AcceleratorMemory, AcceleratorSettings


def find() -> list[Accelerator]:
    """The cards that this process may use. Empty, at once and silently, without NVML.

    Processes outside this process's namespace (a container sees only its own) are in the memory in use alone.
    """
    try:
        nvml = Nvml()
    except SamplerUnavailable:
        return []
    try:
        handles = nvml.cards()
        by_uuid = {gpu.uuid: handle for gpu, handle in handles}
        driver, cuda = nvml.versions()
        visible = visible_gpus([gpu for gpu, _ in handles], os.environ).gpus
        return [_accelerator(nvml, gpu, by_uuid[gpu.uuid], driver, cuda) for gpu in visible]
    except SamplerUnavailable:
        return []  # a slice of a card: its memory and processes are not the card's
    finally:
        nvml.close()


def confine(ids: Sequence[str]) -> dict[str, str]:
    """CUDA takes UUIDs as they are."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(ids)}


def _accelerator(nvml: Nvml, gpu: Gpu, handle: Any, driver: str | None, cuda: str | None) -> Accelerator:
    ask, memory = nvml.ask, nvml.memory(handle)
    limit_mw = ask("nvmlDeviceGetEnforcedPowerLimit", handle)
    persistence, ecc, mig = (ask(f"nvmlDeviceGet{name}Mode", handle) for name in ("Persistence", "Ecc", "Mig"))
    clock_mhz, memory_clock_mhz = (
        ask("nvmlDeviceGetApplicationsClock", handle, kind)
        for kind in (nvml.lib.NVML_CLOCK_SM, nvml.lib.NVML_CLOCK_MEM)
    )
    return Accelerator(
        id=gpu.uuid,
        kind="gpu",
        model=gpu.name,
        driver=driver,
        memory=AcceleratorMemory()
        if memory is None
        else AcceleratorMemory(total_mb=memory.total / 2**20, used_mb=memory.used / 2**20),
        limits=AcceleratorLimits(
            power_w=None if limit_mw is None else limit_mw / 1e3, clock_mhz=clock_mhz, memory_clock_mhz=memory_clock_mhz
        ),
        settings=AcceleratorSettings(
            runtime=cuda,
            persistence_mode=None if persistence is None else bool(persistence),
            ecc=None if ecc is None else bool(ecc[0]),
            partitioned=mig is not None and mig[0] == 1,
        ),
        processes=frozenset(nvml.processes(handle)),
    )
