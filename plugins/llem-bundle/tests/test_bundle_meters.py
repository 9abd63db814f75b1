"""Bundles of experiments on simulated GPUs: energy by counter, by ticking counter and by power, found again from the readings."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from llem_bundle.verifying import verify_bundle

pytestmark = pytest.mark.process

A = "GPU-aaaaaaaa-0000-0000-0000-000000000001"
B = "GPU-bbbbbbbb-0000-0000-0000-000000000002"


H100 = "NVIDIA H100 80GB HBM3"
TWO = f"gpu {A} {H100}\npower constant 250\ncounter 0.02 0 1\ngpu {B} {H100}\npower constant 100\ncounter 0.02 0 1\n"


@pytest.mark.parametrize(
    ("scenario", "method"),
    [
        (f"gpu {A} {H100}\npower constant 250\ncounter 0.02 0 1\n", "counter"),
        (f"gpu {A} Tesla P100\npower constant 180\ncounter none\n", "power"),
        (TWO, "counter"),
    ],
)
def test_energy_is_found_again(
    simulated_gpus: Callable[[str], Mapping[str, str]],
    testbed_result: Callable[..., dict[str, Any]],
    tmp_path: Path,
    scenario: str,
    method: str,
) -> None:
    environment = simulated_gpus(scenario)
    result = testbed_result(environment)
    assert result["energy"]["headline"]["method"] == method
    (study,) = (tmp_path / "results").iterdir()
    command = [sys.executable, "-m", "llem", "bundle", str(study), "-o", str(tmp_path / "b.zip")]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    found = verify_bundle(tmp_path / "b.zip")
    assert [one.document() for one in found.of("differs")] == []
    (energy,) = [one for one in found.of("equal") if one.name == "energy_j"]
    assert energy.recomputed == pytest.approx(result["energy"]["headline"]["energy_j"], rel=0.03)
    assert energy.give < 0.06 * energy.recomputed
    if method == "power":
        assert energy.give <= 1e-5 * energy.recomputed
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        (hardware,) = json.loads(archive.read("environment/hardware.json"))
    assert [one["id"] for one in hardware["devices"]] == result["energy"]["headline"]["devices"]
