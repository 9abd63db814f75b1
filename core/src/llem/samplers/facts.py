"""The accelerators that this process may use, as typed facts, whichever sampler meters them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

from llem.errors import SamplerUnavailable
from llem.samplers.amd import AmdSampler
from llem.samplers.nvml import NvmlSampler
from llem.specs.sampler import DescribingSampler, DeviceFacts


def device_facts(samplers: Iterable[object] = ()) -> list[DeviceFacts]:
    """Facts that NVML and AMD SMI tell, then what samplers tell of further devices; empty where nothing tells of any.

    Args:
        samplers: that are open; those that describe their devices are asked.
    """
    found: dict[str, DeviceFacts] = {}
    for library in (NvmlSampler(), AmdSampler()):
        try:
            with suppress(
                SamplerUnavailable
            ):  # no such cards here; those of which there are slices alone are told none the less
                library.open({})
            found |= {one.id: one for one in library.device_facts()}
        finally:
            library.close()
    for sampler in samplers:
        if isinstance(sampler, DescribingSampler):
            found |= {one.id: _merged(found.get(one.id), one) for one in sampler.device_facts()}
    return list(found.values())


def _merged(known: DeviceFacts | None, told: DeviceFacts) -> DeviceFacts:
    """Merge facts: what is known already stays, and a sampler adds to it."""
    if known is None:
        return told
    return told.model_copy(update={k: v for k, v in known.model_dump().items() if v is not None})


def with_use(found: Sequence[DeviceFacts], used: Collection[str]) -> list[DeviceFacts]:
    """The same, with which of them the engine says that it uses; one that nothing else told of is added by its id.

    Args:
        used: the engine's devices, `cpu` among them where it computes there.
    """
    known = {one.id for one in found}
    more = [DeviceFacts(id=one) for one in used if one not in known and one != "cpu"]
    return [one.model_copy(update={"in_use": one.id in used}) for one in (*found, *more)]
