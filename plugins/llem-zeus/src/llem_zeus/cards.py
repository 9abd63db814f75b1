"""The cards behind Zeus' GPU objects, and those of them that this process may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llem.plugin_api import Gpu, Visible, visible_gpus
from llem_amd.sampler import uuid_of, visible_amd_gpus

VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
"""Variables that Zeus reads."""


@dataclass(frozen=True)
class Card:
    """A GPU object of Zeus (`handle`), named as llem's own samplers name the same card.

    Attributes:
        superchip: the GPU is on a module with its CPU, and NVML's energy counter is the module's.
        module_power: the power that Zeus reads is the module's too.
    """

    gpu: Gpu
    zeus: Any
    amd: bool
    mig: bool
    superchip: bool
    module_power: bool = False


def identify(zeus: Any) -> Card:
    """Whose card it is, its UUID, and whether MIG is on. Zeus tells none of these."""
    from zeus.device.gpu.nvidia import NVIDIAGPU

    if not isinstance(zeus, NVIDIAGPU):
        import amdsmi

        return Card(
            Gpu(zeus.gpu_index, uuid_of(amdsmi, zeus.handle), zeus.get_name()),
            zeus,
            amd=True,
            mig=False,
            superchip=False,
        )
    import pynvml

    try:
        mig = pynvml.nvmlDeviceGetMigMode(zeus.handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE
    except pynvml.NVMLError:  # this kind of card has no MIG
        mig = False
    uuid: str = pynvml.nvmlDeviceGetUUID(zeus.handle)
    superchip = not mig and _on_module(pynvml, zeus.handle)
    return Card(
        Gpu(zeus.gpu_index, uuid, zeus.get_name()),
        zeus,
        amd=False,
        mig=mig,
        superchip=superchip,
        module_power=superchip and _is_linked(pynvml, zeus.handle),
    )


def _on_module(pynvml: Any, handle: Any) -> bool:
    """True where NVML tells power of the card's module too, as it does on superchips alone. Zeus does not ask."""
    try:
        asked = pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_POWER_SCOPE_MODULE
        return bool(pynvml.nvmlDeviceGetFieldValues(handle, [asked])[0].nvmlReturn == 0)
    except (AttributeError, pynvml.NVMLError):  # older bindings, or an older driver
        return False


def _is_linked(pynvml: Any, handle: Any) -> bool:
    """True where a link from chip to chip is on: there Zeus asks for the power of the module, else for that of the GPU."""
    try:
        return bool(pynvml.nvmlDeviceGetC2cModeInfoV(handle).isC2cEnabled)
    except (AttributeError, pynvml.NVMLError):
        return False


def may_use(cards: Sequence[Card], wanted: object, environ: Mapping[str, str]) -> Visible:
    """Cards that the experiment may use: those named, or those that the environment leaves visible.

    Raises:
        SamplerUnavailable: a MIG slice is named.
    """
    gpus = [card.gpu for card in cards]
    if isinstance(wanted, list | tuple | set | frozenset):
        return Visible([gpu for gpu in gpus if gpu.uuid in wanted])
    return visible_amd_gpus(gpus, environ) if any(card.amd for card in cards) else visible_gpus(gpus, environ)
