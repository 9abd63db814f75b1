"""Memory that is left on the GPUs before an experiment: told where there is something, silent where there is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

Gpus = Callable[[str], Mapping[str, str]]

A = "GPU-aaaaaaaa-0000-0000-0000-000000000001"
B = "GPU-bbbbbbbb-0000-0000-0000-000000000002"

CODE = """
import json, sys
from llem.config.experiment import MeasurementConfig
from llem.plugins import default_registry
from llem.plugin_api import BackendSpec
from llem.accelerators.residual import residual_memory
backend = BackendSpec(name="b", api_version=1, summary="s", config=object, engine="m:E", capabilities=frozenset(CAPABILITIES))
print(json.dumps(residual_memory(default_registry(), backend, MeasurementConfig(residual_memory_mb=LIMIT))))
"""


def residual(
    environment: Mapping[str, str], limit: float = 100, capabilities: str = '{"gpu"}', **variables: str
) -> list[dict[str, Any]]:
    """The finds in a process with this environment; nothing else may be said there."""
    environment = {k: v for k, v in environment.items() if k != "CUDA_VISIBLE_DEVICES"} | variables
    code = CODE.replace("LIMIT", str(limit)).replace("CAPABILITIES", capabilities)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def gpu(uuid: str, used_mb: int, process: str = "") -> str:
    return f"gpu {uuid} NVIDIA H100\npower constant 100\nmemory 81920 {used_mb}\n{process}\n"


def test_memory_above_the_threshold_is_a_warning_that_names_card_and_amount(simulated_gpus: Gpus) -> None:
    (warning,) = residual(simulated_gpus(gpu(A, 3000)))
    assert warning["code"] == "residual_gpu_memory"
    assert A in warning["message"]
    assert "3000 MiB" in warning["message"]


@pytest.mark.parametrize(
    ("used_mb", "limit", "warned"), [(100, 100, False), (101, 100, True), (101, 5000, False), (1, 0, True)]
)
def test_the_threshold_is_the_users(simulated_gpus: Gpus, used_mb: int, limit: float, warned: bool) -> None:
    assert bool(residual(simulated_gpus(gpu(A, used_mb)), limit)) is warned


def test_a_clean_machine_is_silent(simulated_gpus: Gpus) -> None:
    assert residual(simulated_gpus(gpu(A, 3) + gpu(B, 60))) == []


def test_a_foreign_process_is_named(simulated_gpus: Gpus) -> None:
    (warning,) = residual(simulated_gpus(gpu(A, 60, "process 4242 50")))
    assert warning["code"] == "gpu_shared"
    assert "4242" in warning["message"]


def test_each_card_is_told_apart(simulated_gpus: Gpus) -> None:
    found = residual(simulated_gpus(gpu(A, 3) + gpu(B, 900, "process 7 800")))
    assert [w["code"] for w in found] == ["residual_gpu_memory", "gpu_shared"]
    assert all(B in w["message"] for w in found)


def test_a_card_that_the_experiment_cannot_see_does_not_matter(simulated_gpus: Gpus) -> None:
    environment = simulated_gpus(gpu(A, 3) + gpu(B, 900))
    assert residual(environment, CUDA_VISIBLE_DEVICES="0") == []
    assert len(residual(environment, CUDA_VISIBLE_DEVICES=B)) == 1


def test_a_backend_that_never_uses_a_gpu_is_not_bothered(simulated_gpus: Gpus) -> None:
    assert residual(simulated_gpus(gpu(A, 3000)), capabilities='{"cpu"}') == []


@pytest.mark.parametrize("code", [4, 9, 18])
def test_without_a_working_nvml_it_is_silent(simulated_gpus: Gpus, code: int) -> None:
    assert residual(simulated_gpus(f"init_error {code}\n")) == []


def test_without_a_library_it_is_silent(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_bytes(b"")
    assert residual(os.environ, LD_LIBRARY_PATH=str(tmp_path)) == []


def test_a_card_that_does_not_answer_is_passed_over(simulated_gpus: Gpus) -> None:
    lost = gpu(A, 3000, "lost_at 0")
    found = residual(simulated_gpus(lost + gpu(B, 900)))
    assert [B in w["message"] for w in found] == [True]
