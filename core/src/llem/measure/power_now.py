"""Power now: what the readings of the last second say, told as an event for whoever watches.

It is told by the sampling process, which has the readings in hand: nothing is read for it, and the worker is not disturbed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from llem.measure.watts import headline_devices
from llem.results.job_files import POWER
from llem.specs.sampler import Device

PERIOD_NS = 1_000_000_000
"""Shortest time between two reports of power."""


@dataclass
class _Seen:
    """A device's readings since power was last told: the power it gave, and the ends of its counter's curve."""

    watts: float = 0.0
    readings: int = 0
    first: tuple[int, float] | None = None
    last: tuple[int, float] | None = None

    def power_w(self) -> float | None:
        """Its mean power meanwhile; None where that cannot be told yet."""
        if self.readings:
            return self.watts / self.readings
        if self.first is None or self.last is None or self.last[0] <= self.first[0] or self.last[1] <= self.first[1]:
            return None
        return (self.last[1] - self.first[1]) / ((self.last[0] - self.first[0]) / 1e9)


class PowerNow:
    """Follows the readings, and appends a `power` event once a second.

    Args:
        stream: descriptor of `events.jsonl`, open for appending.
    """

    def __init__(self, stream: int) -> None:
        self._stream = stream
        self._devices: dict[int, Device] = {}
        self._followed: dict[int, _Seen] = {}
        self._is_estimate = False
        self._told_ns = 0

    def open(self, devices: Sequence[Device]) -> None:
        """All devices that are read, in the order of their indices. All GPUs are followed, or the CPUs where there is none."""
        self._devices = {}
        for index, device in enumerate(devices):
            if all(device.id != known.id for known in self._devices.values()):
                self._devices[index] = device
        self.follow([device.id for device in devices])

    def follow(self, used: Collection[str]) -> None:
        """From now on tell the power of these GPUs only; where none is among them, of the CPUs."""
        chosen = headline_devices(list(self._devices.values()), used)
        self._followed = {index: _Seen() for index, device in self._devices.items() if device in chosen}
        self._is_estimate = any(device.methods == {"estimate"} for device in chosen)

    def read(self, index: int, t_ns: int, energy_j: float | None, power_w: float | None) -> None:
        """A reading of a device."""
        seen = self._followed.get(index)
        if seen is None:
            return
        if power_w is not None:
            seen.watts += power_w
            seen.readings += 1
        if energy_j is not None:
            seen.last = (t_ns, energy_j)
            seen.first = seen.first or seen.last

    def tell(self, now_ns: int) -> None:
        """Tell the sum, where a second has passed and every device that is followed has something to tell."""
        if now_ns - self._told_ns < PERIOD_NS or not self._followed:
            return
        powers = [power_w for seen in self._followed.values() if (power_w := seen.power_w()) is not None]
        if len(powers) < len(self._followed):
            return
        self._told_ns = now_ns
        self._followed = {index: _Seen(first=seen.last) for index, seen in self._followed.items()}
        event = {"t_ns": now_ns, "event": POWER, "power_w": round(sum(powers), 1), "estimated": self._is_estimate}
        with contextlib.suppress(OSError):  # nobody's figures depend on it
            os.write(self._stream, json.dumps(event).encode() + b"\n")
