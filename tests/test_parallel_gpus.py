"""Experiments side by side on different simulated GPUs of one machine: never two on one, and each told what it shares."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

Gpus = Callable[[str], Mapping[str, str]]

UUIDS = [f"GPU-{digit * 8}-0000-0000-0000-00000000000{digit}" for digit in "1234"]
SCENARIO = "".join(f"gpu {uuid} NVIDIA H100\npower constant 100\nmemory 81920 3\n" for uuid in UUIDS)


def study(folder: Path, experiments: list[dict[str, Any]], **execution: Any) -> Path:
    document = {
        "name": "side-by-side",
        "model": "random:tiny-llama",
        "backend": "testbed",
        "dataset": {"name": "synthetic", "n": 4, "input_tokens": 8, "output_tokens": 10},
        "measurement": {"min_window_s": 1, "settle_s": 0},
        "warmup": {"enabled": False},
        "baseline": {"enabled": False},
        "execution": {
            "parallel": "by_gpu",
            "order": "interleaved",
            "experiment_gap_s": 0,
            "cycle_gap_s": 0,
            **execution,
        },
        "experiments": experiments,
    }
    path = folder / "study.yaml"
    path.write_text(json.dumps(document))
    return path


def llem(path: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    variables = {k: v for k, v in environment.items() if k != "CUDA_VISIBLE_DEVICES"}
    command = [sys.executable, "-m", "llem", "run", str(path), "--output", str(path.parent / "out")]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=240, check=False)


def span(entry: Mapping[str, Any]) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(entry["started_at"]), datetime.fromisoformat(entry["ended_at"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Results of a study on four GPUs, each with the manifest's entry, in the plan's order."""
    simulated: Gpus = request.getfixturevalue("module_gpus")
    folder = tmp_path_factory.mktemp("study")
    wanted = [1, 1, 2, 1, 0, 1]
    path = study(folder, [{"testbed": {"gpus": gpus, "batch_size": n}} for n, gpus in enumerate(wanted, 1)])
    done = llem(path, simulated(SCENARIO))
    assert done.returncode == 0, done.stderr
    (directory,) = (folder / "out").iterdir()
    entries = json.loads((directory / "manifest.json").read_text())["experiments"]
    found = []
    for entry, gpus in zip(entries, wanted, strict=True):
        result = json.loads((directory / entry["directory"] / "result.json").read_text())
        found.append({**result, "entry": entry, "wanted": gpus})
    return found


def devices(result: Mapping[str, Any]) -> set[str]:
    """GPUs that the experiment was given; all where it was given none of its own."""
    told = result["environment"]["variables"].get("CUDA_VISIBLE_DEVICES")
    return set(told.split(",")) if told else set(UUIDS)


def test_each_experiment_has_as_many_gpus_as_it_takes_by_uuid(finished: list[dict[str, Any]]) -> None:
    assert [len(devices(result)) for result in finished] == [1, 1, 2, 1, 4, 1]
    assert set().union(*(devices(result) for result in finished)) == set(UUIDS)


def test_no_two_are_on_one_gpu_at_once(finished: list[dict[str, Any]]) -> None:
    shared = [(a, b) for a, b in combinations(finished, 2) if devices(a) & devices(b)]
    assert shared
    for a, b in shared:
        (begin_a, end_a), (begin_b, end_b) = span(a["entry"]), span(b["entry"])
        assert end_a <= begin_b or end_b <= begin_a


def test_experiments_on_different_gpus_overlap(finished: list[dict[str, Any]]) -> None:
    apart = [(a, b) for a, b in combinations(finished, 2) if not devices(a) & devices(b)]
    spans = [(span(a["entry"]), span(b["entry"])) for a, b in apart]
    assert any(a[0] < b[1] and b[0] < a[1] for a, b in spans)


def test_only_the_gpus_of_an_experiment_are_in_its_energy(finished: list[dict[str, Any]]) -> None:
    for result in finished:
        metered = {d["device"] for d in result["energy"]["devices"] if d["scope"] == "gpu"}
        assert metered == devices(result)


def test_who_has_neighbours_is_told_that_the_cpu_is_shared(finished: list[dict[str, Any]]) -> None:
    for result in finished:
        codes = {warning["code"] for warning in result["warnings"]}
        neighbours = len(devices(result)) < len(UUIDS)
        assert ("cpu_energy_shared" in codes) is neighbours
        assert result["environment"]["exclusive"] is (False if neighbours else None)


def test_llems_own_neighbours_are_no_foreign_processes(finished: list[dict[str, Any]]) -> None:
    codes = {warning["code"] for result in finished for warning in result["warnings"]}
    assert not codes & {"gpu_shared", "residual_gpu_memory"}


@pytest.mark.parametrize(
    ("scenario", "gpus", "told"),
    [
        ("", 1, "llem sees no GPU on this machine"),
        (SCENARIO[: SCENARIO.index("gpu", 5)], 1, f"one GPU ({UUIDS[0]})"),
        (SCENARIO, 5, "takes 5 GPUs, and llem sees 4"),
    ],
    ids=["no GPU", "one GPU", "too few"],
)
def test_a_machine_that_cannot_do_it_says_so_before_anything_starts(
    simulated_gpus: Gpus, tmp_path: Path, scenario: str, gpus: int, told: str
) -> None:
    done = llem(study(tmp_path, [{"testbed": {"gpus": gpus}}]), simulated_gpus(scenario))
    assert done.returncode == 3
    assert told in done.stderr
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
