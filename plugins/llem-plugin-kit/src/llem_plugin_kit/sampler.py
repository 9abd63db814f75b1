"""The promises that every energy sampler must keep: it reads what it promises, on one clock, in the right unit.

The tests open the real sampler. Where the machine has no such meter, the subclass gives it one: a tree of files, a
simulated driver. A sampler that cannot be opened fails, since nothing was shown.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import pytest

from llem.plugin_api import (
    SAMPLERS,
    Device,
    QuickPowerSampler,
    Reading,
    Sampler,
    SamplerSpec,
    SamplerUnavailable,
    TickingSampler,
    load_object,
)
from llem_plugin_kit.processes import nothing_left
from llem_plugin_kit.registering import imported_by_registering, installed

_UNITS = ("_c", "_mhz", "_w", "_j", "_mb", "_pct", "_s", "_v", "_a", "_ratio", "_bytes", "_count")
_SAME_UNIT = 5.0
"""Counter and power of one device may differ by so much, in a second of a device that may be idle; joules and
millijoules differ by more."""

_ELSEWHERE = """
import json, sys
from llem.plugin_api import Registry, load_object
from llem.plugin_api import SAMPLERS
sampler = load_object(Registry().find(SAMPLERS, sys.argv[1]).sampler)()
try:
    print(json.dumps([d.id for d in sampler.open(json.loads(sys.argv[2]))]))
    sampler.read()
finally:
    sampler.close()
