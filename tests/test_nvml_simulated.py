"""Whole experiments on simulated GPUs: the real NVML bindings, the real worker, energy against the known truth."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from small_workload import SETTINGS

pytestmark = pytest.mark.process

Gpus = Callable[[str], Mapping[str, str]]

A = "GPU-aaaaaaaa-0000-0000-0000-000000000001"
B = "GPU-bbbbbbbb-0000-0000-0000-000000000002"
H100 = "NVIDIA H100 80GB HBM3"


def run(environment: Mapping[str, str], output: Path, **settings: object) -> tuple[dict[str, Any], str]:
    """One experiment on the testbed; its result and what the terminal said."""
    command = [sys.executable, "-m", "llem", "run", "--model", "random:tiny-llama", "--backend", "testbed", "--no-gaps"]
    command += ["--output", str(output)]
    for key, value in {**SETTINGS, **{k.replace("__", "."): v for k, v in settings.items()}}.items():
        command += ["--set", f"{key}={value}"]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    results = list(output.glob("*/experiments/*/result.json"))
    assert len(results) == 1, done.stdout + done.stderr
    return json.loads(results[0].read_text()), done.stdout + done.stderr


def codes(result: Mapping[str, Any]) -> set[str]:
    return {warning["code"] for warning in result["warnings"]}


def test_a_constant_power_is_measured_by_the_counter(simulated_gpus: Gpus, tmp_path: Path) -> None:
    environment = simulated_gpus(f"gpu {A} {H100}\npower constant 250\ncounter 0.02 0 1\n")
    result, _ = run(environment, tmp_path)
    assert result["status"] == "done", result["failure"]
    figure = result["energy"]["headline"]
    assert figure["method"] == "counter"
    assert figure["devices"] == [A]
    assert figure["mean_w"] == pytest.approx(250, rel=0.02)
    assert figure["energy_j"] == pytest.approx(250 * result["energy"]["window_s"], rel=0.02)
    assert result["energy"]["devices"][0]["power_j"] == pytest.approx(figure["energy_j"], rel=0.02)


def test_without_a_counter_the_figure_is_integrated_power(simulated_gpus: Gpus, tmp_path: Path) -> None:
    result, _ = run(simulated_gpus(f"gpu {A} Tesla P100\npower constant 180\ncounter none\n"), tmp_path)
    device = result["energy"]["devices"][0]
    assert device["method"] == "power"
    assert device["counter_j"] is None
    assert device["energy_j"] == pytest.approx(180 * result["energy"]["window_s"], rel=0.02)


def test_a_lying_power_field_is_told_and_marked(simulated_gpus: Gpus, tmp_path: Path) -> None:
    # The counter follows the ramp; the power fields are what a driver without the instant field gives: an old average.
    scenario = (
        f"gpu {A} {H100}\npower ramp 50 500 0 6\ncounter 0.02 0 1\naverage 1 3\nerror nvmlDeviceGetFieldValues 3\n"
    )
    result, _ = run(simulated_gpus(scenario), tmp_path)
    device = result["energy"]["devices"][0]
    assert device["disagreement"] > 0.05
    assert device["unreliable"] is True
    assert "energy_disagreement" in codes(result)


def test_each_gpu_stays_visible_and_the_total_is_their_sum(simulated_gpus: Gpus, tmp_path: Path) -> None:
    scenario = f"gpu {A} {H100}\npower constant 100\ncounter 0.02 0 1\ngpu {B} {H100}\npower constant 300\ncounter 0.02 0.007 1\n"
    result, _ = run(simulated_gpus(scenario), tmp_path)
    devices = {d["device"]: d["mean_w"] for d in result["energy"]["devices"]}
    assert devices == {A: pytest.approx(100, rel=0.03), B: pytest.approx(300, rel=0.03)}
    assert result["energy"]["headline"]["mean_w"] == pytest.approx(400, rel=0.03)


@pytest.mark.parametrize(("visible", "expected"), [("1", [B]), ("GPU-a", [A]), ("0,1", [A, B])])
def test_cuda_visible_devices_chooses_by_index_and_uuid(
    simulated_gpus: Gpus, tmp_path: Path, visible: str, expected: list[str]
) -> None:
    scenario = (
        f"gpu {A} {H100}\npower constant 100\ncounter 0.02 0 1\ngpu {B} {H100}\npower constant 300\ncounter 0.02 0 1\n"
    )
    environment = {**simulated_gpus(scenario), "CUDA_VISIBLE_DEVICES": visible}
    result, _ = run(environment, tmp_path, measurement__min_window_s=0.2)
    assert sorted(result["energy"]["headline"]["devices"]) == expected


def test_a_mig_card_is_refused_with_the_reason(simulated_gpus: Gpus, tmp_path: Path) -> None:
    environment = simulated_gpus(f"gpu {A} {H100}\npower constant 100\nmig\n")
    result, text = run(environment, tmp_path, measurement__samplers="null", measurement__min_window_s=0.2)
    assert all(device["scope"] != "gpu" or device["energy_j"] is None for device in result["energy"]["devices"])
    assert "MIG" in json.dumps(result["samplers"]) + json.dumps(result["energy"])
    assert "MIG" in text


def test_residual_memory_and_a_foreign_process_are_warned_about(simulated_gpus: Gpus, tmp_path: Path) -> None:
    scenario = f"gpu {A} {H100}\npower constant 100\ncounter 0.02 0 1\nmemory 81920 3000\nprocess {os.getpid()} 2900\n"
    result, text = run(simulated_gpus(scenario), tmp_path, measurement__min_window_s=0.2)
    assert {"residual_gpu_memory", "gpu_shared"} <= codes(result)
    assert "3000" in text or "3,000" in text


def test_a_clean_device_is_silent(simulated_gpus: Gpus, tmp_path: Path) -> None:
    scenario = f"gpu {A} {H100}\npower constant 100\ncounter 0.02 0 1\nmemory 81920 60\n"
    result, _ = run(simulated_gpus(scenario), tmp_path, measurement__min_window_s=0.2)
    assert not {"residual_gpu_memory", "gpu_shared"} & codes(result)


def test_throttling_in_the_window_is_a_warning_with_its_reason(simulated_gpus: Gpus, tmp_path: Path) -> None:
    scenario = f"gpu {A} {H100}\npower constant 100\ncounter 0.02 0 1\nthrottle 40 0 1000\n"
    result, _ = run(simulated_gpus(scenario), tmp_path)
    assert "thermal_throttle" in codes(result)
    assert any("thermal" in reason for reason in result["thermal"][0]["throttle_reasons"])


@pytest.mark.parametrize(("code", "word"), [(4, "ermission"), (18, "mismatch"), (9, "driver")])
def test_an_nvml_that_cannot_start_is_explained_and_another_meter_answers(
    simulated_gpus: Gpus, tmp_path: Path, code: int, word: str
) -> None:
    environment = simulated_gpus(f"init_error {code}\n")
    result, _ = run(environment, tmp_path, measurement__samplers="null", measurement__min_window_s=0.2)
    report = next(s for s in result["samplers"] if s["name"] == "nvml")
    assert report["used"] is False
    assert word in report["reason"]
    assert result["energy"]["headline"]["method"] == "estimate"


def test_a_named_meter_that_does_not_work_stops_before_anything_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "llem", "run", "--model", "random:tiny-llama", "--backend", "testbed"]
    command += ["--output", str(tmp_path), "--set", 'measurement.samplers=["nvml"]', "--set", "dataset.n=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "nvml" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*/experiments/*"))
