"""Energy of a span while the window's load is under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from llem.measure import experiment_window
from llem.measure.experiment_window import ExperimentWindow
from llem.specs.sampler import Device

CARD = Device(id="GPU-1", name="a card", scope="gpu", methods=frozenset({"counter"}))
PACKAGE = Device(id="package:0", name="a package", scope="cpu", methods=frozenset({"counter"}))
GUESS = Device(id="cpu", name="an estimate", scope="cpu", methods=frozenset({"estimate"}))


class Readings:
    """The readings of a meter: until when they go, and the energy of each device."""

    def __init__(self, devices: Sequence[Device], energy_j: Mapping[str, float], until_ns: int = 2**62) -> None:
        self.devices, self.until_ns, self._energy_j = devices, until_ns, energy_j

    def has_read(self, t_ns: int) -> bool:
        return t_ns <= self.until_ns

    def energy_between(self, start_ns: int, end_ns: int) -> Mapping[str, float]:
        return self._energy_j if self.has_read(end_ns) else {}


def window(readings: Readings, used: Sequence[str]) -> ExperimentWindow:
    return ExperimentWindow(*cast("list[Any]", [None, readings, None, None]), used)


def test_the_package_is_what_an_engine_on_the_cpu_uses() -> None:
    assert window(Readings([PACKAGE], {"package:0": 7.0}), ["cpu"]).energy_j(0, 1) == 7.0


def test_a_card_that_was_not_read_leaves_no_energy() -> None:
    other = Device(id="GPU-2", name="another card", scope="gpu", methods=frozenset({"counter"}))
    assert window(Readings([CARD, other], {"GPU-1": 7.0}), ["GPU-1", "GPU-2"]).energy_j(0, 1) is None


def test_an_estimate_judges_nothing() -> None:
    assert window(Readings([GUESS], {"cpu": 7.0}), ["cpu"]).energy_j(0, 1) is None


def test_readings_that_come_a_little_later_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = Readings([PACKAGE], {"package:0": 7.0}, until_ns=5)
    seen = threading.Event()

    def sleep(_: float) -> None:
        seen.set()
        readings.until_ns = 20

    monkeypatch.setattr(time, "sleep", sleep)
    assert window(readings, ["cpu"]).energy_j(0, 10) == 7.0
    assert seen.is_set()


def test_a_meter_that_is_not_read_any_more_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment_window, "LAST_READING_S", 0.05)
    assert window(Readings([PACKAGE], {"package:0": 7.0}, until_ns=5), ["cpu"]).energy_j(0, 10) is None
