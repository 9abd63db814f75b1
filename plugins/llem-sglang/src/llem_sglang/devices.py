"""Devices that SGLang computes on, by their stable ids."""

from __future__ import annotations

from llem.plugin_api import Section
from llem_engines.facts import card_id
from llem_sglang.config import gpus


def devices_of(options: Section) -> list[str]:
    """`GPU-…` of each card that the section takes, in SGLang's order; `cpu` without one."""
    import torch

    count = gpus(options)
    if not count or not torch.cuda.is_available():
        return [str(getattr(options, "device", None) or "cpu")]
    first, step = getattr(options, "base_gpu_id", 0), getattr(options, "gpu_id_step", 1)
    places = [first + step * place for place in range(count)]
    return [card_id(place) for place in places]
