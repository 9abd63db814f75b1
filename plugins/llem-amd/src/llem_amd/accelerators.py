"""AMD GPUs as accelerators, by AMD SMI."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from llem.plugin_api import Accelerator, AcceleratorLimits, AcceleratorMemory, Gpu, SamplerUnavailable
from llem_amd.sampler import AmdSmi, visible_amd_gpus


def find() -> list[Accelerator]:
    """The cards that this process may use. Empty, at once and silently, without AMD SMI."""
    try:
        smi = AmdSmi()
    except SamplerUnavailable:
        return []
    try:
        handles = smi.cards()
        by_uuid = {gpu.uuid: handle for gpu, handle in handles}
        visible = visible_amd_gpus([gpu for gpu, _ in handles], os.environ).gpus
        return [_accelerator(smi, gpu, by_uuid[gpu.uuid]) for gpu in visible]
    except SamplerUnavailable:
        return []  # a variable that names slices of another maker's cards
    finally:
        smi.close()


def confine(ids: Sequence[str]) -> dict[str, str]:
    """ROCr takes ids as they are, and HIP counts within what ROCr leaves: all of it, whatever the user has set."""
    return {"ROCR_VISIBLE_DEVICES": ",".join(ids), "HIP_VISIBLE_DEVICES": ",".join(map(str, range(len(ids))))}


def _accelerator(smi: AmdSmi, gpu: Gpu, handle: Any) -> Accelerator:
    driver = smi.ask("amdsmi_get_gpu_driver_info", handle) or {}
    limit_uw = smi.value("amdsmi_get_power_cap_info", handle, "power_cap")
    total_mb, used_mb = (smi.value("amdsmi_get_gpu_vram_usage", handle, key) for key in ("vram_total", "vram_used"))
    return Accelerator(
        id=gpu.uuid,
        kind="gpu",
        model=gpu.name,
        driver=driver.get("driver_version"),
        memory=AcceleratorMemory(total_mb=total_mb, used_mb=used_mb),
        limits=AcceleratorLimits(power_w=None if limit_uw is None else limit_uw / 1e6),
        processes=_processes(smi.ask("amdsmi_get_gpu_process_list", handle)),
    )


def _processes(answer: object) -> frozenset[int] | None:
    """Pids of a list of processes; None where the driver gives no such list."""
    if not isinstance(answer, list):
        return None
    return frozenset(one["pid"] for one in answer if isinstance(one, Mapping) and isinstance(one.get("pid"), int))
