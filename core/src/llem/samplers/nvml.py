"""NVIDIA GPUs by NVML: the total energy counter, power, and what explains them. The library is loaded on `open` only."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from llem.errors import SamplerUnavailable
from llem.samplers.cards import count_cards, power_cards, read_cards
from llem.samplers.nvml_library import Nvml
from llem.samplers.visible import Gpu, visible_gpus
from llem.specs.sampler import MODULE, Device, Method, Reading

COUNTER_PERIOD_S = 0.1
"""NVML documents no update period; cards show 20 to 100 ms."""

TELEMETRY_PERIOD_S = 0.5
"""Temperature, clocks, utilisation and memory change slowly and cost a call each; throttle reasons are read every time."""

TELEMETRY_SHARE = 10
"""At most one part in so many of the time goes into it."""

POWER_INSTANT = "NVML_FI_DEV_POWER_INSTANT"
GPU_SCOPE, MODULE_SCOPE = "NVML_POWER_SCOPE_GPU", "NVML_POWER_SCOPE_MODULE"
"""Of which part a field tells the power. Only superchips answer for their module; others say that they do not support it."""

POWER_USAGE = "nvmlDeviceGetPowerUsage"
AVERAGE_S = 1.0
"""Over so long the averaged power field averages (NVML's manual on nvmlDeviceGetPowerUsage)."""

GA100 = (8, 0)
"""The compute capability of the last card whose nvmlDeviceGetPowerUsage is instantaneous."""

MIG_NOTE = (
    "MIG is on: a card has one energy counter and one power reading for all its slices, so the energy of a slice cannot "
    "be told from its card's"
)


class _Card:
    """One metered card: what it can tell, and the state of its counter."""

    def __init__(self, nvml: Nvml, gpu: Gpu, handle: Any) -> None:
        self._nvml, self._handle, self.gpu = nvml, handle, gpu
        self.id = gpu.uuid
        mig = nvml.ask("nvmlDeviceGetMigMode", handle)
        self.mig = mig is not None and mig[0] == 1
        self.superchip = not self.mig and self._scoped_w(MODULE_SCOPE) is not None
        # On a superchip the counter is the whole module's, and NVML has none of the GPU alone.
        self.has_counter = not self.superchip and not self.mig and self.counted_j() is not None
        self.power_field: str | None = None
        if not self.mig:
            fields = ((POWER_INSTANT, self._instant_w), (POWER_USAGE, self._usage_w))
            self.power_field = next((name for name, read in fields if read() is not None), None)
        self._telemetry_due_ns = 0

    @property
    def methods(self) -> frozenset[Method]:
        """The methods by which its energy can be told."""
        found: dict[Method, bool] = {"counter": self.has_counter, "power": self.power_field is not None}
        return frozenset(method for method, there in found.items() if there)

    @property
    def averaged(self) -> bool:
        """The power field that is read is an average: nvmlDeviceGetPowerUsage after GA100, as NVML's manual says.

        A card that does not tell its architecture is taken for one of those.
        """
        capability = self._nvml.ask("nvmlDeviceGetCudaComputeCapability", self._handle)
        return self.power_field == POWER_USAGE and (capability is None or tuple(capability) > GA100)

    @property
    def update_period_s(self) -> float | None:
        """The period in which the value changes that its energy rests on, where that is known."""
        if self.has_counter:
            return COUNTER_PERIOD_S
        return AVERAGE_S if self.averaged else None

    @property
    def note(self) -> str | None:
        """A note that a reader of its figures needs."""
        if self.mig:
            return MIG_NOTE
        if self.superchip:
            return f"power field {self.power_field}; of the GPU alone, while the energy counter is the whole module's"
        if self.averaged:
            return f"power field {POWER_USAGE}; on this card an average over the last second"
        return f"power field {self.power_field}" if self.power_field else None

    def energy_j(self) -> float | None:
        """The counter as it stands; what it shows is judged where figures are made."""
        return self.counted_j() if self.has_counter else None

    def counted_j(self) -> float | None:
        """Value of the counter behind this handle, of whichever scope it is."""
        mj = self._nvml.ask("nvmlDeviceGetTotalEnergyConsumption", self._handle)
        return None if mj is None else mj / 1e3

    def module_w(self) -> float | None:
        """Instant power of the whole module; None where the card is on none."""
        return self._scoped_w(MODULE_SCOPE)

    def power_w(self) -> float | None:
        if self.power_field is None:
            return None
        return self._instant_w() if self.power_field == POWER_INSTANT else self._usage_w()

    def _instant_w(self) -> float | None:
        return self._scoped_w(GPU_SCOPE)

    def _scoped_w(self, scope: str) -> float | None:
        """Instant power of one scope, asked for by name: a superchip answers for its GPU and for its module."""
        field, number = getattr(self._nvml.lib, POWER_INSTANT, None), getattr(self._nvml.lib, scope, None)
        if field is None or (number is None and scope != GPU_SCOPE):
            return None
        values = self._nvml.ask("nvmlDeviceGetFieldValues", self._handle, [(field, number or 0)])
        return None if values is None or values[0].nvmlReturn != 0 else float(values[0].value.uiVal) / 1e3

    def max_power_w(self) -> float | None:
        """The most that the board may be set to, or is set to where it does not tell that."""
        limits = self._nvml.ask("nvmlDeviceGetPowerManagementLimitConstraints", self._handle)
        if limits is None:
            enforced = self._nvml.ask("nvmlDeviceGetEnforcedPowerLimit", self._handle)
            return None if enforced is None else enforced / 1e3
        return float(limits[1]) / 1e3

    def _usage_w(self) -> float | None:
        mw = self._nvml.ask("nvmlDeviceGetPowerUsage", self._handle)
        return None if mw is None else mw / 1e3

    def processes(self) -> Collection[int]:
        return self._nvml.processes(self._handle).keys()

    def telemetry(self, now_ns: int) -> dict[str, float]:
        """Further readings at this time; one that fails is left out."""
        ask, lib, handle = self._nvml.ask, self._nvml.lib, self._handle
        found: dict[str, float | None] = {"throttle_reasons": self._throttle_reasons()}
        if now_ns >= self._telemetry_due_ns:
            begun_ns = time.monotonic_ns()
            limit = ask("nvmlDeviceGetEnforcedPowerLimit", handle)
            memory, rates = self._nvml.memory(handle), ask("nvmlDeviceGetUtilizationRates", handle)
            found |= {
                "temperature_c": ask("nvmlDeviceGetTemperature", handle, lib.NVML_TEMPERATURE_GPU),
                "gpu_clock_mhz": ask("nvmlDeviceGetClockInfo", handle, lib.NVML_CLOCK_SM),
                "memory_clock_mhz": ask("nvmlDeviceGetClockInfo", handle, lib.NVML_CLOCK_MEM),
                "power_limit_w": None if limit is None else limit / 1e3,
                "memory_used_mb": None if memory is None else memory.used / 2**20,
                "utilization_pct": None if rates is None else rates.gpu,
            }
            # A driver that answers slowly is asked less often, so that power is not waited for.
            took_ns = time.monotonic_ns() - begun_ns
            self._telemetry_due_ns = now_ns + max(round(TELEMETRY_PERIOD_S * 1e9), TELEMETRY_SHARE * took_ns)
        return {name: float(value) for name, value in found.items() if value is not None}

    def _throttle_reasons(self) -> int | None:
        for function in ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"):
            bits: int | None = self._nvml.ask(function, self._handle)
            if bits is not None:
                return bits
        return None

    def environment(self) -> dict[str, object]:
        """Facts that explain its figures; what the card does not tell is None."""
        ask, lib, handle = self._nvml.ask, self._nvml.lib, self._handle
        limit, default = (
            ask(f"nvmlDeviceGet{name}", handle) for name in ("EnforcedPowerLimit", "PowerManagementDefaultLimit")
        )
        ecc, persistence = ask("nvmlDeviceGetEccMode", handle), ask("nvmlDeviceGetPersistenceMode", handle)
        memory, capability = self._nvml.memory(handle), ask("nvmlDeviceGetCudaComputeCapability", handle)
        return {
            "uuid": self.gpu.uuid,
            "name": self.gpu.name,
            "index": self.gpu.index,
            "compute_capability": None if capability is None else f"{capability[0]}.{capability[1]}",
            "memory_total_mb": None if memory is None else memory.total / 2**20,
            "power_limit_w": None if limit is None else limit / 1e3,
            "power_limit_default_w": None if default is None else default / 1e3,
            "gpu_clock_max_mhz": ask("nvmlDeviceGetMaxClockInfo", handle, lib.NVML_CLOCK_SM),
            "memory_clock_max_mhz": ask("nvmlDeviceGetMaxClockInfo", handle, lib.NVML_CLOCK_MEM),
            "gpu_clock_application_mhz": ask("nvmlDeviceGetApplicationsClock", handle, lib.NVML_CLOCK_SM),
            "memory_clock_application_mhz": ask("nvmlDeviceGetApplicationsClock", handle, lib.NVML_CLOCK_MEM),
            "persistence_mode": None if persistence is None else bool(persistence),
            "ecc": None if ecc is None else bool(ecc[0]),
            "mig": self.mig,
            "energy_counter": self.has_counter,
            "power_field": self.power_field,
            "superchip": self.superchip,
        }


class _Module:
    """The module that a superchip's GPU is on, with its CPU and memory: what NVML's counter and its module scope mean."""

    def __init__(self, card: _Card) -> None:
        self._card = card
        self.id = card.gpu.uuid + MODULE
        self.has_counter = card.counted_j() is not None

    def device(self) -> Device:
        """As a device of llem."""
        methods: frozenset[Method] = frozenset({"counter", "power"} if self.has_counter else {"power"})
        return Device(
            id=self.id,
            name=f"module of {self._card.gpu.name}",
            scope="module",
            methods=methods,
            update_period_s=COUNTER_PERIOD_S if self.has_counter else None,
            note=f"power field {POWER_INSTANT} of {MODULE_SCOPE}: GPU, CPU and memory of the superchip",
        )

    def energy_j(self) -> float | None:
        return self._card.counted_j() if self.has_counter else None

    def power_w(self) -> float | None:
        return self._card.module_w()

    def telemetry(self, now_ns: int) -> Mapping[str, float]:
        return {}  # is the GPU's


class NvmlSampler:
    """The cards that this process may use, by UUID."""

    def __init__(self) -> None:
        self._nvml: Nvml | None = None
        self._cards: list[_Card] = []
        self._modules: list[_Module] = []
        self._choice: str | None = None

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        self._nvml = Nvml()
        handles = self._nvml.cards()
        if not handles:
            raise SamplerUnavailable("NVML is there and lists no GPU.")
        gpus, self._choice = _choose([gpu for gpu, _ in handles], settings.get("devices"))
        by_uuid = {gpu.uuid: handle for gpu, handle in handles}
        self._cards = [_Card(self._nvml, gpu, by_uuid[gpu.uuid]) for gpu in gpus]
        if all(card.mig for card in self._cards):
            raise SamplerUnavailable(f"{MIG_NOTE}.", remedy="Measure on a whole card, with MIG off.")
        self._modules = [_Module(card) for card in self._cards if card.superchip]
        modules = {module.id for module in self._modules}
        cards = [
            Device(
                id=card.id,
                name=card.gpu.name,
                scope="gpu",
                methods=card.methods,
                contained_in=card.id + MODULE if card.id + MODULE in modules else None,
                update_period_s=card.update_period_s,
                max_power_w=card.max_power_w(),
                note="; ".join(filter(None, (card.note, self._choice))) or None,
            )
            for card in self._cards
        ]
        return [*cards, *(module.device() for module in self._modules)]

    def read(self) -> Sequence[Reading]:
        return read_cards([*self._cards, *self._modules])

    def counters(self) -> Mapping[str, tuple[int, float]]:
        """Cumulative energy alone, as fast as NVML answers: UUID to (monotonic ns, joules)."""
        return count_cards([*self._cards, *self._modules])

    def powers(self) -> Mapping[str, tuple[int, float]]:
        """Power alone, as fast as NVML answers: UUID to (monotonic ns, watts)."""
        return power_cards([*self._cards, *self._modules])

    def processes(self) -> Mapping[str, Collection[int]]:
        """Pids that hold memory on each card, ours among them."""
        return {card.gpu.uuid: card.processes() for card in self._cards}

    def environment(self) -> Mapping[str, object]:
        if self._nvml is None:
            return {}
        driver, cuda = self._nvml.versions()
        return {
            "driver": driver,
            "cuda_driver": cuda,
            "cuda_visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "gpus": [card.environment() for card in self._cards],
        }

    def close(self) -> None:
        if self._nvml is not None:
            self._nvml.close()
        self._nvml, self._cards, self._modules = None, [], []


def _choose(gpus: Sequence[Gpu], wanted: object) -> tuple[Sequence[Gpu], str | None]:
    """The cards to meter: those named, or those that CUDA would show to this process."""
    if isinstance(wanted, list | tuple | set | frozenset):
        named = [gpu for gpu in gpus if gpu.uuid in wanted]
        if not named:
            raise SamplerUnavailable("none of the devices that the experiment may use is a GPU of this host.")
        return named, None
    visible = visible_gpus(gpus, os.environ)
    if not visible.gpus:
        raise SamplerUnavailable(
            f"CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES')!r} leaves no GPU visible.",
            remedy="Name GPUs by index or UUID, or unset it.",
        )
    return visible.gpus, visible.note
