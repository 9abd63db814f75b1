"""The scenario `server` on a real cluster: what comes back from the nodes, what is not run, what is not there, and Ctrl+C."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from load_elsewhere import (
    CROSSED,
    ENDLESS,
    SATURATED,
    SECTIONS,
    check_crossed,
    check_skipped,
    has_reached,
    without_serving,
)
from slurm_cluster import Cluster, Study, until

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]


@pytest.fixture
def under_load(study: Callable[..., Study]) -> Callable[..., Study]:
    """Takes sections and Slurm's options, returns the study."""

    def make(sections: Any, **options: object) -> Study:
        given = {"runners": {"loadbed": "slurm"}, **sections}
        return study({"mem": "700M", **options}, given.pop("sweep", {}), name="served", **given)

    return make


def belonging(folder: Path) -> list[list[str]]:
    """Command lines of all nodes that name something in this folder."""
    words = (one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"]))
    return [line for line in words if any(str(folder) in word for word in line)]


def test_rates_and_settings_are_measured_on_both_nodes_under_the_same_arrivals(
    under_load: Callable[..., Study],
) -> None:
    made = under_load(CROSSED)
    made.run("--skip-preflight", "load")
    check_crossed(made.folder)
    assert {result["environment"]["node"] for result in made.results().values()} == {"n1", "n2"}


def test_a_rate_above_one_that_saturated_is_skipped(under_load: Callable[..., Study]) -> None:
    made = under_load(SATURATED, capacity=1)  # what is in the queue already is run
    made.run()
    check_skipped(made.folder, made.said)


def test_a_node_without_what_a_load_needs_is_named_before_anything_runs(
    under_load: Callable[..., Study], tmp_path: Path
) -> None:
    hidden = without_serving(tmp_path / "hidden")
    dataset = {"name": "shared_prefix", "n": 4, "input_tokens": 8}
    given = {**SECTIONS, "load": {"rate_rps": 20}, "dataset": dataset}
    made = under_load(given, probe_s=120, setup=[f"export PYTHONPATH={hidden}:$PYTHONPATH"])
    made.run(expect=3)
    for lacking in ("scenario `server`", "dataset `shared_prefix`"):
        assert f"has no {lacking} at " in made.said
    assert "(llem-serving 0.1.0: " in made.said, "it says what was set aside"
    assert "-m pip install llem-serving==" in made.said
    assert not list(made.output.iterdir())


def test_a_load_that_is_cancelled_leaves_nothing_on_the_nodes(
    cluster: Cluster, under_load: Callable[..., Study]
) -> None:
    made = under_load(ENDLESS)
    running = made.start()
    until("the window", lambda: has_reached(made.output, "window"))
    assert belonging(made.folder)
    running.send_signal(signal.SIGINT)
    assert running.wait(120) == 130, made.said[-4000:]
    assert cluster.queue("PENDING", "RUNNING", "COMPLETING") == []
    assert belonging(made.folder) == []
    assert made.manifest["state"] == "interrupted"
    assert {result["failure"]["type"] for result in made.results().values()} <= {"Interrupted"}
