"""Whole studies on a real cluster: they spread, they survive, and every experiment has one result."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from slurm_cluster import Cluster, Study, until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

MANY = {"testbed.batch_size": {"min": 1, "max": 40, "num": 40}}


def test_forty_experiments_survive_the_death_of_a_node_and_finish_once_each(
    cluster: Cluster, study: Callable[..., Study]
) -> None:
    doomed = study({"requeues": 0, "nodelist": "n1"}, {"testbed.batch_size": [1]}, name="doomed", window_s=600)
    last = doomed.start()
    until("its window", lambda: cluster.measuring(doomed.folder, "n1") if list(doomed.output.iterdir()) else False)
    made = study({}, MANY, window_s=2)
    running = made.start()
    try:
        until("some results", lambda: len(made.records()) >= 6 if list(made.output.iterdir()) else False)
        until("a window on the node", lambda: cluster.measuring(made.folder, "n1"))
        cluster.kill("n1")
        assert running.wait(400) == 0, made.said[-4000:]
        assert last.wait(60) == 1, doomed.said[-4000:]
    finally:
        running.kill()
        last.kill()
        cluster.restore("n1")
    results, records = made.results(), made.records()
    assert made.manifest["state"] == "complete"
    assert {r["status"] for r in results.values()} == {"done"}
    assert len(results) == len(records) == 40
    assert {r["environment"]["node"] for r in results.values()} == {"n1", "n2"}
    assert {r["environment"]["exclusive"] for r in results.values()} == {False}
    again = [r for r in records if r["attempts"] > 1]
    assert len(again) == 1  # it has two CPUs, and the other one was taken
    assert {r["node"] for r in again} == {"n2"}
    (failed,) = doomed.results().values()  # it was not to begin anew
    assert failed["failure"]["type"] == "NodeFailed"
    assert "the node n1 failed" in failed["failure"]["message"].lower()
    # The site takes arrays of 21 at the most.
    sizes = [len(list(p.parent.glob("*.attempt"))) for p in made.folder.glob("slurm/*/jobs.json")]
    assert sum(sizes) == 40
    assert max(sizes) <= 21


def test_one_interrupt_takes_every_job_out_of_the_queue(cluster: Cluster, study: Callable[..., Study]) -> None:
    made = study({}, {"testbed.batch_size": [1, 2, 3, 4, 5, 6, 7, 8]}, window_s=120)
    running = made.start()
    until("running jobs", lambda: len(cluster.queue("RUNNING")) == 4)
    until("a window", lambda: "window" in made.said)
    running.send_signal(signal.SIGINT)
    assert running.wait(120) == 130, made.said[-4000:]
    assert cluster.queue("PENDING", "RUNNING", "COMPLETING") == []
    assert made.manifest["state"] == "interrupted"
    assert not made.records()
    assert {r["failure"]["type"] for r in made.results().values()} <= {"Interrupted"}


def test_two_interrupts_kill_what_runs(cluster: Cluster, study: Callable[..., Study]) -> None:
    made = study({}, {"testbed.batch_size": [1, 2, 3]}, window_s=120)
    running = made.start()
    until("running jobs", lambda: len(cluster.queue("RUNNING")) == 3)
    running.send_signal(signal.SIGINT)
    until("the first to be taken up", lambda: "nterrupt" in made.said)
    running.send_signal(signal.SIGINT)
    assert running.wait(120) == 130, made.said[-4000:]
    assert cluster.queue("PENDING", "RUNNING", "COMPLETING") == []


def test_a_study_whose_llem_was_killed_is_resumed_and_nothing_runs_twice(
    cluster: Cluster, study: Callable[..., Study]
) -> None:
    made = study({}, {"testbed.batch_size": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}, window_s=4)
    running = made.start()
    until("a result", lambda: list(made.output.iterdir()) and made.records())
    until("others under way", lambda: cluster.queue("RUNNING") and cluster.queue("PENDING"))
    running.kill()
    running.wait()
    left = set(cluster.queue("PENDING", "RUNNING"))
    assert left
    made.run(resume=True)
    assert "had left in Slurm's queue were cancelled" in made.said
    results = made.results()
    assert len(results) == 10
    assert {r["status"] for r in results.values()} == {"done"}
    # What was done before is kept: its record is not written a second time.
    digests = [r["result"] for r in made.records() if r["result"]]
    assert len(digests) == len(set(digests)) == 10
    numbers = cluster.ask("sacct", "-X", "-n", "-P", f"--jobs={','.join(left)}", "--format=State").split("\n")
    assert not {line.split(" ")[0] for line in numbers if line} & {"RUNNING", "PENDING"}


def test_cycles_are_placed_as_the_study_asks(cluster: Cluster, study: Callable[..., Study]) -> None:
    del cluster
    made = study(
        {},
        {"testbed.batch_size": [1, 2]},
        execution={"cycles": 2, "placement": "same_node"},
    )
    made.run()
    nodes: dict[str, set[str]] = {}
    for result in made.results().values():
        nodes.setdefault(result["identity"]["config_hash"], set()).add(result["environment"]["node"])
    assert all(len(names) == 1 for names in nodes.values())
    assert set().union(*nodes.values()) == {"n1", "n2"}
