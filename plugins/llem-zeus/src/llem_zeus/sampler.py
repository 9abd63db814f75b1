"""Devices as Zeus sees them: the readings that a `ZeusMonitor` takes at the edges of its windows, taken on schedule.

GPUs by `zeus.device.get_gpus` (the total energy counter in mJ, else instant or average power in mW), CPU packages and
DRAM by `zeus.device.get_cpus` (RAPL, directly or through Zeus' daemon).
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from llem.plugin_api import MIG_NOTE, MODULE, Device, Method, Reading, SamplerUnavailable, Scope
from llem_zeus.cards import VARIABLES, Card, identify, may_use

COUNTER_PERIOD_S = 0.1
"""NVML documents no update period; cards show 20 to 100 ms."""

RAPL_PERIOD_S = 0.001

WAYS = {"get_instant_power_usage": "instant", "get_average_power_usage": "an average of the last second or so"}
"""Methods of Zeus that tell power, the best first, and what they tell."""


@dataclass
class _Meter:
    """One device, and how it is read. A counter that failed or went backwards is not trusted again."""

    device: Device
    energy_mj: Callable[[], float] | None
    power_mw: Callable[[], float] | None = None
    slow: bool = False
    _last_j: float | None = field(default=None, init=False)
    _failed: bool = field(default=False, init=False)

    def energy_j(self) -> float | None:
        """The counter, or None."""
        if self.energy_mj is None or self._failed:
            return None
        read = _told(self.energy_mj)
        if read is None or (self._last_j is not None and read / 1e3 < self._last_j):
            self._failed = True
            return None
        self._last_j = read / 1e3
        return self._last_j

    def power_w(self) -> float | None:
        """Power as the device reports it, or None."""
        read = _told(self.power_mw) if self.power_mw is not None else None
        return None if read is None else read / 1e3


class ZeusSampler:
    """GPUs by UUID, and RAPL zones by name, as Zeus finds them."""

    def __init__(self) -> None:
        self._meters: list[_Meter] = []
        self._gpu_names: list[str] = []
        self._missing: list[str] = []

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        with contextlib.redirect_stdout(io.StringIO()):  # amdsmi prints where ROCm is not installed
            try:
                import zeus.device  # noqa: F401 - here and not above: it is heavy
            except ImportError as error:
                raise SamplerUnavailable(
                    f"Zeus cannot be imported: {error}.", remedy="Install it: pip install llem-zeus."
                ) from error
            self._missing = []
            self._meters = [*self._gpus(settings.get("devices")), *self._cpus()]
        if not self._meters:
            raise SamplerUnavailable(
                f"Zeus finds nothing to measure: {'; '.join(self._missing)}.",
                remedy="It needs an NVIDIA GPU with its driver, an AMD GPU with ROCm, or RAPL counters that it may read.",
            )
        return [meter.device for meter in self._meters]

    def _gpus(self, wanted: object) -> list[_Meter]:
        from zeus.device import get_gpus
        from zeus.device.exception import ZeusBaseGPUError

        try:
            # Zeus takes indices alone from these variables; llem also knows UUIDs. So Zeus lists all cards, and llem chooses.
            with _without(VARIABLES):
                cards = [identify(gpu) for gpu in get_gpus().gpus]
        except (ZeusBaseGPUError, ValueError) as error:
            self._missing.append(f"no GPU ({error})")
            return []
        chosen = may_use(cards, wanted, os.environ)
        by_uuid = {card.gpu.uuid: card for card in cards}
        used = [by_uuid[gpu.uuid] for gpu in chosen.gpus]
        meters = [self._gpu(card, chosen.note) for card in used]
        self._gpu_names = [meter.device.name for meter in meters]
        meters += [self._module(card) for card in used if card.superchip and _counts(card)]
        if not meters:
            self._missing.append("the experiment may use none of its GPUs")
        elif not any(meter.device.methods for meter in meters):
            self._missing.append(f"no GPU ({'; '.join(filter(None, (meter.device.note for meter in meters)))})")
            return []
        return meters

    @staticmethod
    def _gpu(card: Card, note: str | None) -> _Meter:
        gpu, zeus = card.gpu, card.zeus
        if card.mig:
            return _Meter(Device(id=gpu.uuid, name=gpu.name, scope="gpu", methods=frozenset(), note=MIG_NOTE), None)
        has_counter = not card.superchip and _counts(card)
        way = None if card.module_power else _way(card)
        methods: dict[Method, bool] = {"counter": has_counter, "power": way is not None}
        field = f"power field zeus.{way}: {WAYS[way]}" if way else None
        alone = "of the GPU alone, while the energy counter is the whole module's" if card.superchip else None
        if card.module_power:
            alone = "Zeus reads counter and power of the whole module, and nothing of the GPU alone"
        return _Meter(
            Device(
                id=gpu.uuid,
                name=gpu.name,
                scope="gpu",
                methods=frozenset(method for method, there in methods.items() if there),
                update_period_s=COUNTER_PERIOD_S if has_counter else None,
                contained_in=gpu.uuid + MODULE if card.superchip and _counts(card) else None,
                note="; ".join(filter(None, (field, alone, note))) or None,
            ),
            zeus.get_total_energy_consumption if has_counter else None,
            getattr(zeus, way) if way else None,
        )

    @staticmethod
    def _module(card: Card) -> _Meter:
        """The module of a superchip: GPU, CPU and memory, which is what its counter means."""
        way = _way(card) if card.module_power else None
        field = f"; power field zeus.{way}: {WAYS[way]}" if way else ""
        device = Device(
            id=card.gpu.uuid + MODULE,
            name=f"module of {card.gpu.name}",
            scope="module",
            methods=frozenset({"counter", "power"} if way else {"counter"}),
            update_period_s=COUNTER_PERIOD_S,
            note=f"GPU, CPU and memory of the superchip{field}",
        )
        return _Meter(device, card.zeus.get_total_energy_consumption, getattr(card.zeus, way) if way else None)

    def _cpus(self) -> list[_Meter]:
        from zeus.device import get_cpus
        from zeus.device.exception import ZeusBaseCPUError

        try:
            packages = list(get_cpus().cpus)
        except (ZeusBaseCPUError, OSError) as error:
            self._missing.append(f"no CPU ({error})")
            return []
        meters = []
        for package in packages:
            zone = getattr(package, "rapl_file", None)  # none where Zeus' daemon reads it
            name = zone.name if zone is not None else f"package-{package.cpu_index}"
            scope: Scope = "host" if name.startswith("psys") else "cpu"
            meters.append(_zone(f"rapl:{name}", scope, _part(package, "cpu_mj")))
            if _told(package.supports_get_dram_energy_consumption):
                meters.append(_zone(f"rapl:{name}/dram", "dram", _part(package, "dram_mj")))
        return meters

    def read(self) -> Sequence[Reading]:
        readings = []
        for meter in self._meters:
            before = time.monotonic_ns()
            energy_j, power_w = meter.energy_j(), meter.power_w()
            # One that says nothing is still listed: its silence must be seen where its energy was counted.
            readings.append(Reading(meter.device.id, (before + time.monotonic_ns()) // 2, energy_j, power_w))
        return readings

    def counters(self) -> Mapping[str, tuple[int, float]]:
        """GPUs' cumulative energy alone, as fast as Zeus answers: UUID to (monotonic ns, joules)."""
        found = {}
        for meter in self._meters:
            before = time.monotonic_ns()
            energy_j = None if meter.slow else meter.energy_j()
            if energy_j is not None:
                found[meter.device.id] = ((before + time.monotonic_ns()) // 2, energy_j)
        return found

    def environment(self) -> Mapping[str, object]:
        seen = {name: os.environ.get(name) for name in VARIABLES}
        return {
            "zeus": version("zeus"),
            "gpus": self._gpu_names,
            "not_measured": self._missing,
            **{name.lower(): value for name, value in seen.items() if value is not None},
        }

    def close(self) -> None:
        self._meters = []


def _counts(card: Card) -> bool:
    """True where Zeus reads an energy counter behind this card, of whichever scope it is."""
    there = bool(_told(card.zeus.supports_get_total_energy_consumption))
    return there and _told(card.zeus.get_total_energy_consumption) is not None


def _way(card: Card) -> str | None:
    """The method of Zeus that tells a card's power; None where none does."""
    return next((name for name in WAYS if _told(getattr(card.zeus, name)) is not None), None)


def _zone(id_: str, scope: Scope, energy_mj: Callable[[], float]) -> _Meter:
    device = Device(
        id=id_, name=id_.replace(":", " "), scope=scope, methods=frozenset({"counter"}), update_period_s=RAPL_PERIOD_S
    )
    # Zeus starts a process for each zone at its first reading: only where the readings are taken, hence not for edges.
    return _Meter(device, energy_mj, slow=True)


def _part(package: Any, name: str) -> Callable[[], float]:
    """One of the two that Zeus reads of a package at once: `cpu_mj` or `dram_mj`."""

    def read() -> float:
        return float(getattr(package.get_total_energy_consumption(), name))

    return read


def _told(call: Callable[[], Any]) -> Any:
    """Zeus' answer, or None where it has none."""
    from zeus.exception import ZeusBaseError

    try:
        return call()
    except (ZeusBaseError, OSError, ValueError):
        return None


@contextlib.contextmanager
def _without(names: Sequence[str]) -> Iterator[None]:
    """Hide environment variables for a moment."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
