"""Faults of the host inside the measured window: processes killed or stopped, clocks moved, other tenants."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from llem.results.job_directory import READINGS, TIMESERIES

pytestmark = pytest.mark.process

Experiment = Callable[..., Any]

A = "GPU-aaaaaaaa-0000-0000-0000-000000000001"
CARD = f"gpu {A} NVIDIA H100 80GB HBM3\npower constant 250\ncounter 0.02 0 1\n"
SAMPLING, WORKER = "llem.measure.sampling", "llem.worker"


def test_without_its_sampling_process_an_experiment_ends_with_a_mark(experiment: Experiment) -> None:
    found = experiment(CARD, lambda running: running.process(SAMPLING).kill())
    assert found.result["status"] == "done"
    assert "sampler_died" in found.codes
    (device,) = found.result["energy"]["devices"]
    if device["energy_j"] is None:
        assert "energy_unmeasured" in found.codes
    else:
        assert device["energy_j"] == pytest.approx(250 * found.result["energy"]["window_s"], rel=0.02)


def test_a_killed_worker_leaves_its_readings_and_no_process(experiment: Experiment) -> None:
    seen: list[psutil.Process] = []

    def kill(running: Any) -> None:
        seen.append(running.process(SAMPLING))
        running.process(WORKER).kill()

    found = experiment(CARD, kill)
    assert found.result["status"] == "failed"
    assert found.result["failure"]["signal"] == "SIGKILL"
    assert found.result["failure"]["phase"] == "window"
    table = pq.read_table(found.directory / TIMESERIES).to_pydict()
    assert set(table["device"]) == {A}
    assert sum(t_s > 0 for t_s in table["t_s"]) >= 5  # readings of the window, which opened at 0
    assert {round(watts) for watts in table["power_w"]} == {250}
    assert not (found.directory / READINGS).exists()
    (sampler,) = found.result["samplers"]
    assert sampler["readings"] == len(table["t_s"])
    assert not seen[0].is_running()


def test_a_host_that_was_suspended_is_told(experiment: Experiment, clock_library: Path, tmp_path: Path) -> None:
    from sim import clock

    steps = tmp_path / "steps"
    environment = clock.environment(clock_library, steps)
    found = experiment(CARD, lambda _: steps.write_text("30 0\n"), environment)
    assert "30 s within the measured window" in found.warning("host_suspended")


def test_a_stepped_wall_clock_changes_no_figure(experiment: Experiment, clock_library: Path, tmp_path: Path) -> None:
    from sim import clock

    steps = tmp_path / "steps"
    environment = clock.environment(clock_library, steps)
    found = experiment(CARD, lambda _: steps.write_text("0 -7200\n"), environment)
    assert found.result["status"] == "done", found.result["failure"]
    assert found.result["ended_at"] < found.result["started_at"]  # the step did reach the worker
    window = next(phase for phase in found.result["phases"] if phase["name"] == "window")
    assert found.result["energy"]["window_s"] == pytest.approx((window["end_ns"] - window["start_ns"]) / 1e9, abs=1e-3)
    assert 1 <= found.result["energy"]["window_s"] < 20  # as asked, and not two hours off
    assert found.result["energy"]["headline"]["mean_w"] == pytest.approx(250, rel=0.02)
    assert found.result["energy"]["devices"][0]["disagreement"] < 0.02
    starts = [phase["start_ns"] for phase in found.result["phases"]]
    assert starts == sorted(starts)
    assert "host_suspended" not in found.codes


def test_an_experiment_that_was_stopped_for_a_while_tells_the_gap(experiment: Experiment) -> None:
    def stop(running: Any) -> None:
        processes = [running.process(SAMPLING), running.process(WORKER)]
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        time.sleep(2.5)
        for process in processes:
            process.send_signal(signal.SIGCONT)

    found = experiment(CARD, stop)
    assert "%, have no reading; the counter went on" in found.warning("sampling_gap")
    assert found.result["energy"]["headline"]["mean_w"] == pytest.approx(250, rel=0.02)
    (sampler,) = found.result["samplers"]
    assert sampler["longest_gap_s"] > 2
    assert sampler["late"] >= 1


def test_another_tenants_process_in_the_window_is_told_with_its_pid(
    experiment: Experiment, tenant: subprocess.Popen[bytes]
) -> None:
    found = experiment(f"{CARD}process {tenant.pid} 900 0 1000\n")
    message = found.warning("gpu_shared")
    assert A in message
    assert str(tenant.pid) in message
    assert "of the measured window" in message
