"""Where an experiment ran: its node's name, whether it was alone there, and its hardware, from the worker to the table."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from llem.measure.environment import capture
from llem.measure.node import gpu_facts, node_facts, sharing_warnings
from llem.results.facts import devices_told
from llem.results.job_directory import JobDocument
from llem.results.rows import result_row
from llem.results.table import StudyTable
from llem.runners.failure import Ended, final_result
from llem.specs.runner import Exit


@pytest.mark.parametrize(
    ("environ", "node"),
    [
        ({}, platform.node()),
        ({"SLURMD_NODENAME": "gpu07"}, "gpu07"),
        ({"SLURMD_NODENAME": "gpu07", "LLEM_NODE": "as-the-runner-says"}, "as-the-runner-says"),
        ({"LLEM_NODE": ""}, platform.node()),
    ],
)
def test_the_node_is_named_by_the_runner_else_by_the_cluster_else_by_itself(environ: dict[str, str], node: str) -> None:
    assert node_facts(environ)["node"] == node


@pytest.mark.parametrize(("told", "exclusive"), [("1", True), ("0", False), ("", None), ("yes", None)])
def test_whether_it_was_alone_is_what_the_runner_knows_and_else_not_known(told: str, exclusive: bool | None) -> None:
    assert node_facts({"LLEM_NODE_EXCLUSIVE": told})["exclusive"] is exclusive
    assert node_facts({})["exclusive"] is None


@pytest.mark.parametrize("told", ["H100", ["H100"], 1, None, {"0": "H100"}, [{"uuid": "GPU-1", "mig": "often"}]])
def test_what_a_plugin_tells_of_gpus_in_a_shape_of_its_own_is_passed_over(told: object) -> None:
    assert list(devices_told({"other": {"gpus": told}}, {})) == []


def test_gpus_are_taken_from_whichever_meter_tells_of_them_and_count_once() -> None:
    nvml = {"driver": "550.1", "gpus": [{"uuid": "GPU-1", "name": "H200"}, {"uuid": "GPU-0", "name": "A100"}]}
    again = {"gpus": [{"uuid": "GPU-1", "name": "H200", "driver": "other"}]}
    found = list(devices_told({"nvml": nvml, "zeus": again, "rapl": {"zones": 2}}, {}))
    assert gpu_facts(found) == {"models": ["A100", "H200"], "driver": "550.1"}
    amd = {"gpus": [{"uuid": "X", "name": "MI300X", "driver": "6.7"}]}
    assert gpu_facts(list(devices_told({"amd": amd}, {}))) == {"models": ["MI300X"], "driver": "6.7"}
    assert gpu_facts([]) == {"models": None, "driver": None}


@pytest.mark.parametrize(
    ("exclusive", "scopes", "words"),
    [
        (False, {"cpu", "dram", "gpu"}, "CPU, DRAM"),
        (False, {"host"}, "host"),
        (False, {"gpu"}, None),
        (False, set(), None),
        (True, {"cpu"}, None),
        (None, {"cpu"}, None),
    ],
)
def test_energy_that_others_may_be_in_is_marked(exclusive: bool | None, scopes: set[str], words: str | None) -> None:
    found = sharing_warnings(exclusive, scopes)
    assert [w.code for w in found] == (["cpu_energy_shared"] if words else [])
    assert all(words in w.message for w in found if words)


def test_the_environment_names_the_node_and_not_the_variables_that_told_it() -> None:
    found = capture({}, {}, environ={"LLEM_NODE": "n1", "LLEM_NODE_EXCLUSIVE": "1", "CUDA_VISIBLE_DEVICES": "0"})
    assert (found["node"], found["exclusive"]) == ("n1", True)
    assert found["variables"] == {"CUDA_VISIBLE_DEVICES": "0"}


def test_a_worker_takes_node_and_sharing_into_its_result_and_the_table(make_job: Any) -> None:
    job = make_job(measurement={"samplers": ["estimate"], "cpu_tdp_w": 50, "min_window_s": 0.3})
    told = {"LLEM_NODE": "n7", "LLEM_NODE_EXCLUSIVE": "0"}
    shared = type(job)(job.directory, {**job.environment, **told})
    assert shared.run() == 0
    result = shared.result
    assert (result.environment["node"], result.environment["exclusive"]) == ("n7", False)
    assert "cpu_energy_shared" in shared.codes
    row = result_row(result, "experiments/1")
    assert (row["environment.node"], row["environment.exclusive"]) == ("n7", False)
    assert row["environment.cpu.model"] == result.environment["cpu"]["model"]


def test_a_worker_that_left_nothing_has_the_node_that_its_runner_knew(tmp_path: Path) -> None:
    folder = tmp_path / "experiments" / "1"
    folder.mkdir(parents=True)
    document = JobDocument(config={"backend": "testbed"}, config_hash="a" * 64, base_dir="/")
    ended = Ended(why="Crash", started_at=datetime.now(UTC), ending=Exit(cause="the node went down", node="n3"))
    assert final_result(folder, document, ended).environment == {"node": "n3"}
    table = StudyTable(tmp_path).read()
    assert table.column("environment.node").to_pylist() == ["n3"]
    assert table.column("environment.exclusive").to_pylist() == [None]
