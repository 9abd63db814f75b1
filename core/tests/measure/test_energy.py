"""Energy of a device over a window: which method, which value, and when none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llem.measure.energy import phase_energy, window_energy
from llem.measure.energy_warnings import energy_warnings
from llem.measure.resolution import power_field
from llem.measure.series import Series, Track
from llem.results.models import DeviceEnergy, Phase
from llem.specs.sampler import Device

S = 10**9
GPU = Device(id="GPU-1", name="Card", scope="gpu", methods=frozenset({"counter", "power"}))

NO_DEADLINE = settings(deadline=None)
"""A busy machine is no fault."""


def track(
    device: Device = GPU, *, seconds: float = 20, hz: float = 10, watts: Any = 100.0, counter: bool = True
) -> Track:
    """A device of known power, read regularly from 0 on; `watts` is a number or a function of seconds."""
    power = watts if callable(watts) else (lambda _: watts)
    made, energy = Track("meter", device), 0.0
    for i in range(int(seconds * hz) + 1):
        t = i / hz
        energy += power(t - 0.5 / hz) / hz if i else 0.0
        made.append(round(t * S), energy if counter else None, power(t) if "power" in device.methods else None, {})
    return made


def one(series: Series, open_s: float = 5, close_s: float = 15, **baseline: Any) -> DeviceEnergy:
    (found,) = window_energy(series, round(open_s * S), round(close_s * S), **baseline)
    return found


def codes(series: Series, open_s: float = 5, close_s: float = 15) -> list[str]:
    edges = round(open_s * S), round(close_s * S)
    return [w.code for w in energy_warnings(series, window_energy(series, *edges), *edges)]


def test_a_counter_gives_the_figure_and_power_stands_beside_it() -> None:
    found = one(Series([track()], hz=10))
    assert found.method == "counter"
    assert found.energy_j == pytest.approx(1000)
    assert found.counter_j == found.energy_j
    assert found.power_j == pytest.approx(1000)
    assert found.mean_w == pytest.approx(100)
    assert found.disagreement == pytest.approx(0, abs=1e-9)
    assert not found.unreliable


def test_without_a_counter_power_is_integrated() -> None:
    device = Device(id="GPU-1", name="Card", scope="gpu", methods=frozenset({"power"}))
    found = one(Series([track(device, counter=False, watts=lambda t: 10 * t)], hz=10))
    assert found.method == "power"
    assert found.counter_j is None
    assert found.energy_j == pytest.approx(1000)  # 10 t from 5 to 15
    assert found.disagreement is None


def test_an_estimate_is_called_one_and_never_a_counter() -> None:
    device = Device(id="estimate:cpu", name="CPU", scope="cpu", methods=frozenset({"estimate"}))
    found = one(Series([track(device)], hz=10))
    assert found.method == "estimate"
    assert found.energy_j == pytest.approx(1000)
    assert found.counter_j is None
    assert found.power_j is None


def test_a_window_shorter_than_one_update_of_the_device_has_no_energy_rather_than_none_at_all() -> None:
    device = Device(id="estimate:cpu", name="CPU", scope="cpu", methods=frozenset({"estimate"}), update_period_s=0.01)
    series = Series([track(device, watts=0.0)], hz=10)
    assert one(series, 5, 5.004).energy_j is None
    assert "energy_unmeasured" in codes(series, 5, 5.004)
    assert one(series, 5, 6).energy_j == 0, "an idle second was read, and is no missing figure"


def test_exact_edges_win_over_interpolation() -> None:
    series = Series([track()], hz=10)
    key = ("meter", "GPU-1")
    series.edges = {5 * S: {key: (5 * S, 77.0)}, 15 * S: {key: (15 * S, 1087.0)}}
    assert one(series).counter_j == pytest.approx(1010), "and not 1000; further off it would contradict the readings"


def test_a_tick_before_the_edge_is_carried_to_it_by_power() -> None:
    series = Series([track()], hz=10)
    key = ("meter", "GPU-1")
    series.edges = {5 * S: {key: (round(4.9 * S), 490.0)}, 15 * S: {key: (15 * S, 1500.0)}}
    assert one(series).counter_j == pytest.approx(1500 - 490 - 10)


def test_a_counter_that_was_not_read_before_the_edge_may_have_been_below_zero_there() -> None:
    made = track()
    made.energy_j[:51] = [None] * 51
    series = Series([made], hz=10)
    series.edges = {5 * S: {("meter", "GPU-1"): (round(5.1 * S), 5.0)}, 15 * S: {("meter", "GPU-1"): (15 * S, 995.0)}}
    assert one(series).counter_j == pytest.approx(1000)


@pytest.mark.parametrize(("broken", "code"), [(None, "counter_failed"), (3.0, "counter_backwards")])
def test_a_counter_that_fails_or_goes_backwards_in_the_window_leaves_power_alone(
    broken: float | None, code: str
) -> None:
    made = track()
    made.energy_j[100] = broken
    series = Series([made], hz=10)
    found = one(series)
    assert found.counter_j is None
    assert found.method == "power"
    assert found.energy_j == pytest.approx(1000)
    assert code in codes(series)


def test_a_counter_without_power_that_fails_leaves_nothing() -> None:
    device = Device(id="rapl:package-0", name="RAPL", scope="cpu", methods=frozenset({"counter"}))
    made = track(device)
    made.energy_j[100:] = [None] * (len(made.energy_j) - 100)
    found = one(Series([made], hz=10))
    assert found.energy_j is None
    assert found.mean_w is None
    assert codes(Series([made], hz=10)) == ["sampling_gap", "energy_unmeasured"]


def test_a_failure_outside_the_window_does_not_matter() -> None:
    made = track()
    made.energy_j[190] = None
    assert one(Series([made], hz=10)).counter_j == pytest.approx(1000)


def test_readings_that_do_not_reach_both_edges_tell_nothing() -> None:
    found = one(Series([track(seconds=12)], hz=10))
    assert (found.energy_j, found.counter_j, found.power_j, found.mean_w) == (None, None, None, None)


def test_a_device_that_was_never_read_is_unmeasured_and_not_zero() -> None:
    found = one(Series([Track("meter", GPU)], hz=10))
    assert found.energy_j is None
    assert found.samples == 0


@pytest.mark.parametrize(
    ("factor", "warned", "unreliable"), [(1.01, False, False), (1.03, True, False), (0.9, True, True)]
)
def test_disagreement_is_warned_about_from_2_percent_and_unreliable_from_5(
    factor: float, warned: bool, unreliable: bool
) -> None:
    made = track()
    made.power_w[:] = [100 * factor for _ in made.power_w]
    series = Series([made], hz=10)
    found = one(series)
    assert found.disagreement == pytest.approx(abs(1 - factor))
    assert found.unreliable is unreliable
    assert ("energy_disagreement" in codes(series)) is warned


def test_adjusted_energy_takes_idle_power_off() -> None:
    found = one(Series([track()], hz=10), idle_w={"GPU-1": 30.0}, resident_w={"GPU-1": 40.0})
    assert found.adjusted_j == pytest.approx(1000 - 300)
    assert (found.idle_w, found.resident_w) == (30.0, 40.0)


def test_without_a_baseline_nothing_is_adjusted() -> None:
    assert one(Series([track()], hz=10), idle_w={"GPU-2": 30.0}).adjusted_j is None


def test_a_window_of_few_update_periods_is_warned_about() -> None:
    slow = Device(id="GPU-1", name="Card", scope="gpu", methods=frozenset({"counter"}), update_period_s=0.1)
    assert codes(Series([track(slow)], hz=10), 5, 9) == ["short_window"]
    assert codes(Series([track(slow)], hz=10), 5, 10.5) == []


def test_a_gap_in_the_power_readings_is_warned_about() -> None:
    device = Device(id="GPU-1", name="Card", scope="gpu", methods=frozenset({"power"}))
    made = track(device, counter=False)
    for column in (made.t_ns, made.energy_j, made.power_w, made.telemetry):
        del column[80:120]
    assert "sampling_gap" in codes(Series([made], hz=10))


def test_the_power_field_is_found_in_the_note() -> None:
    assert power_field("power field NVML_FI_DEV_POWER_INSTANT; all are metered") == "NVML_FI_DEV_POWER_INSTANT"
    assert power_field("an estimate") is None
    assert power_field(None) is None


@NO_DEADLINE
@given(st.floats(0.5, 9.5), st.floats(1, 500), st.floats(0, 40))
def test_energy_is_additive_over_a_split_window(split_s: float, base: float, slope: float) -> None:
    series = Series([track(watts=lambda t: base + slope * t)], hz=10)
    whole, first, second = one(series, 5, 15), one(series, 5, 5 + split_s), one(series, 5 + split_s, 15)
    for name in ("counter_j", "power_j", "energy_j"):
        parts = getattr(first, name) + getattr(second, name)
        assert getattr(whole, name) == pytest.approx(parts, rel=1e-9)


@NO_DEADLINE
@given(st.floats(0, 1e6), st.floats(0, 1000))
def test_a_counters_zero_is_arbitrary(offset: float, watts: float) -> None:
    plain, shifted = track(watts=watts), track(watts=watts)
    shifted.energy_j[:] = [None if v is None else v + offset for v in shifted.energy_j]
    expected = one(Series([plain], hz=10)).energy_j
    assert one(Series([shifted], hz=10)).energy_j == pytest.approx(expected, abs=1e-6)


def test_phases_of_one_name_are_added_and_unknown_ones_left_out() -> None:
    series = Series([track()], hz=10)
    phases = [
        Phase(name="load", start_ns=S, end_ns=2 * S),
        Phase(name="load", start_ns=3 * S, end_ns=5 * S),
        Phase(name="close", start_ns=19 * S, end_ns=30 * S),
    ]
    assert phase_energy(series, phases) == {"load": {"GPU-1": pytest.approx(300)}}


def test_a_gpu_in_use_that_nobody_metered_is_warned_about_and_one_not_in_use_is_not() -> None:
    silent = Device(id="GPU-2", name="Other", scope="gpu", methods=frozenset())
    series = Series([track(), Track("meter", silent)], hz=10)
    devices = window_energy(series, 5 * S, 15 * S)
    assert energy_warnings(series, devices, 5 * S, 15 * S, used=["GPU-1"]) == []
    found = energy_warnings(series, devices, 5 * S, 15 * S, used=["GPU-1", "GPU-2", "GPU-9"])
    assert [w.code for w in found] == ["energy_unmeasured", "energy_unmeasured"]
    assert "GPU-9" in found[0].message
    assert "GPU-2" in found[1].message
