"""Experiments on a real Ray cluster: ends of every kind, what they hold of a node, which node, and how results come back."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray_bed import Bed, Runs, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

WAITS: dict[str, Any] = {"min_window_s": 600}


def states(runs: Runs) -> list[str]:
    found = json.loads(runs.files("result.json")[0].parents[2].joinpath("manifest.json").read_text())
    return sorted(entry["state"] for entry in found["experiments"])


def test_ctrl_c_ends_what_runs_and_what_waits_and_asks_workers_first(bed: Bed, runs: Runs) -> None:
    process = runs.start(measurement=WAITS, execution={"cycles": 4})
    begun = lambda: sum('"window"' in path.read_text() for path in runs.files("events.jsonl"))  # noqa: E731
    wait_until(lambda: begun() == 2, during=process)  # two run, two wait
    process.send_signal(signal.SIGINT)
    ran = runs.finish(process)
    assert ran.code == 130, ran.said
    assert bed.left() == []
    results = ran.results
    assert {result["failure"]["type"] for result in results} == {"Interrupted"}
    logs = [path.read_text() for path in runs.files("worker.log")]
    assert sum("testbed closed" in log for log in logs) == 2
    assert "done" not in states(runs)


def test_a_second_ctrl_c_does_not_wait_for_a_worker_that_is_deaf(bed: Bed, runs: Runs) -> None:
    process = runs.start(testbed={"fail": "hang"})
    wait_until(lambda: '"window"' in runs.events(), during=process)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    ran = runs.finish(process)
    assert ran.code == 130, ran.said
    assert bed.left() == []


def test_a_killed_llem_leaves_nothing_on_the_nodes(bed: Bed, runs: Runs) -> None:
    process = runs.start(testbed={"fail": "orphan"}, execution={"cycles": 2})
    wait_until(lambda: sum("orphan pid" in path.read_text() for path in runs.files("worker.log")) == 2, during=process)
    assert bed.left()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not bed.left())
    for path in runs.files("worker.log"):
        orphan = int(path.read_text().partition("orphan pid ")[2].split()[0])
        wait_until(lambda pid=orphan: not Path(f"/proc/{pid}").exists())


def test_time_limits_count_from_the_start_on_the_node(runs: Runs) -> None:
    # Three on two CPUs: the last one waits longer than it may run, and runs all the same.
    ran = runs.run(measurement=WAITS, execution={"cycles": 3, "timeout_s": 6.0})
    assert ran.code == 1, ran.said
    results = ran.results
    assert [result["failure"]["type"] for result in results] == ["Timeout"] * 3
    assert {result["failure"]["phase"] for result in results} == {"window"}


@pytest.mark.parametrize(("how", "words"), [("kill", "killed (SIGKILL)"), ("segfault", "SIGSEGV")])
def test_a_worker_that_dies_is_told_as_on_this_machine(runs: Runs, how: str, words: str) -> None:
    ran = runs.run(testbed={"fail": how})
    assert ran.code == 1, ran.said
    failure = ran.result["failure"]
    assert failure["type"] == "Crash"
    assert words in failure["message"]
    assert ran.result["environment"]["node"] == "north"
    assert "lost" not in (ran.job / "events.jsonl").read_text()


def test_exclusive_experiments_have_a_node_to_themselves(runs: Runs, node: Callable[..., Any]) -> None:
    node("wide", num_cpus=3, num_gpus=1, labels={"kind": "wide"})
    ran = runs.run(
        options={"exclusive": True, "labels": {"kind": "wide"}},
        execution={"cycles": 3},
        measurement={"min_window_s": 1.0},
    )
    assert ran.code == 0, ran.said
    results = sorted(ran.results, key=lambda result: str(result["started_at"]))
    assert [result["environment"]["exclusive"] for result in results] == [True] * 3
    assert {result["environment"]["node"] for result in results} == {"wide"}
    held = results[0]["environment"]["study"]["runner"]["held"]
    assert (held["CPU"], held["GPU"]) == (3, 1)
    for before, after in itertools.pairwise(results):
        assert before["ended_at"] <= after["started_at"]


def test_experiments_see_the_gpus_that_ray_assigned_and_no_others(runs: Runs, node: Callable[..., Any]) -> None:
    node("cards", num_cpus=4, num_gpus=2)
    ran = runs.run(execution={"cycles": 2}, measurement={"min_window_s": 4.0})
    assert ran.code == 0, ran.said
    found = [result["environment"]["variables"]["CUDA_VISIBLE_DEVICES"] for result in ran.results]
    assert sorted(found) == ["0", "1"]
    assert {result["environment"]["exclusive"] for result in ran.results} == {False}


def test_cycles_stay_on_one_node_or_go_to_each(runs: Runs, node: Callable[..., Any]) -> None:
    node("south")
    sweep = {"testbed.batch_size": [1, 2]}
    ran = runs.run(sweep=sweep, execution={"cycles": 2, "placement": "same_node"})
    assert ran.code == 0, ran.said
    assert all(len(nodes) == 1 for nodes in nodes_by_configuration(ran.results).values())


def test_cycles_that_are_to_spread_go_to_each_node_alike(runs: Runs, node: Callable[..., Any]) -> None:
    node("south")
    ran = runs.run(execution={"cycles": 4, "placement": "spread"})
    assert ran.code == 0, ran.said
    for nodes in nodes_by_configuration(ran.results).values():
        assert sorted(nodes.values()) == [2, 2]


def nodes_by_configuration(results: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for result in results:
        nodes = found.setdefault(result["identity"]["config_hash"], {})
        name = result["environment"]["node"]
        nodes[name] = nodes.get(name, 0) + 1
    return found


def test_results_come_back_by_shared_storage_which_is_empty_afterwards(runs: Runs, tmp_path: Path) -> None:
    storage = tmp_path / "shared"
    storage.mkdir()
    ran = runs.run(options={"storage": str(storage)})
    assert ran.code == 0, ran.said
    assert {"result.json", "requests.parquet", "timeseries.parquet"} <= {path.name for path in ran.job.iterdir()}
    assert not [path for path in storage.rglob("*") if path.is_file()]


def test_results_that_are_too_large_are_refused_before_they_travel(runs: Runs) -> None:
    ran = runs.run(options={"output_limit_mb": 0.001})
    assert ran.code == 1, ran.said
    failure = ran.result["failure"]
    assert failure["type"] == "OutputTooLarge"
    assert "runner_options.ray.output_limit_mb" in failure["message"]


def test_variables_of_a_runtime_environment_reach_the_worker_and_rays_own_do_not(runs: Runs) -> None:
    ran = runs.run(options={"runtime_env": {"env_vars": {"OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "1"}}})
    assert ran.code == 0, ran.said
    variables = ran.result["environment"]["variables"]
    assert (variables["OMP_NUM_THREADS"], variables["HF_HUB_OFFLINE"]) == ("2", "1")
    assert variables["CUDA_VISIBLE_DEVICES"] == ""
    assert not [name for name in variables if name.startswith("RAY_")]
    assert os.environ.get("HF_HUB_OFFLINE") is None
