"""The scenario `server` in containers: what comes back, what is not run, what is not in an image, and Ctrl+C in each phase."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import bed as test_bed
import pytest
from load_elsewhere import (
    CROSSED,
    ENDLESS,
    SATURATED,
    SECTIONS,
    check_crossed,
    check_skipped,
    has_reached,
    with_loadbed,
)

pytestmark = pytest.mark.docker

PATIENCE_S = 60.0

Containers = Callable[[], list[dict[str, Any]]]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Takes an image and sections, begins a study of them; results go to `results`."""
    begun: list[subprocess.Popen[str]] = []

    def _start(image: str, sections: Mapping[str, Any]) -> subprocess.Popen[str]:
        file = tmp_path / "study.yaml"
        file.write_text(json.dumps({"name": "served", **sections, "runners": {"loadbed": f"docker:{image}"}}))
        command = [sys.executable, "-m", "llem", "run", str(file), "--no-gaps", "--skip-preflight", "load"]
        process = subprocess.Popen(
            [*command, "--output", str(tmp_path / "results")],
            env=with_loadbed(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        begun.append(process)
        return process

    yield _start
    for process in begun:
        if process.poll() is None:
            process.kill()
            process.communicate()


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def study(folder: Path) -> Path:
    """The folder of the one study."""
    (found,) = folder.glob("results/*-*Z")
    return found


def test_rates_and_settings_are_measured_in_containers_under_the_same_arrivals(
    start: Start, serving_bed: str, tmp_path: Path, containers: Containers
) -> None:
    process = start(serving_bed, CROSSED)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    check_crossed(study(tmp_path))
    assert containers() == []


def test_a_rate_above_one_that_saturated_is_skipped(start: Start, serving_bed: str, tmp_path: Path) -> None:
    process = start(serving_bed, SATURATED)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    check_skipped(study(tmp_path), said)


def test_recorded_arrivals_go_along_into_the_container(start: Start, serving_bed: str, tmp_path: Path) -> None:
    rows = [{"timestamp": 50 * n, "input_length": 8, "output_length": 4} for n in range(80)]
    (tmp_path / "recorded.jsonl").write_text("\n".join(map(json.dumps, rows)))
    load = {"arrival": "trace", "trace": "recorded.jsonl", "ramp_s": 0.5, "duration_s": 1.5, "drain_s": 1}
    process = start(serving_bed, {**SECTIONS, "load": load})
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    (job,) = study(tmp_path).glob("experiments/*")
    metrics = json.loads((job / "result.json").read_text())["scenario_metrics"]
    assert metrics["offered_rps"] == pytest.approx(20, rel=0.1)


def test_an_image_without_what_a_load_needs_is_named_before_anything_runs(
    start: Start, serving_bed: str, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    context.mkdir()
    without = f"FROM {serving_bed}\nRUN rm -r {test_bed.PACKAGES}/llem_serving*\n"
    image = test_bed.build(context, "llem-test-without-serving", without)
    dataset = {"name": "shared_prefix", "n": 4, "input_tokens": 8}
    process = start(image, {**SECTIONS, "load": {"rate_rps": 20}, "dataset": dataset})
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 3, said
    found = " ".join(said.split())
    assert f"the image {image} has no scenario `server` and no dataset `shared_prefix`, which experiments" in found
    assert "llem images build loadbed" in found
    assert not list(tmp_path.glob("results/*-*Z"))


# Requests that ignore being cancelled hold the drain open.
@pytest.mark.parametrize(
    ("phase", "load", "times"),
    [
        ("ramp", {"ramp_s": 60}, 1),
        ("window", {}, 2),
        ("drain", {"duration_s": 1.5}, 1),
        ("drain", {"duration_s": 1.5}, 2),
    ],
)
def test_ctrl_c_in_any_phase_leaves_no_container(
    start: Start,
    serving_bed: str,
    tmp_path: Path,
    containers: Containers,
    phase: str,
    load: dict[str, float],
    times: int,
) -> None:
    process = start(serving_bed, {**ENDLESS, "load": {**ENDLESS["load"], **load}})
    wait_for(lambda: has_reached(tmp_path / "results", phase) or process.poll() is not None)
    assert len(containers()) == 1
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert containers() == []
    (job,) = study(tmp_path).glob("experiments/*")
    result = json.loads((job / "result.json").read_text())
    assert (result["status"], result["failure"]["type"]) == ("failed", "Interrupted")
    assert json.loads((study(tmp_path) / "manifest.json").read_text())["state"] == "interrupted"
    if times == 1:
        # The worker ended by itself, in the time that it has for that, and was not killed.
        events = [json.loads(line) for line in (job / "events.jsonl").read_text().splitlines()]
        assert [one["type"] for one in events if one["event"] == "failure"] == ["Interrupted"]
