"""The measures and estimates of CodeCarbon's tracker, device by device, without its emissions, files and threads.

The tracker chooses how each part of this machine is measured, as it does anywhere; its hardware objects are then asked for
the energy since the time before, which is added up. GPUs: NVML's counter. CPU: RAPL where it may read it, else a model of
the load and the rated power. RAM: a model of the number of modules.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from llem.plugin_api import (
    MIG_NOTE,
    Device,
    Gpu,
    Reading,
    SamplerUnavailable,
    Visible,
    visible_gpus,
)
from llem_amd.sampler import uuid_of, visible_amd_gpus
from llem_codecarbon.parts import GpuPart, HostPart, Part

NO_ENERGY = "the card shows no energy, as the second die of a card does whose first shows both"


class CodeCarbonSampler:
    """GPUs by UUID; `codecarbon:cpu` and `codecarbon:ram`."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._hardware: dict[str, Any] = {}

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        with _quiet():
            try:
                from codecarbon import OfflineEmissionsTracker  # here and not above: it is heavy
            except ImportError as error:
                raise SamplerUnavailable(
                    f"CodeCarbon cannot be imported: {error}.", remedy="Install it: pip install llem-codecarbon."
                ) from error
            # Offline and without outputs it asks no network and writes no file; the country is needed and not used.
            rated = settings.get("cpu_tdp_w")
            given: dict[str, Any] = {} if rated is None else {"force_cpu_power": rated}
            tracker = OfflineEmissionsTracker(
                country_iso_code="USA",
                output_methods=[],
                tracking_mode="machine",
                allow_multiple_runs=True,
                log_level="error",
                **given,
            )
            self._hardware = dict(tracker.get_detected_hardware())
            parts = list(self._gpus(tracker._hardware, settings.get("devices")))
        self._parts = [*parts, *(HostPart(h) for h in tracker._hardware if type(h).__name__ in ("CPU", "RAM"))]
        for part in self._parts:
            part.start()
        return [part.device for part in self._parts]

    @staticmethod
    def _gpus(hardware: Sequence[Any], wanted: object) -> Iterator[Part]:
        cards = [card for one in hardware if type(one).__name__ == "GPU" for card in one.devices.devices]
        by_uuid: dict[str, Any] = {}
        gpus: list[Gpu] = []
        for card in cards:
            facts = card.get_static_details()
            uuid = uuid_of(_amdsmi(), card.handle) if _is_amd(card) else facts["uuid"]
            by_uuid[uuid] = card
            gpus.append(Gpu(facts["gpu_index"], uuid, facts["name"]))
        if isinstance(wanted, list | tuple | set | frozenset):
            visible = Visible([gpu for gpu in gpus if gpu.uuid in wanted])
        elif any(_is_amd(card) for card in cards):
            visible = visible_amd_gpus(gpus, os.environ)
        else:  # CodeCarbon reads the variable too, and does not find a card by its UUID
            visible = visible_gpus(gpus, os.environ)
        for gpu in visible.gpus:
            card = by_uuid[gpu.uuid]
            silent = MIG_NOTE if _is_sliced(card) else NO_ENERGY if _shows_zero(card) else None
            if silent is not None:
                yield Part(Device(id=gpu.uuid, name=gpu.name, scope="gpu", methods=frozenset(), note=silent))
            else:
                yield GpuPart(card, gpu, visible.note)

    def read(self) -> Sequence[Reading]:
        return [part.read() for part in self._parts]

    def environment(self) -> Mapping[str, object]:
        return {"codecarbon": version("codecarbon"), "hardware": self._hardware}

    def close(self) -> None:
        self._parts = []


def _is_amd(card: Any) -> bool:
    return type(card).__name__ == "AMDGPUDevice"


def _amdsmi() -> Any:
    import amdsmi  # where CodeCarbon lists an AMD card it is there

    return amdsmi


def _shows_zero(card: Any) -> bool:
    """An accumulator of 0 J does not count, nor does a power of 0 W, whatever CodeCarbon takes it for: what is not measured is not 0."""
    if card.last_energy is not None:
        return bool(card.last_energy.kWh == 0)
    return not card._read_power_watts()


def _is_sliced(card: Any) -> bool:
    """Tell whether MIG is on: then a card's energy is not that of a slice."""
    import pynvml

    try:
        return bool(pynvml.nvmlDeviceGetMigMode(card.handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE)
    except (pynvml.NVMLError, TypeError, AttributeError):  # no MIG on this kind of card, or no NVIDIA card
        return False


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what CodeCarbon and amdsmi say while they are set up off the terminal."""
    logger = logging.getLogger("codecarbon")
    before = logger.disabled
    logger.disabled = True
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.disabled = before
