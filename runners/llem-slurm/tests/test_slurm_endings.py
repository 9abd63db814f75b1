"""Ends of jobs on a real cluster that do not end by themselves, and what the result says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from slurm_cluster import Cluster, Study, until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

ONE = {"testbed.batch_size": [1]}


def failure(made: Study) -> Mapping[str, Any]:
    (result,) = made.results().values()
    assert result["status"] == "failed", made.said[-4000:]
    found: Mapping[str, Any] = result["failure"]
    return found


def test_memory_time_and_whoever_cancels_are_named_as_the_cause(cluster: Cluster, study: Callable[..., Study]) -> None:
    late = study({"time": "0:01:00"}, ONE, name="late", window_s=300)
    greedy = study({"mem": "250M"}, ONE, name="greedy", testbed={"allocate_mb": 600})
    unwanted = study({}, ONE, name="unwanted", window_s=300)
    running = [made.start() for made in (late, greedy, unwanted)]
    until("a window", lambda: "window" in unwanted.said)
    cluster.ask("scancel", "--state=RUNNING", f"--name=llem-{unwanted.folder.name}")
    assert [process.wait(240) for process in running] == [1, 1, 1], late.said + greedy.said + unwanted.said
    assert [failure(made)["type"] for made in (late, greedy, unwanted)] == [
        "SlurmTimeLimit",
        "OutOfMemory",
        "Cancelled",
    ]
    assert "time limit of 00:01:00 (runner_options.slurm.time)" in failure(late)["message"]
    assert "out of memory" in failure(greedy)["message"].lower()
    assert "cancelled (scancel) by root" in failure(unwanted)["message"]
    for made in (late, greedy, unwanted):
        assert next(iter(made.results().values()))["environment"]["node"] in {"n1", "n2"}


def test_a_job_that_slurm_begins_anew_starts_its_experiment_afresh(
    cluster: Cluster, study: Callable[..., Study]
) -> None:
    made = study({}, ONE, window_s=8)
    running = made.start()
    until("a window", lambda: "window" in made.said)
    cluster.ask("scontrol", "requeue", cluster.queue("RUNNING")[0])
    assert running.wait(240) == 0, made.said[-4000:]
    (record,) = made.records()
    assert record["attempts"] == 2
    (result,) = made.results().values()
    assert [phase["name"] for phase in result["phases"]].count("window") == 1
    assert [w["code"] for w in result["warnings"]].count("attempt_lost") == 1
    (directory,) = made.folder.glob("experiments/*")
    assert (directory / "worker.attempt-1.log").exists()


def test_a_job_of_higher_priority_takes_the_place_and_gives_it_back(
    cluster: Cluster, study: Callable[..., Study]
) -> None:
    made = study({"exclusive": True, "nodelist": "n2"}, ONE, window_s=8)
    running = made.start()
    until("a window", lambda: "window" in made.said)
    urgent = ["--partition=urgent", "--nodelist=n2", "--exclusive", "--mem=100M", "--output=/dev/null"]
    cluster.ask("sbatch", *urgent, "--wrap=sleep 2")
    assert running.wait(240) == 0, made.said[-4000:]
    assert made.records()[0]["attempts"] == 2
    (result,) = made.results().values()
    assert result["environment"]["exclusive"] is True
    assert result["environment"]["node"] == "n2"


def test_a_site_that_takes_few_jobs_at_once_gets_few(cluster: Cluster, study: Callable[..., Study]) -> None:
    made = study({"account": "small"}, {"testbed.batch_size": [1, 2, 3, 4, 5, 6, 7, 8]})
    running = made.start()
    most = 0
    while running.poll() is None:
        most = max(most, len(cluster.queue("PENDING", "RUNNING")))
    assert running.returncode == 0, made.said[-4000:]
    assert 1 <= most <= 5
    assert len(made.records()) == 8


def test_what_slurm_refuses_is_a_failed_experiment_with_its_words(study: Callable[..., Study]) -> None:
    made = study({"partition": "gone"}, ONE)
    made.run("--skip-preflight", "slurm-place", "--skip-preflight", "slurm-job", expect=1)
    assert failure(made)["type"] == "SubmitRefused"
    assert "invalid partition" in failure(made)["message"].lower()
