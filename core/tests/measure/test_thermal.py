"""Temperature, clocks and throttling over the window."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from llem.measure.series import Series, Track
from llem.measure.thermal import thermal, thermal_warnings
from llem.specs.sampler import Device

S = 10**9
GPU = Device(id="GPU-1", name="Card", scope="gpu", methods=frozenset({"counter"}))


def series(*readings: tuple[float, Mapping[str, float]], device: Device = GPU) -> Series:
    track = Track("meter", device)
    for seconds, telemetry in readings:
        track.append(round(seconds * S), 0.0, None, telemetry)
    return Series([track], hz=10)


def test_the_window_has_its_own_extremes_and_means() -> None:
    read = series(
        (1, {"temperature_c": 90, "gpu_clock_mhz": 300}),
        (10, {"temperature_c": 40, "gpu_clock_mhz": 1000, "memory_clock_mhz": 2000, "power_limit_w": 500}),
        (15, {"temperature_c": 70, "gpu_clock_mhz": 1400, "memory_clock_mhz": 2000, "power_limit_w": 500}),
        (20, {"temperature_c": 60, "gpu_clock_mhz": 1200, "memory_clock_mhz": 2000, "power_limit_w": 500}),
        (30, {"temperature_c": 99, "gpu_clock_mhz": 300}),
    )
    (found,) = thermal(read, 10 * S, 20 * S)
    assert found.device == "GPU-1"
    assert (found.temperature_start_c, found.temperature_end_c, found.temperature_max_c) == (40, 60, 70)
    assert found.gpu_clock_mean_mhz == pytest.approx(1200)
    assert found.memory_clock_mean_mhz == 2000
    assert found.power_limit_w == 500
    assert found.throttle_reasons == []


def test_a_reading_just_outside_tells_the_temperature_at_the_edge() -> None:
    (found,) = thermal(series((9.8, {"temperature_c": 40}), (10.4, {"temperature_c": 50})), 10 * S, round(10.2 * S))
    assert (found.temperature_start_c, found.temperature_end_c) == (40, 50)
    assert found.gpu_clock_mean_mhz is None


def test_a_reading_far_away_tells_nothing() -> None:
    assert thermal(series((1, {"temperature_c": 40})), 10 * S, 20 * S) == []


def test_a_device_that_tells_nothing_of_heat_is_not_listed() -> None:
    assert thermal(series((12, {"utilization_pct": 50})), 10 * S, 20 * S) == []


@pytest.mark.parametrize(
    ("bits", "names", "warned"),
    [
        (0x0, [], False),
        (0x1, [], False),
        (0x2, ["applications_clocks_setting"], False),
        (0x4, ["sw_power_cap"], False),
        (0x8, ["hw_slowdown"], True),
        (0x20, ["sw_thermal_slowdown"], True),
        (0x40, ["hw_thermal_slowdown"], True),
        (0x80, ["hw_power_brake_slowdown"], True),
        (0x44, ["sw_power_cap", "hw_thermal_slowdown"], True),
        (0x1000, ["bit_0x1000"], False),
    ],
)
def test_throttle_reasons_are_named_and_slowdowns_warned_about(bits: int, names: list[str], warned: bool) -> None:
    read = series((12, {"throttle_reasons": 0}), (13, {"throttle_reasons": float(bits)}))
    (found,) = thermal(read, 10 * S, 20 * S)
    assert found.throttle_reasons == names
    warnings = thermal_warnings(read, 10 * S, 20 * S)
    assert [w.code for w in warnings] == (["thermal_throttle"] if warned else [])
    if warned:
        assert "GPU-1" in warnings[0].message
        assert "50%" in warnings[0].message


def test_throttling_outside_the_window_or_on_another_gpu_is_no_warning() -> None:
    assert (
        thermal_warnings(series((9.9, {"throttle_reasons": 64}), (20.1, {"throttle_reasons": 64})), 10 * S, 20 * S)
        == []
    )
    inside = series((12, {"throttle_reasons": 64}))
    assert thermal_warnings(inside, 10 * S, 20 * S, used=["GPU-2"]) == []
    assert thermal_warnings(inside, 10 * S, 20 * S, used=["GPU-1"])


def test_a_power_limit_that_changes_in_the_window_is_told() -> None:
    read = series((12, {"power_limit_w": 500}), (13, {"power_limit_w": 350}))
    (warning,) = thermal_warnings(read, 10 * S, 20 * S)
    assert warning.code == "power_limit_changed"
    assert "350" in warning.message
    assert thermal(read, 10 * S, 20 * S)[0].power_limit_w == 350
