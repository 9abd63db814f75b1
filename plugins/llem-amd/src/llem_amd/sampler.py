"""AMD GPUs by AMD SMI: the energy accumulator, socket power, and what explains them. The library is loaded on `open` only.

The bindings (package amdsmi) come with ROCm and have to fit its libamd_smi.so, so that llem does not depend on them.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

from llem.plugin_api import (
    Device,
    Gpu,
    Method,
    Reading,
    SamplerUnavailable,
    Visible,
    count_cards,
    power_cards,
    read_cards,
    visible_gpus,
)

COUNTER_PERIOD_S = 0.1
"""AMD SMI documents no update period of the accumulator; the firmware's metrics table is refreshed about so often."""

TELEMETRY_PERIOD_S = 0.5

POWER_FIELDS = ("current_socket_power", "average_socket_power")
"""Instant power on MI300 and later, average power on earlier cards; the other is not available, which amdsmi says as text."""

AMD_VARIABLES = ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
"""Variables that limit the cards of a ROCm process: ROCr's first, then HIP's (or CUDA's in its place)."""

_REMEDY = (
    "On a machine with an AMD GPU, install ROCm's amd-smi-lib and its Python bindings of the same version "
    "(pip install /opt/rocm/share/amd_smi); in a container, pass in /dev/kfd and /dev/dri."
)


class AmdSmi:
    """The loaded library. Calls answer None where the card or the driver cannot.

    Raises:
        SamplerUnavailable: there are no bindings, no library, no driver, or they do not fit each other.
    """

    def __init__(self) -> None:
        try:
            # Without its library amdsmi prints, and fails with whatever it meets first.
            with contextlib.redirect_stdout(io.StringIO()):
                import amdsmi
        except ImportError as error:
            raise SamplerUnavailable(f"the AMD SMI bindings cannot be imported: {error}.", remedy=_REMEDY) from error
        except (OSError, KeyError) as error:
            raise SamplerUnavailable("libamd_smi.so, AMD's library, is not found.", remedy=_REMEDY) from error
        except AttributeError as error:
            raise SamplerUnavailable(
                f"the AMD SMI bindings and libamd_smi.so are of different versions: {error}.", remedy=_REMEDY
            ) from error
        self.lib: Any = amdsmi
        try:
            amdsmi.amdsmi_init(amdsmi.AmdSmiInitFlags.INIT_AMD_GPUS)
        except amdsmi.AmdSmiException as error:
            raise SamplerUnavailable(f"AMD SMI does not start: {_message(error)}.", remedy=_REMEDY) from error

    def ask(self, function: str, *arguments: Any) -> Any:
        """The answer of a function of amdsmi, or None where it fails or this version has none of that name."""
        call = getattr(self.lib, function, None)
        if call is None:
            return None
        try:
            return call(*arguments)
        except (self.lib.AmdSmiException, OSError, ValueError):
            return None

    def value(self, function: str, handle: Any, key: str, *arguments: Any) -> float | None:
        """One number of an answer that is a mapping; amdsmi says `N/A` where a card has none."""
        answer = self.ask(function, handle, *arguments)
        found = answer.get(key) if isinstance(answer, Mapping) else None
        return float(found) if isinstance(found, int | float) else None

    def cards(self) -> list[tuple[Gpu, Any]]:
        """Every card that answers, with its handle, in HIP's order."""
        handles = self.ask("amdsmi_get_processor_handles") or []
        order = {id(h): self.value("amdsmi_get_gpu_enumeration_info", h, "hip_id") for h in handles}
        found = []
        for at, handle in enumerate(handles):
            place = order[id(handle)]
            uuid = uuid_of(self.lib, handle)
            if uuid:
                asic = self.ask("amdsmi_get_gpu_asic_info", handle) or {}
                found.append(
                    (Gpu(at if place is None else int(place), uuid, asic.get("market_name") or "AMD GPU"), handle)
                )
        return sorted(found, key=lambda card: card[0].index)

    def energy_j(self, handle: Any) -> float | None:
        """Cumulative energy: accumulator x resolution (microjoules). An accumulator of 0 is one that does not count."""
        answer = self.ask("amdsmi_get_energy_count", handle)
        if not isinstance(answer, Mapping):
            return None
        count = answer.get("energy_accumulator", answer.get("power"))  # so called before ROCm 6.3
        resolution_uj = answer.get("counter_resolution")
        if not isinstance(count, int) or not isinstance(resolution_uj, int | float) or count * resolution_uj <= 0:
            return None
        # The binding gives a C float: 15.3 comes as 15.300000190734863.
        return count * round(resolution_uj, 6) / 1e6

    def close(self) -> None:
        """Let go of the library."""
        self.ask("amdsmi_shut_down")


