"""The GPUs that a process may use, by `CUDA_VISIBLE_DEVICES`. Pure functions over the variable and the cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llem.errors import SamplerUnavailable


@dataclass(frozen=True)
class Gpu:
    """A card: place in the order of the PCI bus, UUID, product name."""

    index: int
    uuid: str
    name: str


@dataclass(frozen=True)
class Visible:
    """Cards that may be used, in CUDA's order, and what a reader must know about the choice."""

    gpus: Sequence[Gpu]
    note: str | None = None


def visible_gpus(gpus: Sequence[Gpu], environ: Mapping[str, str]) -> Visible:
    """Resolve `CUDA_VISIBLE_DEVICES` to cards.

    As CUDA does: the list ends at the first entry that names no card; an entry is an index, a UUID or the beginning of
    exactly one; a card that is named twice leaves none. Indices follow the PCI bus only with CUDA_DEVICE_ORDER=PCI_BUS_ID:
    otherwise the fastest card is first, and where cards differ nobody but CUDA knows the order. Then every card is
    metered, and the engine's report of the cards that it used decides what is added.

    Raises:
        SamplerUnavailable: a MIG slice is named; its energy cannot be told from its card's.
    """
    value = environ.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return Visible(gpus)
    entries = [entry.strip() for entry in value.split(",")]
    mig = next((e for e in entries if e.upper().startswith("MIG")), None)
    if mig is not None:
        raise SamplerUnavailable(
            f"CUDA_VISIBLE_DEVICES names the MIG slice {mig}: a card has one energy counter for all its slices, so the "
            "energy of a slice cannot be told from its card's.",
            remedy="Measure on a whole card, with MIG off.",
        )
    chosen: list[Gpu] = []
    by_index = False
    for entry in entries:
        found = _find(gpus, entry)
        if found is None:
            break
        by_index = by_index or not entry.upper().startswith("GPU-")
        chosen.append(found)
    if len({gpu.uuid for gpu in chosen}) < len(chosen):
        return Visible([])
    ordered = environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID" or len({gpu.name for gpu in gpus}) <= 1
    if by_index and not ordered and len(chosen) < len(gpus):
        return Visible(
            gpus,
            "CUDA_VISIBLE_DEVICES names indices, the cards differ and CUDA_DEVICE_ORDER is not PCI_BUS_ID: all are metered",
        )
    return Visible(chosen)


def _find(gpus: Sequence[Gpu], entry: str) -> Gpu | None:
    if entry.isascii() and entry.isdigit():
        return next((gpu for gpu in gpus if gpu.index == int(entry)), None)
    if not entry.upper().startswith("GPU-") or len(entry) <= len("GPU-"):
        return None
    matching = [gpu for gpu in gpus if gpu.uuid.lower().startswith(entry.lower())]
    return matching[0] if len(matching) == 1 else None
