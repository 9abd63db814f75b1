"""One part of the machine as CodeCarbon knows it: energy since the time before, added up."""

from __future__ import annotations

import time
from typing import Any

from llem.plugin_api import Device, Gpu, Method, Reading

J_PER_KWH = 3.6e6
COUNTER_PERIOD_S = 0.1
"""NVML documents no update period; cards show 20 to 100 ms."""

MODEL_PERIOD_S = 1.0
"""CodeCarbon looks at the load once a second. Its model is no straight line, so that a finer step would give other figures."""

RAPL_PERIOD_S = 0.001


class Part:
    """A device that is listed and tells nothing, such as a card with MIG."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def start(self) -> None:
        """Begin to count."""

    def read(self) -> Reading:
        """Its reading now."""
        return Reading(self.device.id, time.monotonic_ns())


class GpuPart(Part):
    """A GPU by its counter, or by its power where it has none.

    Where its counter fails or goes backwards CodeCarbon goes on with power and says so in a log. Here the figure ends.
    """

    def __init__(self, card: Any, gpu: Gpu, note: str | None) -> None:
        self._card = card
        self._counts = card._has_counter
        method: Method = "counter" if self._counts else "power"
        power = None if self._counts else "power field codecarbon: on recent cards an average over the last second"
        super().__init__(
            Device(
                id=gpu.uuid,
                name=gpu.name,
                scope="gpu",
                methods=frozenset({method}),
                update_period_s=COUNTER_PERIOD_S if self._counts else None,
                note="; ".join(filter(None, (power, note))) or None,
            )
        )
        self._energy_j: float | None = 0.0
        self._last_ns = 0

    def start(self) -> None:
        self._card.start()
        self._last_ns = time.monotonic_ns()

    def read(self) -> Reading:
        from codecarbon.core.units import Time

        before = time.monotonic_ns()
        told = self._card.delta(Time.from_seconds(max(before - self._last_ns, 1) / 1e9))
        t_ns = (before + time.monotonic_ns()) // 2
        self._last_ns = before
        if not self._counts:
            watts = told["power_usage"].W
            return Reading(self.device.id, t_ns, power_w=watts if watts > 0 else None)
        if self._card._use_power_fallback:
            self._energy_j = None
        if self._energy_j is not None:
            self._energy_j += told["delta_energy_consumption"].kWh * J_PER_KWH
        return Reading(self.device.id, t_ns, energy_j=self._energy_j)


class HostPart(Part):
    """CPU or RAM. What is modelled is asked once a second, and taken to go on at the same power until it is asked again."""

    def __init__(self, hardware: Any) -> None:
        self._hardware = hardware
        self._measured = getattr(hardware, "_mode", None) == "intel_rapl"
        self._energy_j = self._shown_j = self._power_w = 0.0
        self._last_ns = 0
        super().__init__(self._described())

    def _described(self) -> Device:
        if type(self._hardware).__name__ == "RAM":
            gb = self._hardware.machine_memory_GB
            note = f"an estimate, not a measurement: CodeCarbon's model of the memory modules that {gb:.0f} GB are"
            return Device(
                id="codecarbon:ram",
                name="RAM",
                scope="dram",
                methods=frozenset({"estimate"}),
                update_period_s=MODEL_PERIOD_S,
                note=note,
            )
        name = self._hardware.get_model() or "CPU"
        if self._measured:
            return Device(
                id="codecarbon:cpu",
                name=name,
                scope="cpu",
                methods=frozenset({"counter"}),
                update_period_s=RAPL_PERIOD_S,
                note="RAPL, the packages together",
            )
        mode, rated = self._hardware._mode.replace("_", " "), self._hardware._tdp
        return Device(
            id="codecarbon:cpu",
            name=name,
            scope="cpu",
            methods=frozenset({"estimate"}),
            update_period_s=MODEL_PERIOD_S,
            note=f"an estimate, not a measurement: CodeCarbon's model ({mode}) of a CPU rated at {rated:g} W",
        )

    def start(self) -> None:
        self._hardware.start()
        self._power_w = self._hardware.total_power().W
        self._last_ns = time.monotonic_ns()

    def read(self) -> Reading:
        t_ns = time.monotonic_ns()
        elapsed_s = (t_ns - self._last_ns) / 1e9
        if self._measured or elapsed_s >= MODEL_PERIOD_S:
            power, energy = self._hardware.measure_power_and_energy(elapsed_s)
            self._power_w, self._last_ns, elapsed_s = power.W, t_ns, 0.0
            self._energy_j += energy.kWh * J_PER_KWH
        held_j = 0.0 if self._measured else self._power_w * elapsed_s
        # A model that came out lower than what was held over stands still until it has caught up: joules are not given back.
        self._shown_j = max(self._shown_j, self._energy_j + held_j)
        return Reading(self.device.id, t_ns, energy_j=self._shown_j)