def uuid_of(lib: Any, handle: Any) -> str:
    """The id that HIP and ROCR_VISIBLE_DEVICES know the card by (`GPU-` and hexadecimal digits), else AMD SMI's own.

    Empty where the card tells neither.
    """
    for function, key in (("amdsmi_get_gpu_enumeration_info", "hip_uuid"), ("amdsmi_get_gpu_device_uuid", None)):
        try:
            answer = getattr(lib, function)(handle)
        except (AttributeError, lib.AmdSmiException):
            continue
        found = answer.get(key) if key else answer
        if isinstance(found, str) and found not in ("", "N/A"):
            return found
    return ""


def visible_amd_gpus(gpus: Sequence[Gpu], environ: Mapping[str, str]) -> Visible:
    """Resolve `ROCR_VISIBLE_DEVICES`, then `HIP_VISIBLE_DEVICES` or `CUDA_VISIBLE_DEVICES`, to cards in HIP's order."""
    rocr, hip, cuda = AMD_VARIABLES
    left = list(gpus)
    for name in (rocr, hip if hip in environ else cuda):
        if name in environ:
            within = [Gpu(at, gpu.uuid, gpu.name) for at, gpu in enumerate(left)]
            chosen = visible_gpus(within, {"CUDA_VISIBLE_DEVICES": environ[name], "CUDA_DEVICE_ORDER": "PCI_BUS_ID"})
            by_uuid = {gpu.uuid: gpu for gpu in left}
            left = [by_uuid[gpu.uuid] for gpu in chosen.gpus]
    return Visible(left)


