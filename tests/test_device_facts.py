"""Facts of accelerators are told whichever sampler meters: whole experiments on simulated GPUs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from small_workload import SETTINGS

from llem.accelerators.facts import device_facts, with_use
from llem.plugins import default_registry
from llem.results.environments import differing
from llem.results.facts import DeviceFacts
from llem.results.models import ExperimentResult
from llem.results.rows import result_row
from llem_analysis.row_environments import environment_of

Gpus = Callable[[str], Mapping[str, str]]
A, B = "GPU-aaaaaaaa-0000-0000-0000-000000000001", "GPU-bbbbbbbb-0000-0000-0000-000000000002"


def measured(environment: Mapping[str, str], output: Path, sampler: str) -> ExperimentResult:
    """One experiment on the testbed, metered by this sampler."""
    settings: dict[str, Any] = {**SETTINGS, "measurement.samplers": f"[{sampler}]"}
    command = [sys.executable, "-m", "llem", "run", "--model", "random:tiny-llama", "--backend", "testbed", "--no-gaps"]
    command += ["--output", str(output), *(part for k, v in settings.items() for part in ("--set", f"{k}={v}"))]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    (result,) = output.glob("*/experiments/*/result.json")
    assert done.returncode == 0, done.stderr
    return ExperimentResult.model_validate(json.loads(result.read_text()))


@pytest.mark.parametrize("sampler", ["nvml", "zeus", "codecarbon", "estimate"])
def test_an_h100_is_told_from_an_a100_whichever_sampler_meters(
    simulated_gpus: Gpus, tmp_path: Path, sampler: str
) -> None:
    """That of `estimate` reads no GPU at all."""
    found = []
    for number, name in enumerate(("NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB")):
        environment = simulated_gpus(f"gpu {A} {name}\npower constant 250\ncounter 0.02 0 1\n")
        result = measured(environment, tmp_path / str(number), sampler)
        assert result.facts is not None
        assert [one.model for one in result.facts.devices or ()] == [name]
        assert result.environment["gpu"]["models"] == [name]
        found.append(environment_of(result_row(result, "experiments/1")))
    assert "GPU" in [one.name for one in differing(*found)]


class Meter:
    """A sampler of another maker's devices."""

    def device_facts(self) -> Sequence[DeviceFacts]:
        return [DeviceFacts(id="TPU-0", model="TPU v5", power_limit_w=300.0)]


def test_a_sampler_from_outside_describes_devices_that_llem_cannot_ask() -> None:
    assert DeviceFacts(id="TPU-0", model="TPU v5", power_limit_w=300.0) in device_facts(
        default_registry(), [Meter(), object()]
    )


def test_the_engines_word_says_which_devices_are_in_use() -> None:
    found = with_use([DeviceFacts(id=A, model="H100"), DeviceFacts(id=B, model="H100")], [B, "cpu", "TPU-9"])
    assert [(one.id, one.model, one.in_use) for one in found] == [
        (A, "H100", False),
        (B, "H100", True),
        ("TPU-9", None, True),
    ]
