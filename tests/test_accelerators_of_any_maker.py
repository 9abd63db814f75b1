"""An accelerator of any maker is checked for leftovers, shared out and told from others: NVIDIA's and AMD's on simulated
drivers, a third party's by the example plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from small_workload import SETTINGS

pytestmark = pytest.mark.process

PLUGIN = Path(__file__).parent.parent / "examples" / "plugins" / "llem-file-accelerators" / "llem_file_accelerators.py"
A, B = "GPU-aaaaaaaa-0000-0000-0000-000000000001", "GPU-bbbbbbbb-0000-0000-0000-000000000002"
HIDING = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "FILE_ACCELERATORS_VISIBLE")


@dataclass(frozen=True)
class Card:
    """One accelerator of a scenario."""

    id: str
    model: str = "Example X1"
    used_mb: int = 3
    pid: int | None = None

    @property
    def scenario(self) -> str:
        process = "" if self.pid is None else f"process {self.pid} 50\n"
        return f"gpu {self.id} {self.model}\npower constant 100\nlimit 300\nmemory 81920 {self.used_mb}\n{process}"

    @property
    def document(self) -> dict[str, Any]:
        pids = [] if self.pid is None else [self.pid]
        return {"id": self.id, "model": self.model, "used_mb": self.used_mb, "power_w": 300.0, "pids": pids}


Machine = Callable[[Sequence[Card]], Mapping[str, str]]


@pytest.fixture(params=["nvml", "amd", "file"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """Takes cards, returns the environment of a process that sees them, each maker's in its own way."""

    def cards(there: Sequence[Card]) -> Mapping[str, str]:
        if request.param != "file":
            fixture = {"nvml": "simulated_gpus", "amd": "simulated_amd_gpus"}[request.param]
            found = request.getfixturevalue(fixture)("".join(card.scenario for card in there))
        else:
            site, file = tmp_path / "site", tmp_path / "accelerators.json"
            info = site / "llem_file_accelerators-0.1.0.dist-info"
            info.mkdir(parents=True, exist_ok=True)
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llem-file-accelerators\nVersion: 0.1.0\n")
            (info / "entry_points.txt").write_text("[llem]\nfile-accelerators = llem_file_accelerators\n")
            (site / PLUGIN.name).write_text(PLUGIN.read_text(encoding="utf-8"))
            file.write_text(json.dumps([card.document for card in there]))
            path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
            found = {**os.environ, "PYTHONPATH": path, "FILE_ACCELERATORS": str(file)}
        return {name: value for name, value in found.items() if name not in HIDING}

    return cards


def asked(environment: Mapping[str, str], code: str) -> Any:
    """The `answer` of code in a process that sees these cards; nothing else may be said there."""
    code = f"from llem.plugins import default_registry\nregistry = default_registry()\n{code}\nimport json\nprint(json.dumps(answer))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


LEFT = """
from llem.accelerators.residual import residual_memory
from llem.config.experiment import MeasurementConfig
from llem.specs.kinds import BACKENDS
answer = residual_memory(registry, registry.find(BACKENDS, "testbed"), MeasurementConfig(residual_memory_mb=100), USED)
"""
HOST = "from llem.study.hosts import host\nanswer = host(registry)"


def test_memory_and_processes_that_others_left_are_told_of_each_card(machine: Machine) -> None:
    environment = machine([Card(A), Card(B, used_mb=900, pid=4242)])
    found = asked(environment, LEFT.replace("USED", "()"))
    assert [warning["code"] for warning in found] == ["residual_gpu_memory", "gpu_shared"]
    assert B in found[0]["message"]
    assert "900 MiB" in found[0]["message"]
    assert "4242" in found[1]["message"]
    assert asked(environment, LEFT.replace("USED", repr([A]))) == []


def test_a_clean_machine_is_silent(machine: Machine) -> None:
    assert asked(machine([Card(A), Card(B, used_mb=100)]), LEFT.replace("USED", "()")) == []


def test_a_node_is_told_from_another_by_its_cards(machine: Machine) -> None:
    first, second = (asked(machine([Card(A, model=model)]), HOST) for model in ("Example X1", "Example X2"))
    assert first["gpus"] == [f"Example X1 ({A})"]
    assert first["facts"]["GPU"] != second["facts"]["GPU"]
    assert "300 W" in json.dumps(first["facts"])


def study(folder: Path, count: int) -> Path:
    document = {
        "name": "side-by-side",
        "model": "random:tiny-llama",
        "backend": "testbed",
        "dataset": {"name": "synthetic", "n": 4, "input_tokens": 8, "output_tokens": 10},
        "measurement": {"min_window_s": 1, "settle_s": 0},
        "warmup": {"enabled": False},
        "baseline": {"enabled": False},
        "execution": {"parallel": "by_gpu", "order": "interleaved", "experiment_gap_s": 0, "cycle_gap_s": 0},
        "experiments": [{"testbed": {"gpus": 1, "batch_size": n}} for n in range(1, count + 1)],
    }
    path = folder / "study.yaml"
    path.write_text(json.dumps(document))
    return path


def llem(environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llem", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


def test_experiments_run_side_by_side_each_on_a_card_of_its_own(machine: Machine, tmp_path: Path) -> None:
    done = llem(machine([Card(A), Card(B)]), "run", str(study(tmp_path, 2)), "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    results = [json.loads(path.read_text()) for path in tmp_path.glob("out/*/experiments/*/result.json")]
    seen = [[device["id"] for device in result["facts"]["devices"]] for result in results]
    assert sorted(seen) == [[A], [B]]
    for result, (card,) in zip(results, seen, strict=True):
        shown = {name: result["environment"]["variables"].get(name) for name in HIDING}
        assert card in shown.values(), "the record says which card it was given"
    assert all(result["environment"]["exclusive"] is False for result in results)


def test_one_card_is_too_few_to_run_side_by_side(machine: Machine, tmp_path: Path) -> None:
    done = llem(machine([Card(A)]), "run", str(study(tmp_path, 2)), "--output", str(tmp_path / "out"))
    assert done.returncode == 3
    assert f"llem sees one GPU ({A}) on this machine" in done.stderr


def test_what_is_left_is_in_the_result_of_an_experiment(machine: Machine, tmp_path: Path) -> None:
    words = [
        part for key, value in SETTINGS.items() if key != "measurement.samplers" for part in ("--set", f"{key}={value}")
    ]
    environment = machine([Card(A, used_mb=900)])
    output = str(tmp_path / "out")
    done = llem(environment, "run", "--model", "random:tiny-llama", "--backend", "testbed", "--output", output, *words)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("out/*/experiments/*/result.json")
    assert "residual_gpu_memory" in {warning["code"] for warning in json.loads(path.read_text())["warnings"]}
