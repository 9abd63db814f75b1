"""Nodes and processes that die while a study runs on a real cluster of two nodes."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray_bed import Bed, Runs, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

WAITS: dict[str, Any] = {"min_window_s": 600}


def test_forty_experiments_finish_exactly_once_though_a_node_dies(
    bed: Bed, runs: Runs, node: Callable[..., Any]
) -> None:
    south = node("south")
    sweep = {"testbed.batch_size": [1, 2, 3, 4], "dataset.output_tokens": list(range(4, 14))}
    process = runs.start(sweep=sweep)
    wait_until(lambda: len(runs.files("result.json")) >= 8, during=process)
    # Something is under way there when it dies.
    wait_until(lambda: any("lost" not in path.read_text() for path in runs.files("events.jsonl")), during=process)
    bed.kill(south)
    ran = runs.finish(process, 400)
    assert ran.code == 0, ran.said
    results = ran.results
    assert [result["status"] for result in results] == ["done"] * 40
    assert len({result["identity"]["config_hash"] for result in results}) == 40
    nodes = Counter(result["environment"]["node"] for result in results)
    assert set(nodes) == {"north", "south"}, nodes
    manifest = json.loads(next((ran.folder).glob("*/manifest.json")).read_text())
    assert manifest["state"] == "complete"
    for result in results:
        study = result["environment"]["study"]["runner"]
        lost = [warning for warning in result["warnings"] if warning["code"] == "attempt_lost"]
        assert study["attempt"] == len(lost) + 1
        assert study["lost_attempts"] == ["the node south died"] * len(lost)
        assert not lost or study["node"] == "north"


def process_of_ray(bed: Bed, title: bytes) -> int:
    """Ray's own process for the one task that runs on the cluster, or for the mailbox."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and title in (entry / "cmdline").read_bytes():
                environment = (entry / "environ").read_bytes()
                if f"TMPDIR={bed.temporary}".encode() in environment.split(b"\0"):
                    return int(entry.name)
        except OSError:
            continue
    raise AssertionError("no task runs")


def test_a_killed_process_of_ray_is_an_attempt_lost_and_the_next_one_counts(bed: Bed, runs: Runs) -> None:
    process = runs.start(measurement={"min_window_s": 8}, testbed={"token_s": 0.01})
    wait_until(lambda: '"window"' in runs.events() and runs.files("worker.log"), during=process)
    # What the engine prints at its end would tell of an attempt that is as good as over.
    assert [path.read_text() for path in runs.files("worker.log")] == ["testbed loaded\n"]
    os.kill(process_of_ray(bed, b"ray::attempt"), signal.SIGKILL)
    ran = runs.finish(process)
    assert ran.code == 0, ran.said
    study = ran.result["environment"]["study"]["runner"]
    assert study["attempt"] == 2
    assert study["lost_attempts"] == ["Ray's process for it on the node north was killed, while the node lives"]
    # The events are those of the attempt that counts, after a word about the other.
    events = [json.loads(line) for line in (ran.job / "events.jsonl").read_text().splitlines()]
    assert events[0]["code"] == "attempt_lost"
    assert sum(event.get("name") == "window" and event.get("state") == "start" for event in events) == 1
    assert "starts anew" in events[0]["text"]
    assert (ran.job / "worker.attempt-1.log").exists()


def test_a_killed_mailbox_costs_a_piece_of_the_log_and_no_attempt(bed: Bed, runs: Runs) -> None:
    process = runs.start(measurement={"min_window_s": 6})
    wait_until(lambda: '"window"' in runs.events(), during=process)
    os.kill(process_of_ray(bed, b"ray::Mailbox"), signal.SIGKILL)
    ran = runs.finish(process)
    assert ran.code == 0, ran.said
    assert ran.result["environment"]["study"]["runner"]["attempt"] == 1
    assert '"close"' in (ran.job / "events.jsonl").read_text()


def test_an_order_reaches_a_task_through_a_new_mailbox(bed: Bed, runs: Runs) -> None:
    process = runs.start(measurement=WAITS)
    wait_until(lambda: '"window"' in runs.events(), during=process)
    os.kill(process_of_ray(bed, b"ray::Mailbox"), signal.SIGKILL)
    process.send_signal(signal.SIGINT)
    ran = runs.finish(process)
    assert ran.code == 130, ran.said
    assert ran.result["failure"]["type"] == "Interrupted"


@pytest.fixture
def failed_with_its_node(bed: Bed, runs: Runs, node: Callable[..., Any]) -> Callable[..., Any]:
    """Takes options, has the only node die that an experiment can run on, and returns the failure."""

    def lose(**options: Any) -> Any:
        south = node("south", labels={"zone": "doomed"})
        process = runs.start(options={"labels": {"zone": "doomed"}, **options}, measurement=WAITS)
        wait_until(lambda: '"window"' in runs.events(), during=process)
        bed.kill(south)
        ran = runs.finish(process)
        assert ran.code == 1, ran.said
        return ran.result["failure"]

    return lose


def test_when_every_attempt_is_lost_the_failure_says_how_each_was(
    failed_with_its_node: Callable[..., Any],
) -> None:
    failure = failed_with_its_node(max_retries=0)
    assert failure["type"] == "NodeFailed"
    assert failure["message"].startswith("Its only attempt was lost: the node south died")
    assert failure["phase"] == "window"


def test_an_experiment_whose_only_node_is_gone_fails_when_none_comes(
    failed_with_its_node: Callable[..., Any],
) -> None:
    failure = failed_with_its_node(wait_for_nodes_s=3.0)
    assert failure["type"] == "NoNode"
    assert "it needs 1 CPU(s), the label zone=doomed" in failure["message"]


def test_rays_memory_monitor_is_named_as_the_cause(runs: Runs, node: Callable[..., Any]) -> None:
    # Any machine uses more than one part in a thousand of its memory.
    settings = {"RAY_memory_usage_threshold": "0.001", "RAY_memory_monitor_refresh_ms": "500"}
    node("thin", labels={"zone": "thin"}, env_vars=settings)
    ran = runs.run(options={"labels": {"zone": "thin"}}, measurement=WAITS)
    assert ran.code == 1, ran.said
    failure = ran.result["failure"]
    assert failure["type"] == "OutOfMemory"
    assert "memory monitor" in failure["message"]


def test_a_lost_head_ends_the_study_in_order_and_not_llem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster of its own, of which the one node dies while an experiment runs."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "5")  # a minute otherwise
    head = {"num_cpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False, "node_name": "head"}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    lonely = Bed(cluster, tmp_path / "tmp")
    runs = Runs(lonely, tmp_path)
    try:
        process = runs.start(measurement=WAITS)
        wait_until(lambda: '"window"' in runs.events(), during=process)
        cluster.remove_node(cluster.head_node, allow_graceful=False)
        ran = runs.finish(process)
        assert ran.code == 1, ran.said
        assert ran.result["failure"]["type"] in {"ClusterLost", "NodeFailed"}, ran.result["failure"]
    finally:
        cluster.shutdown()
