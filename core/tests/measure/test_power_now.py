"""Power now: told by the sampling process once a second, of the devices that the experiment uses."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llem.measure.power_now import PERIOD_NS, PowerNow
from llem.measure.sampling_process import SamplingProcess
from llem.plugin_api import Device
from llem.results.job_directory import EVENTS, EventReader

TESTMETER = Path(__file__).parents[3] / "tests" / "testmeter"
S = 1_000_000_000
GPUS = [Device(id=f"GPU-{i}", name="a card", scope="gpu", methods=frozenset({"counter", "power"})) for i in range(2)]
CPU = Device(id="rapl:package-0", name="a CPU", scope="cpu", methods=frozenset({"counter"}))
CORE = Device(id="rapl:core-0", name="its cores", scope="cpu", methods=frozenset({"counter"}), contained_in=CPU.id)
ESTIMATE = Device(id="estimate:cpu", name="a CPU", scope="cpu", methods=frozenset({"estimate"}))


class Events:
    """A file of events, and what was appended to it."""

    def __init__(self, path: Path) -> None:
        self.stream = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._reader = EventReader(path)

    def new(self) -> list[dict[str, Any]]:
        return list(self._reader.new())


@pytest.fixture
def events(tmp_path: Path) -> Iterator[Events]:
    made = Events(tmp_path / EVENTS)
    yield made
    os.close(made.stream)


def told(events: Events, devices: list[Device], watts: list[float], *, used: list[str] | None = None) -> list[Any]:
    """The reports of three seconds in which each device draws as much, read ten times a second, by counter and power."""
    power = PowerNow(events.stream)
    power.open(devices)
    if used is not None:
        power.follow(used)
    for t_ns in range(S, 4 * S + 1, S // 10):
        for index, (device, power_w) in enumerate(zip(devices, watts, strict=True)):
            instant = power_w if "power" in device.methods else None
            power.read(index, t_ns, power_w * t_ns / S, instant)
        power.tell(t_ns)
    return [(e["event"], e["power_w"], e["estimated"]) for e in events.new()]


def test_gpus_are_added_up_and_told_once_a_second(events: Events) -> None:
    assert told(events, [*GPUS, CPU], [200.0, 100.0, 50.0]) == [("power", 300.0, False)] * 4


def test_only_the_gpus_in_use_are_told(events: Events) -> None:
    assert {w for _, w, _ in told(events, [*GPUS, CPU], [200.0, 100.0, 50.0], used=["GPU-1"])} == {100.0}


def test_without_a_gpu_in_use_the_cpus_are_told_and_none_twice(events: Events) -> None:
    assert {w for _, w, _ in told(events, [*GPUS, CPU, CORE], [200.0, 100.0, 50.0, 30.0], used=["cpu"])} == {50.0}


def test_a_device_that_two_samplers_read_counts_once(events: Events) -> None:
    assert {w for _, w, _ in told(events, [CPU, CPU], [50.0, 50.0])} == {50.0}


def test_an_estimate_is_called_one(events: Events) -> None:
    assert {e for _, _, e in told(events, [ESTIMATE], [12.0])} == {True}


def test_a_device_that_tells_nothing_leaves_nothing_to_tell(events: Events) -> None:
    power = PowerNow(events.stream)
    power.open(GPUS)
    for second in range(5):
        power.read(0, second * S, None, 200.0)
        power.tell(second * S)
    assert events.new() == []
    power.open([])
    power.tell(9 * S)
    assert events.new() == []


def test_a_counter_that_advances_seldom_is_waited_for(events: Events) -> None:
    power = PowerNow(events.stream)
    power.open([CPU])
    for tenth in range(100):
        power.read(0, tenth * S // 10, 50.0 * 3 * (tenth // 30), None)  # every three seconds, by 150 J
        power.tell(tenth * S // 10)
    watts = [e["power_w"] for e in events.new()]
    assert len(watts) == 3
    assert watts[0] == pytest.approx(50.0, rel=0.01)


def test_a_full_disk_stops_no_sampling(tmp_path: Path) -> None:
    stream = os.open("/dev/full", os.O_WRONLY)
    try:
        power = PowerNow(stream)
        power.open([CPU])
        power.read(0, 0, 0.0, None)
        power.read(0, PERIOD_NS, 50.0, None)
        power.tell(PERIOD_NS)
    finally:
        os.close(stream)


@pytest.mark.process
def test_the_sampling_process_tells_it_while_it_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTMETER), os.environ["PYTHONPATH"]]))
    process = SamplingProcess(tmp_path)
    try:
        meters = {"testmeter": "llem_testmeter:TestmeterSampler"}
        assert process.start(meters, 20, {"cpu_tdp_w": None, "devices": None}) == {}
        process.follow(["GPU-of-another-world"])
        reader, deadline = EventReader(tmp_path / EVENTS), time.monotonic() + 60
        found: list[dict[str, Any]] = []
        while len(found) < 2:
            found += reader.new()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert process.mark() is not None, "it goes on after `follow`"
    finally:
        process.end()
    assert {(e["event"], e["power_w"], e["estimated"]) for e in found} == {("power", 50.0, False)}
