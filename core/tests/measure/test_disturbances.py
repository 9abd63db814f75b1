"""Disturbances of the window from outside are told: other processes, sleep, and readings that came too slowly."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from llem.measure.disturbances import disturbance_warnings
from llem.measure.energy import window_energy
from llem.measure.energy_warnings import energy_warnings
from llem.measure.resolution import resolved_window_s
from llem.measure.series import Series, Track
from llem.measure.tenants import foreign_processes
from llem.specs.sampler import Device

S = 10**9
GPU = Device(id="GPU-1", name="Card", scope="gpu", methods=frozenset({"counter", "power"}), update_period_s=0.1)
AVERAGED = Device(
    id="GPU-1",
    name="Card",
    scope="gpu",
    methods=frozenset({"power"}),
    update_period_s=1.0,
    note="power field nvmlDeviceGetPowerUsage; on this card an average over the last second",
)
KEY = ("nvml", "GPU-1")


def series(*, every_s: float = 0.05, seconds: float = 20, device: Device = GPU, **more: Any) -> Series:
    made = Track("nvml", device)
    for i in range(int(seconds / every_s) + 1):
        made.append(round(i * every_s * S), i * every_s * 100 if device is GPU else None, 100.0, {})
    return Series([made], hz=20, **more)


def told(made: Series, **more: Any) -> dict[str, str]:
    return {w.code: w.message for w in disturbance_warnings(made, 5 * S, 15 * S, **more)}


def test_an_undisturbed_window_is_silent() -> None:
    assert told(series()) == {}


def test_a_process_that_comes_in_the_window_is_named_with_its_pid_and_how_long_it_stayed() -> None:
    made = series(foreign=[(7 * S, {KEY: {4242: "train.py", 7: ""}}), (9 * S, {})])
    assert list(told(made)) == ["gpu_shared"]
    assert "4242 (train.py)" in told(made)["gpu_shared"]
    assert "about 2 s" in told(made)["gpu_shared"]


@pytest.mark.parametrize(("start_s", "end_s"), [(0, 4), (16, 18)])
def test_a_process_outside_the_window_disturbs_nothing(start_s: int, end_s: int) -> None:
    assert told(series(foreign=[(start_s * S, {KEY: {1: "a"}}), (end_s * S, {})])) == {}


def test_a_process_that_never_leaves_is_counted_to_the_end_of_the_window() -> None:
    assert "about 10 s" in told(series(foreign=[(1 * S, {KEY: {1: "a"}})]))["gpu_shared"]


def test_a_process_on_a_gpu_that_is_not_used_does_not_matter() -> None:
    assert told(series(foreign=[(7 * S, {KEY: {1: "a"}})]), used=["GPU-2"]) == {}


def test_sleep_within_the_window_makes_its_figures_doubtful_and_sleep_before_it_the_baseline() -> None:
    inside = told(series(suspended_ns=3 * S, suspensions=[(8 * S, 3 * S)]))["host_suspended"]
    before = told(series(suspended_ns=3 * S, suspensions=[(2 * S, 3 * S)]))["host_suspended_outside"]
    assert "3 s within the measured window" in inside
    assert "outside the measured window" in before


def test_readings_that_come_slowly_are_told_with_what_they_leave_uncertain() -> None:
    message = told(series(every_s=0.9))["slow_sampling"]
    assert "every 0.9 s instead of every 0.05 s" in message
    assert "18.0%" in message


@pytest.mark.parametrize("device", [GPU, AVERAGED])
def test_a_gap_in_the_readings_is_told_whatever_the_method(device: Device) -> None:
    made = series(device=device, seconds=80)
    (track,) = made.tracks
    for column in (track.t_ns, track.energy_j, track.power_w, track.telemetry):
        del column[8 * 20 : 11 * 20]
    edges = 5 * S, 75 * S
    assert "sampling_gap" in {w.code for w in energy_warnings(made, window_energy(made, *edges), *edges)}


def test_averaged_power_serves_no_short_window() -> None:
    made, edges = series(device=AVERAGED), (5 * S, 15 * S)
    (device,) = window_energy(made, *edges)
    assert device.energy_j is None
    assert {"averaged_power", "energy_unmeasured"} <= {w.code for w in energy_warnings(made, [device], *edges)}


def test_averaged_power_serves_a_long_window_and_has_the_window_made_so() -> None:
    assert resolved_window_s([Track("nvml", AVERAGED)], ["GPU-1"], 20) == 50
    made = series(device=AVERAGED, seconds=70)
    (device,) = window_energy(made, 5 * S, 56 * S)
    assert device.energy_j == pytest.approx(5100)


def test_the_window_is_as_long_as_the_slowest_meter_in_use_needs() -> None:
    assert resolved_window_s([Track("nvml", GPU)], ["GPU-1"], 20) == 5, "nothing was seen yet: as the device says it"
    assert resolved_window_s([Track("nvml", GPU)], ["GPU-2"], 20) == 0


@pytest.mark.process
def test_who_descends_from_the_worker_or_carries_its_mark_is_of_the_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setenv("LLEM_JOB_ID", "of-this-test")
    child = subprocess.Popen(sleep)
    monkeypatch.setenv("LLEM_JOB_ID", "of-another")
    stranger = subprocess.Popen(sleep, env={})
    try:
        assert foreign_processes([os.getpid(), child.pid], os.getpid()) == {}
        # Seen from a worker that is neither's ancestor: itself among the pids, so that they are believed.
        worker = subprocess.Popen(sleep)
        try:
            found = foreign_processes([worker.pid, child.pid, stranger.pid], worker.pid)
            assert list(found) == [child.pid, stranger.pid]
            assert found[stranger.pid].startswith("python")
            monkeypatch.setenv("LLEM_JOB_ID", "of-this-test")
            assert list(foreign_processes([worker.pid, child.pid, stranger.pid], worker.pid)) == [stranger.pid]
            assert foreign_processes([worker.pid, child.pid, stranger.pid], worker.pid, stranger.pid) == {}
        finally:
            worker.kill()
            worker.wait()
    finally:
        for process in (child, stranger):
            process.kill()
            process.wait()
