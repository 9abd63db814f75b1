"""The scenario `server` on a real Ray cluster: what comes back from the nodes, what is not run, what is not there, and Ctrl+C."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
from ray_bed import Bed, Ran, Runs, wait_until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

ON_RAY = {"runners": {"loadbed": "ray"}}
LOOK = ("--skip-preflight", "governor", "--skip-preflight", "load")


def study(ran: Ran) -> Path:
    """Its one folder."""
    (folder,) = ran.folder.glob("*-*Z")
    return folder


def test_rates_and_settings_are_measured_on_nodes_under_the_same_arrivals(runs: Runs, node: Callable[..., Any]) -> None:
    node("south")
    ran = runs.run(**CROSSED, **ON_RAY)
    assert ran.code == 0, ran.said
    check_crossed(study(ran))
    assert {result["environment"]["node"] for result in ran.results} == {"north", "south"}


def test_a_rate_above_one_that_saturated_is_skipped(runs: Runs) -> None:
    ran = runs.run(options={"capacity": 1}, **SATURATED, **ON_RAY)  # what Ray has already is run
    assert ran.code == 0, ran.said
    check_skipped(study(ran), ran.said)


def test_a_node_without_what_a_load_needs_is_named_before_anything_runs(
    runs: Runs, node: Callable[..., Any], tmp_path: Path
) -> None:
    hidden = without_serving(tmp_path / "hidden")
    node("bare", labels={"kind": "bare"}, env_vars={"PYTHONPATH": f"{hidden}{os.pathsep}{os.environ['PYTHONPATH']}"})
    dataset = {"name": "shared_prefix", "n": 4, "input_tokens": 8}
    given: Mapping[str, Any] = {**SECTIONS, "load": {"rate_rps": 20}, "dataset": dataset}
    ran = runs.run(*LOOK, options={"labels": {"kind": "bare"}}, **given, **ON_RAY)
    assert ran.code == 3, ran.said
    said = " ".join(ran.said.split())
    for lacking in ("scenario server", "dataset shared_prefix"):
        assert f"ray-packages: the {lacking} is not installed (llem-serving 0.1.0: " in said
    assert "on bare" in said
    assert "pip install llem-serving==" in said
    assert ran.results == []


def test_a_load_that_is_cancelled_leaves_nothing_on_the_nodes(bed: Bed, runs: Runs, tmp_path: Path) -> None:
    process = runs.start(**ENDLESS, **ON_RAY)
    wait_until(lambda: has_reached(tmp_path / "results", "window"), during=process)
    assert bed.left()
    process.send_signal(signal.SIGINT)
    ran = runs.finish(process)
    assert ran.code == 130, ran.said
    assert bed.left() == []
    assert ran.result["failure"]["type"] == "Interrupted"
