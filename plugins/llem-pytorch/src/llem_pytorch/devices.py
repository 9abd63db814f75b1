"""The devices of a loaded model: their stable ids, their memory, their clock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from llem.plugin_api import MemoryReading

MIB = 2**20


def devices_of(model: Any) -> list[torch.device]:
    """Every accelerator that the model computes on, in order; the CPU only where there is no accelerator.

    Layers that a device map left in host memory or on disk are computed on an accelerator too.
    """
    used = {torch.device(p.device) for p in model.parameters()} | {torch.device(b.device) for b in model.buffers()}
    for place in getattr(model, "hf_device_map", None) or ():
        where = model.hf_device_map[place]
        if where != "disk":
            used.add(torch.device("cuda", where) if isinstance(where, int) else torch.device(where))
    found = [_indexed(device) for device in used if device.type not in ("cpu", "meta")]
    return sorted(set(found), key=lambda device: device.index or 0) or [torch.device("cpu")]


def stable_id(device: torch.device) -> str:
    """`GPU-…` UUID of a GPU, as NVML and HIP have it; else the name of the device's kind."""
    if device.type != "cuda":
        return device.type
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    if torch.version.hip is not None:
        uuid = hip_id(uuid)
    return uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"


def hip_id(uuid: str) -> str:
    """The id by which HIP and AMD SMI call a card: its UUID holds sixteen hexadecimal digits as characters.

    What does not, stays as it is.
    """
    try:
        digits = bytes.fromhex(uuid.replace("-", "")).decode("ascii")
    except ValueError:
        return uuid
    return f"GPU-{digits}" if re.fullmatch(r"[0-9a-fA-F]{16}", digits) else uuid


def current_device(device: torch.device) -> AbstractContextManager[Any]:
    """Make a GPU the thread's current one: kernels of other packages launch there, and its memory is the one that is asked for."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def synchronize(devices: Sequence[torch.device]) -> None:
    """Return when these devices have done what was given to them. The CPU has no queue: what it was given is done."""
    for device in devices:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()


def read_memory(devices: Sequence[torch.device], *, reset_peak: bool) -> MemoryReading:
    """Memory that torch's allocator holds on these devices, in MiB, summed. On the CPU it keeps no account: None.

    The sum of peaks is what the devices needed, even where they did not peak at one instant. Apple's allocator has no peak.
    """
    if all(device.type == "cuda" for device in devices):
        allocated = sum(torch.cuda.memory_allocated(device) for device in devices) / MIB
        peak = sum(torch.cuda.max_memory_allocated(device) for device in devices) / MIB
        if reset_peak:
            for device in devices:
                torch.cuda.reset_peak_memory_stats(device)
        return MemoryReading(allocated, peak, "allocator")
    if all(device.type == "mps" for device in devices):
        return MemoryReading(torch.mps.current_allocated_memory() / MIB, None, None)
    return MemoryReading(None, None, None)


def _indexed(device: torch.device) -> torch.device:
    return device if device.index is not None else torch.device(device.type, 0)
