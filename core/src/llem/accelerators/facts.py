"""The accelerators that this process may use, as the typed facts of a result, whichever sampler meters them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from llem.accelerators.asking import accelerators_here
from llem.results.facts import DeviceFacts
from llem.specs.accelerator import Accelerator
from llem.specs.registry import SpecRegistry
from llem.specs.sampler import DescribingSampler


def device_facts(registry: SpecRegistry, samplers: Iterable[object] = ()) -> list[DeviceFacts]:
    """Facts that the makers of accelerators tell, then what samplers tell of further devices; empty where nothing tells of any.

    Args:
        samplers: that are open; those that describe their devices are asked.
    """
    found = {one.id: facts_of(one) for one in accelerators_here(registry)}
    for sampler in samplers:
        if isinstance(sampler, DescribingSampler):
            found |= {one.id: _merged(found.get(one.id), one) for one in sampler.device_facts()}
    return list(found.values())


def facts_of(accelerator: Accelerator) -> DeviceFacts:
    """An accelerator as a result tells it: what changes its energy, and not what it held when it was asked."""
    limits, settings = accelerator.limits, accelerator.settings
    return DeviceFacts(
        id=accelerator.id,
        model=accelerator.model,
        driver=accelerator.driver,
        cuda=settings.runtime,
        power_limit_w=limits.power_w,
        gpu_clock_application_mhz=limits.clock_mhz,
        memory_clock_application_mhz=limits.memory_clock_mhz,
        persistence_mode=settings.persistence_mode,
        ecc=settings.ecc,
        mig=settings.partitioned,
    )


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
