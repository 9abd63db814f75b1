"""Samplers that break one promise each. The name of the test that must notice stands in `lies`."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from llem.errors import SamplerUnavailable
from llem.plugin_api import Device, Reading

WATTS = 50.0
DEVICE = Device(id="meter:0", name="a steady meter", scope="cpu", methods=frozenset({"counter", "power"}))


class HonestMeter:
    """Always 50 W."""

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        return [DEVICE]

    def read(self) -> Sequence[Reading]:
        t_ns = time.monotonic_ns()
        return [self.told(Reading(DEVICE.id, t_ns, energy_j=WATTS * t_ns / 1e9, power_w=WATTS))]

    def told(self, reading: Reading) -> Reading:
        return reading

    def environment(self) -> Mapping[str, object]:
        return {"power_limit_w": WATTS}

    def close(self) -> None: ...


class TellsMillijoules(HonestMeter):
    def told(self, reading: Reading) -> Reading:
        return replace(reading, energy_j=reading.energy_j * 1000)


class TellsTheWallClock(HonestMeter):
    def told(self, reading: Reading) -> Reading:
        return replace(reading, t_ns=time.time_ns())


class Wraps(HonestMeter):
    def told(self, reading: Reading) -> Reading:
        return replace(reading, energy_j=reading.energy_j % 1)


class SaysZero(HonestMeter):
    def told(self, reading: Reading) -> Reading:
        return replace(reading, power_w=0.0)


class HasNoCounter(HonestMeter):
    def told(self, reading: Reading) -> Reading:
        return replace(reading, energy_j=None)


class HasMoreThanItSays(HonestMeter):
    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        return [replace(DEVICE, methods=frozenset({"power"}))]


class EstimatesAndMeasures(HonestMeter):
    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        return [replace(DEVICE, methods=frozenset({"counter", "power", "estimate"}))]


class OfAnotherScope(HonestMeter):
    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        return [replace(DEVICE, scope="host")]


class NamesItAnewEachTime(HonestMeter):
    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        self.id = f"meter:{os.getpid()}:{random.random()}"
        return [replace(DEVICE, id=self.id)]

    def told(self, reading: Reading) -> Reading:
        return replace(reading, device=self.id)


class HasNoUnits(HonestMeter):
    def told(self, reading: Reading) -> Reading:
        return replace(reading, telemetry={"temperature": 40.0})


class KeepsAFile(HonestMeter):
    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        kept.append(os.open(os.devnull, os.O_RDONLY))
        return super().open(settings)


class KeepsAProcess(HonestMeter):
    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(90)"])
        return super().open(settings)


class TwiceInOneReading(HonestMeter):
    def read(self) -> Sequence[Reading]:
        return [*super().read(), *super().read()]


class IsNotThere(HonestMeter):
    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        raise SamplerUnavailable("there is none.")


kept: list[object] = []