class _Card:
    """One metered card: what it can tell, and the state of its accumulator."""

    def __init__(self, smi: AmdSmi, gpu: Gpu, handle: Any) -> None:
        self._smi, self._handle, self.gpu = smi, handle, gpu
        self.id = gpu.uuid
        self.has_counter = smi.energy_j(handle) is not None
        # The second die of an MI250 shows 0 W: the first shows both.
        self.power_field = next(
            (name for name in POWER_FIELDS if smi.value("amdsmi_get_power_info", handle, name)), None
        )
        self._telemetry_ns = 0

    def device(self) -> Device:
        """As a device of llem."""
        there: dict[Method, bool] = {"counter": self.has_counter, "power": self.power_field is not None}
        notes = []
        if self.power_field:
            kind = "instant" if self.power_field == POWER_FIELDS[0] else "an average"
            notes.append(f"power field {self.power_field}: {kind}")
        elif not self.has_counter:
            notes.append(
                "the card shows neither energy nor power, as the second die of a card does whose first shows both"
            )
        if "MI250" in self.gpu.name and there["power"]:
            notes.append("two dies in one package: the figures are those of both")
        return Device(
            id=self.gpu.uuid,
            name=self.gpu.name,
            scope="gpu",
            methods=frozenset(method for method, found in there.items() if found),
            update_period_s=COUNTER_PERIOD_S if self.has_counter else None,
            max_power_w=self._max_power_w(),
            note="; ".join(notes) or None,
        )

    def _max_power_w(self) -> float | None:
        """The highest power cap that the card may be set to, else the one in force."""
        caps = (
            self._smi.value("amdsmi_get_power_cap_info", self._handle, key) for key in ("max_power_cap", "power_cap")
        )
        highest_uw = max((cap for cap in caps if cap is not None), default=0.0)
        return highest_uw / 1e6 if highest_uw > 0 else None

    def energy_j(self) -> float | None:
        """The accumulator as it stands; what it shows is judged where figures are made."""
        return self._smi.energy_j(self._handle) if self.has_counter else None

    def power_w(self) -> float | None:
        return self._smi.value("amdsmi_get_power_info", self._handle, self.power_field) if self.power_field else None

    def telemetry(self, now_ns: int) -> dict[str, float]:
        """Further readings at this time; one that fails is left out."""
        if now_ns - self._telemetry_ns < TELEMETRY_PERIOD_S * 1e9:
            return {}
        self._telemetry_ns = now_ns
        smi, lib, handle = self._smi, self._smi.lib, self._handle
        temperature = smi.ask(
            "amdsmi_get_temp_metric", handle, lib.AmdSmiTemperatureType.HOTSPOT, lib.AmdSmiTemperatureMetric.CURRENT
        )
        limit_uw = smi.value("amdsmi_get_power_cap_info", handle, "power_cap")
        if temperature is not None and temperature >= 1000:  # some releases give thousandths of a degree
            temperature /= 1000
        found = {
            "temperature_c": temperature,
            "gpu_clock_mhz": smi.value("amdsmi_get_clock_info", handle, "clk", lib.AmdSmiClkType.GFX),
            "memory_clock_mhz": smi.value("amdsmi_get_clock_info", handle, "clk", lib.AmdSmiClkType.MEM),
            "power_limit_w": None if limit_uw is None else limit_uw / 1e6,
            "memory_used_mb": smi.value("amdsmi_get_gpu_vram_usage", handle, "vram_used"),
            "utilization_pct": smi.value("amdsmi_get_gpu_activity", handle, "gfx_activity"),
        }
        return {name: float(value) for name, value in found.items() if value is not None}

    def environment(self) -> dict[str, object]:
        """Facts that explain its figures; what the card does not tell is None."""
        limit_uw, default_uw = (
            self._smi.value("amdsmi_get_power_cap_info", self._handle, key)
            for key in ("power_cap", "default_power_cap")
        )
        asic = self._smi.ask("amdsmi_get_gpu_asic_info", self._handle) or {}
        driver = self._smi.ask("amdsmi_get_gpu_driver_info", self._handle) or {}
        return {
            "uuid": self.gpu.uuid,
            "name": self.gpu.name,
            "index": self.gpu.index,
            "architecture": asic.get("target_graphics_version"),
            "driver": driver.get("driver_version"),
            "memory_total_mb": self._smi.value("amdsmi_get_gpu_vram_usage", self._handle, "vram_total"),
            "power_limit_w": None if limit_uw is None else limit_uw / 1e6,
            "power_limit_default_w": None if default_uw is None else default_uw / 1e6,
            "energy_counter": self.has_counter,
            "power_field": self.power_field,
        }


class AmdSampler:
    """The cards that this process may use, by the id that HIP gives them."""

    def __init__(self) -> None:
        self._smi: AmdSmi | None = None
        self._cards: list[_Card] = []

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        self._smi = AmdSmi()
        handles = self._smi.cards()
        if not handles:
            raise SamplerUnavailable("AMD SMI is there and lists no GPU.")
        gpus, wanted = [gpu for gpu, _ in handles], settings.get("devices")
        if isinstance(wanted, list | tuple | set | frozenset):
            chosen = [gpu for gpu in gpus if gpu.uuid in wanted]
        else:
            chosen = list(visible_amd_gpus(gpus, os.environ).gpus)
        if not chosen:
            raise SamplerUnavailable(
                "the experiment may use no AMD GPU of this host.", remedy=f"Look at {', '.join(AMD_VARIABLES)}."
            )
        by_uuid = {gpu.uuid: handle for gpu, handle in handles}
        self._cards = [_Card(self._smi, gpu, by_uuid[gpu.uuid]) for gpu in chosen]
        return [card.device() for card in self._cards]

    def read(self) -> Sequence[Reading]:
        return read_cards(self._cards)

    def counters(self) -> Mapping[str, tuple[int, float]]:
        """Cumulative energy alone, as fast as AMD SMI answers: id to (monotonic ns, joules)."""
        return count_cards(self._cards)

    def powers(self) -> Mapping[str, tuple[int, float]]:
        """Power alone, as fast as AMD SMI answers: id to (monotonic ns, watts)."""
        return power_cards(self._cards)

    def environment(self) -> Mapping[str, object]:
        seen = {name.lower(): os.environ[name] for name in AMD_VARIABLES if name in os.environ}
        return {"gpus": [card.environment() for card in self._cards], **seen}

    def close(self) -> None:
        if self._smi is not None:
            self._smi.close()
        self._smi, self._cards = None, []


def _message(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
