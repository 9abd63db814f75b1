"""Devices that TensorRT-LLM computes on: their stable ids, their kinds, and the energy that they count themselves."""

from __future__ import annotations

from collections.abc import Collection

from llem.plugin_api import Nvml, SamplerUnavailable
from llem_engines.facts import card_id

_MJ = 1e-3


def devices_of(count: int) -> list[str]:
    """`GPU-…` of each of the first so many cards, which are those that it takes."""
    return [card_id(place) for place in range(count)]


def kinds_of(count: int) -> tuple[str, ...]:
    """Compute capability and name of each: an engine that was built for one kind does not run on another."""
    import torch

    found = [torch.cuda.get_device_properties(place) for place in range(count)]
    return tuple(f"sm{one.major}{one.minor} {one.name}" for one in found)


def counted_j(ids: Collection[str]) -> dict[str, float]:
    """Energy that each of these cards has counted so far (J); of a card without a counter nothing."""
    try:
        nvml = Nvml()
    except SamplerUnavailable:
        return {}
    asked = {
        gpu.uuid: nvml.ask("nvmlDeviceGetTotalEnergyConsumption", handle)
        for gpu, handle in nvml.cards()
        if gpu.uuid in ids
    }
    return {uuid: value * _MJ for uuid, value in asked.items() if value is not None}


def difference_j(before: dict[str, float], after: dict[str, float], ids: Collection[str]) -> float | None:
    """Energy between two counts; None where a card has none, or was counted anew in between."""
    if not ids or any(uuid not in before or uuid not in after or after[uuid] < before[uuid] for uuid in ids):
        return None
    return sum(after[uuid] - before[uuid] for uuid in ids)