"""


class SamplerConformance:
    """Subclass it in a test module; pytest collects the tests below for your sampler.

    Attributes:
        sampler: the name that your plugin registers.
        settings: what `open` is given.
        readings: how many are taken, and seconds between them.
        elsewhere: code that gives another process the meter, where the variables that `meter` sets do not.
    """

    sampler: ClassVar[str]
    settings: ClassVar[Mapping[str, Any]] = {"devices": None, "cpu_tdp_w": None}
    readings: ClassVar[tuple[int, float]] = (25, 0.05)
    elsewhere: ClassVar[str] = ""

    @pytest.fixture
    def meter(self) -> None:
        """Override it where the machine has no such meter: set variables, write files. It is there during every test."""

    @pytest.fixture
    def spec(self, meter: None) -> SamplerSpec:
        return installed().find(SAMPLERS, self.sampler)

    @pytest.fixture
    def opened(self, spec: SamplerSpec) -> Iterator[tuple[Sampler, Sequence[Device]]]:
        one: Sampler = load_object(spec.sampler)()
        try:
            try:
                devices = one.open(dict(self.settings))
            except SamplerUnavailable as error:
                pytest.fail(f"it does not work here: {error} Give it a meter: override the fixture `meter`.")
            yield one, devices
        finally:
            one.close()

    @pytest.fixture
    def series(self, opened: tuple[Sampler, Sequence[Device]]) -> dict[str, list[Reading]]:
        """Readings of each device, in the order in which they were taken."""
        one, devices = opened
        found: dict[str, list[Reading]] = {device.id: [] for device in devices}
        for _ in range(self.readings[0]):
            for reading in one.read():
                assert reading.device in found, f"{reading.device} was not among the devices that open() named"
                found[reading.device].append(reading)
            time.sleep(self.readings[1])
        return found

    def test_registering_imports_no_driver(self, spec: SamplerSpec) -> None:
        assert imported_by_registering(SAMPLERS, spec.name, spec.sampler, spec.requires) == []

    def test_the_spec_says_how_and_of_what(self, spec: SamplerSpec) -> None:
        assert spec.summary
        assert spec.methods, "counter, power or estimate"
        assert spec.scopes, "gpu, module, cpu, dram or host"

    def test_devices_are_named_once_and_keep_within_the_spec(
        self, spec: SamplerSpec, opened: tuple[Sampler, Sequence[Device]]
    ) -> None:
        _, devices = opened
        assert devices, "a sampler without a device raises SamplerUnavailable"
        assert [i for i, n in Counter(d.id for d in devices).items() if n > 1] == []
        for device in devices:
            assert device.id
            assert device.name
            assert device.scope in spec.scopes
            assert device.methods <= spec.methods
            assert device.contained_in is None or device.contained_in in {d.id for d in devices} - {device.id}

    def test_an_estimate_is_nothing_else(self, opened: tuple[Sampler, Sequence[Device]]) -> None:
        for device in opened[1]:
            assert "estimate" not in device.methods or device.methods == {"estimate"}, "measured or estimated, not both"

    def test_ids_are_the_same_in_another_process(
        self, spec: SamplerSpec, opened: tuple[Sampler, Sequence[Device]]
    ) -> None:
        command = [sys.executable, "-c", self.elsewhere + _ELSEWHERE, spec.name, json.dumps(dict(self.settings))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == [device.id for device in opened[1]]

    def test_one_reading_has_each_device_once(self, opened: tuple[Sampler, Sequence[Device]]) -> None:
        counts = Counter(reading.device for reading in opened[0].read())
        assert [device for device, count in counts.items() if count > 1] == []

    def test_times_are_of_the_monotonic_clock_and_of_the_call(self, opened: tuple[Sampler, Sequence[Device]]) -> None:
        for _ in range(3):
            before = time.monotonic_ns()
            found = opened[0].read()
            after = time.monotonic_ns()
            assert all(before <= reading.t_ns <= after for reading in found), (
                "t_ns is time.monotonic_ns() of this reading"
            )

    def test_times_move_on_and_energy_never_goes_back(self, series: Mapping[str, Sequence[Reading]]) -> None:
        for device, found in series.items():
            assert all(a.t_ns < b.t_ns for a, b in pairwise(found)), device
            energy = [reading.energy_j for reading in found if reading.energy_j is not None]
            assert all(a <= b for a, b in pairwise(energy)), f"{device}: a counter that wraps is unwrapped"

    def test_what_is_promised_is_read_and_nothing_else(
        self, opened: tuple[Sampler, Sequence[Device]], series: Mapping[str, Sequence[Reading]]
    ) -> None:
        for device in opened[1]:
            energy = [r.energy_j for r in series[device.id] if r.energy_j is not None]
            power = [r.power_w for r in series[device.id] if r.power_w is not None]
            assert bool(energy) or "counter" not in device.methods, f"{device.id} promises a counter and has none"
            assert bool(power) or "power" not in device.methods, f"{device.id} promises power and has none"
            assert device.methods & {"counter", "estimate"} or not energy, f"{device.id} has energy from nowhere"
            assert device.methods & {"power", "estimate"} or not power, f"{device.id} has power from nowhere"

    def test_what_is_not_known_is_null_and_not_zero(self, series: Mapping[str, Sequence[Reading]]) -> None:
        for device, found in series.items():
            for reading in found:
                figures = (reading.energy_j, reading.power_w, *reading.telemetry.values())
                assert all(value is None or math.isfinite(value) for value in figures), device
            power = [reading.power_w for reading in found if reading.power_w is not None]
            assert all(value >= 0 for value in power), device
            assert not power or any(power), f"{device}: no device draws 0 W all the time; what is not read is None"

    def test_counter_and_power_are_of_one_unit(self, series: Mapping[str, Sequence[Reading]]) -> None:
        for device, found in series.items():
            both = [r for r in found if r.energy_j is not None and r.power_w is not None]
            if len(both) < 2 or both[-1].energy_j == both[0].energy_j:
                continue
            joules = (both[-1].energy_j or 0.0) - (both[0].energy_j or 0.0)
            by_counter = joules / ((both[-1].t_ns - both[0].t_ns) / 1e9)
            by_power = sum(r.power_w or 0.0 for r in both) / len(both)
            ratio = by_counter / by_power if by_power else math.inf
            assert 1 / _SAME_UNIT < ratio < _SAME_UNIT, (
                f"{device}: its counter says {by_counter:.4g} W, its power {by_power:.4g} W; are both in J and W?"
            )

    def test_other_quantities_carry_their_unit(self, series: Mapping[str, Sequence[Reading]]) -> None:
        names = {name for found in series.values() for reading in found for name in reading.telemetry}
        assert [n for n in sorted(names) if not n.endswith(_UNITS) and n != "throttle_reasons"] == []

    def test_ticks_are_those_of_its_counters(self, opened: tuple[Sampler, Sequence[Device]]) -> None:
        one, devices = opened
        if not isinstance(one, TickingSampler):
            return
        before = time.monotonic_ns()
        found = one.counters()
        after = time.monotonic_ns()
        assert set(found) <= {device.id for device in devices if "counter" in device.methods}
        assert all(before <= t_ns <= after and math.isfinite(joules) for t_ns, joules in found.values())

    def test_power_that_is_read_quickly_is_that_of_its_devices(self, opened: tuple[Sampler, Sequence[Device]]) -> None:
        one, devices = opened
        if not isinstance(one, QuickPowerSampler):
            return
        before = time.monotonic_ns()
        found = one.powers()
        after = time.monotonic_ns()
        assert set(found) <= {device.id for device in devices if "power" in device.methods}
        assert all(before <= t_ns <= after and math.isfinite(watts) for t_ns, watts in found.values())

    def test_what_it_says_of_its_devices_is_plain_data(self, opened: tuple[Sampler, Sequence[Device]]) -> None:
        json.dumps(dict(opened[0].environment()), allow_nan=False)

    def test_closing_leaves_nothing_and_may_come_twice(self, spec: SamplerSpec) -> None:
        self._once(spec)  # a library may keep what it loads, once
        with nothing_left():
            for _ in range(3):
                self._once(spec)

    def test_closing_what_was_never_opened_is_harmless(self, spec: SamplerSpec) -> None:
        load_object(spec.sampler)().close()

    def _once(self, spec: SamplerSpec) -> None:
        one: Sampler = load_object(spec.sampler)()
        one.open(dict(self.settings))
        one.read()
        one.close()
        one.close()
