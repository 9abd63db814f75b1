"""Whole studies that search for capacity, and that skip rates, on a server whose capacity is known."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from test_serving_capacity_driver import SERVICE_S, capacity_of_queue

from llem.plugin_api import read_result
from llem.study.manifest.manifest import recover
from llem_serving.capacity.part_energy import part_energy

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

LOADBED = Path(__file__).parent / "loadbed"
STUDY: Mapping[str, Any] = {
    "name": "sought",
    "model": "random:tiny-llama",
    "backend": "loadbed",
    # One request at a time, two iterations of 5 ms each.
    "loadbed": {"max_batch": 1, "base_s": SERVICE_S / 2, "request_s": 0.0},
    "dataset": {"name": "synthetic", "n": 50, "input_tokens": 8, "output_tokens": 2},
    "measurement": {"scenario": "server", "sample_hz": 20, "settle_s": 0, "samplers": ["loadbed"]},
    "baseline": {"enabled": False},
    "warmup": {"enabled": False},
    "load": {"rate_rps": 30, "ramp_s": 0.5, "steady_s": 6, "duration_s": 3, "drain_s": 2},
    "slo": {"attainment": 0.9},
}
OPTIONS = ("--no-gaps", "--skip-preflight", "load")
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts `llem` with the loadbed on its path, beside a study file `s.yaml`."""

    def run(*arguments: str | Path, **sections: Any) -> subprocess.Popen[str]:
        study = {**STUDY, **{k: {**STUDY.get(k, {}), **v} if isinstance(v, dict) else v for k, v in sections.items()}}
        if sections or not (tmp_path / "s.yaml").exists():
            (tmp_path / "s.yaml").write_text(json.dumps(study))
        path = os.pathsep.join([str(LOADBED), os.environ.get("PYTHONPATH", "")])
        return subprocess.Popen(
            [sys.executable, "-m", "llem", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, "LOADBED_POWER": str(tmp_path / "power")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


def ended(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    """Its output and what it said, once it has ended with this code."""
    output, said = process.communicate(timeout=400)
    assert process.returncode == code, said
    return output, said


def folder_of(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "results").iterdir()
    return folder


def answer(folder: Path) -> dict[str, Any]:
    (found,) = json.loads((folder / "search.json").read_text())["configurations"]
    return dict(found)


def test_the_capacity_of_a_server_is_found_in_few_runs_of_one_study(start: Start, tmp_path: Path) -> None:
    command = ["capacity", "s.yaml", "--slo", f"e2e_s={3 * SERVICE_S}", "--max-runs", "6"]
    output, _ = ended(start(*command, "--dry-run"))
    assert "1 to 6 experiments to run" in output
    assert "90 % of requests keep end to end 0.03 s" in output
    assert not (tmp_path / "results").exists()
    output, said = ended(start(*command, *OPTIONS))
    assert "up to 6 experiments, results in" in said
    folder = folder_of(tmp_path)
    found = answer(folder)
    capacity_rps = capacity_of_queue(0.9, 2 * SERVICE_S)
    # A busy machine makes requests late, and so a server slow; the accuracy of the search is tested in virtual time.
    assert found["capacity"]["rate_rps"] == pytest.approx(capacity_rps, rel=0.4)
    assert found["over"]
    assert 2 <= len(found["runs"]) <= 6
    assert f"capacity is {found['capacity']['rate_rps']:.4g} requests/s" in output
    entries = recover(folder).manifest.experiments
    assert [e.point["load.rate_rps"] for e in entries] == [run["rate_rps"] for run in found["runs"]]
    assert [e.cycle for e in entries] == list(range(1, len(entries) + 1))
    for entry, run in zip(entries, found["runs"], strict=True):
        result = json.loads((folder / entry.directory / "result.json").read_text())
        assert result["config"]["load"]["rate_rps"] == run["rate_rps"]
        assert result["config"]["slo"]["e2e_s"] == 3 * SERVICE_S
        metrics = result["scenario_metrics"]
        assert run["attainment"] == pytest.approx(metrics["attainment"])
        assert run["requests"] == metrics["arrived_requests"]
        joules = result["energy"]["headline"]["energy_j"]
        assert run["j_per_good_token"] == pytest.approx(joules / metrics["good_tokens"])
        energy = read_result(folder / entry.directory).energy
        assert energy is not None
        parts = part_energy(folder / entry.directory, energy, 3)
        assert parts is not None
        assert sum(parts) == pytest.approx(joules)
        assert all(part == pytest.approx(joules / 3, rel=0.5) for part in parts)
    shown, _ = ended(start("show", folder))
    assert f"capacity is {found['capacity']['rate_rps']:.4g} requests/s" in shown
    document = json.loads(ended(start("show", folder, "--json"))[0])
    assert document["search"]["configurations"][0]["capacity"] == found["capacity"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_search_that_was_broken_off_goes_on_from_its_results(
    start: Start, tmp_path: Path, how: signal.Signals
) -> None:
    settings = {"load": {"steady_s": 3, "duration_s": 1.5}}
    process = start("capacity", "s.yaml", "--slo", "e2e_s=0.03", "--max-runs", "3", *OPTIONS, **settings)
    limit = time.monotonic() + 200
    while not list(tmp_path.glob("results/*/experiments/00002*/events.jsonl")):
        assert time.monotonic() < limit
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    folder = folder_of(tmp_path)
    (first,) = folder.glob("experiments/00001*")
    before = (first / "result.json").stat().st_mtime_ns
    assert [run["rate_rps"] for run in answer(folder)["runs"]] == [30.0]
    second = recover(folder).manifest.experiments[1]
    output, said = ended(start("resume", folder, *OPTIONS))
    assert "1 of 2 experiments are done, checked and kept" in said
    assert "then what the search asks for" in said
    assert (first / "result.json").stat().st_mtime_ns == before
    entries = recover(folder).manifest.experiments
    assert [e.state for e in entries] == ["done"] * 3
    assert (entries[1].config_hash, entries[1].cycle) == (second.config_hash, second.cycle)
    found = answer(folder)
    assert found["over"]
    assert [run["rate_rps"] for run in found["runs"]] == [e.point["load.rate_rps"] for e in entries]
    assert "capacity is" in output
    _, said = ended(start("resume", folder, *OPTIONS))
    assert len(recover(folder).manifest.experiments) == 3


def test_rates_above_one_that_saturates_are_skipped_and_run_on_request(start: Start, tmp_path: Path) -> None:
    load = {"rate_rps": None, "steady_s": 6, "duration_s": 1.5, "drain_s": 0.5}
    sweep = {"load.rate_rps": [20, 300, 400]}
    command = ["run", "s.yaml", *OPTIONS, "--order", "sequential"]
    _, said = ended(start(*command, load=load, sweep=sweep))
    folder = folder_of(tmp_path)
    entries = recover(folder).manifest.experiments
    assert [e.state for e in entries] == ["done", "done", "skipped"]
    assert "saturated at 300 requests/s" in str(entries[2].reason)
    assert "load.rate_rps=400: skipped" in said
    _, said = ended(start("resume", folder, *OPTIONS))
    assert "1 stays skipped (--run-skipped runs it)" in said
    assert recover(folder).manifest.counts["skipped"] == 1
    _, said = ended(start("resume", folder, "--run-skipped", *OPTIONS))
    entries = recover(folder).manifest.experiments
    assert [e.state for e in entries] == ["done"] * 3
    assert entries[2].reason is None


def test_a_study_of_a_curve_is_searched_without_its_rates_and_cycles(start: Start, tmp_path: Path) -> None:
    curve = {"load": {"rate_rps": None}, "sweep": {"load.rate_rps": [20, 30, 40]}, "execution": {"cycles": 3}}
    output, said = ended(start("capacity", "s.yaml", "--slo", "e2e_s=0.03", "--dry-run", **curve))
    assert "1 to 10 experiments to run" in output
    assert "from 30 requests/s on" in output
    assert "outside the study file" not in said, "the user gave nothing there"
    assert "the rates of the study (20, 30, 40) are left out" in said
    assert "execution.cycles (3) is left out" in said
    options = ["--set", "load.rate_rps=20", "--dry-run"]
    _, said = ended(start("capacity", "s.yaml", "--slo", "e2e_s=0.03", *options))
    assert said.count("the axis `load.rate_rps` of the sweep is replaced") == 1
    _, said = ended(start("capacity", "s.yaml", "--slo", "e2e_s=0.03", "--max-runs", "1", *OPTIONS))
    assert "outside the study file" not in said
    folder = folder_of(tmp_path)
    assert [run["rate_rps"] for run in answer(folder)["runs"]] == [30.0]
    command = ["capacity", "s.yaml", "--slo", "e2e_s=0.03", "--max-runs", "2", *OPTIONS]
    _, said = ended(start(*command, "--resume", folder, "--allow-changes"))
    assert "1 of 1 experiments are done, checked and kept" in said
    assert len(answer(folder)["runs"]) == 2


def test_a_study_that_asks_for_a_search_and_sweeps_the_rate_is_refused(start: Start) -> None:
    search = {"execution": {"search": {"goal": "capacity"}}}
    process = start("run", "s.yaml", load={"rate_rps": None}, sweep={"load.rate_rps": [20, 30]}, **search)
    _, said = ended(process, 2)
    assert "`load.rate_rps` is varied by the study" in said
    assert "from which the search starts" in said
