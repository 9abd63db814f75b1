"""Samplers of GPUs hold what `llem_plugin_kit` asks of every sampler, on the simulated drivers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from llem_plugin_kit import SamplerConformance

pytestmark = pytest.mark.process

Simulated = Callable[[str], Mapping[str, str]]

A, B = "GPU-aaaaaaaa-0000-0000-0000-000000000001", "GPU-bbbbbbbb-0000-0000-0000-000000000002"
H100 = "NVIDIA H100 80GB HBM3"
TWO = (
    f"gpu {A} {H100}\npower constant 100\ncounter 0.02 0 1\ngpu {B} {H100}\npower constant 300\ncounter 0.02 0.007 1\n"
)
WITHOUT_A_COUNTER = f"gpu {A} Tesla P100\npower constant 100\n"
AMD = "gpu GPU-aaaaaaaaaaaaaaa1 AMD Instinct MI300X\npower constant 200\ncounter 0.02 0 1\n"
LIMITS = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")

SUITE = """
from llem_plugin_kit import SamplerConformance

class TestIt(SamplerConformance):
    sampler = "{name}"
    readings = (12, 0.04)
"""


def conforms(name: str, environment: Mapping[str, str], folder: Path) -> None:
    """Run the suite in a process that sees the simulated cards: a driver's library is loaded once, and for good."""
    (folder / f"test_{name}_conforms.py").write_text(SUITE.format(name=name))
    kept = {key: value for key, value in environment.items() if key not in LIMITS and not key.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", str(folder)]
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tests = [test for test in dir(SamplerConformance) if test.startswith("test_")]
    assert f"{len(tests)} passed" in done.stdout


@pytest.mark.parametrize("scenario", [TWO, WITHOUT_A_COUNTER], ids=["two cards", "no counter"])
def test_nvml_conforms(simulated_gpus: Simulated, scenario: str, tmp_path: Path) -> None:
    conforms("nvml", simulated_gpus(scenario), tmp_path)


def test_amd_conforms(simulated_amd_gpus: Simulated, tmp_path: Path) -> None:
    conforms("amd", simulated_amd_gpus(AMD), tmp_path)


def test_zeus_conforms(simulated_gpus: Simulated, tmp_path: Path) -> None:
    conforms("zeus", simulated_gpus(TWO), tmp_path)


def test_codecarbon_conforms(simulated_gpus: Simulated, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    # CodeCarbon looks for a card only where it can run its vendor's tool.
    (tools / "nvidia-smi").write_text("#!/bin/sh\nexit 0\n")
    (tools / "nvidia-smi").chmod(0o755)
    environment = simulated_gpus(TWO)
    path = os.pathsep.join([str(tools), environment["PATH"]])
    conforms("codecarbon", {**environment, "PATH": path, "HOME": str(tmp_path)}, tmp_path)
