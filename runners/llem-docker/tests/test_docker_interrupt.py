"""Ctrl+C on a real run, once and twice; and an llem that is killed outright."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llem_docker.leftovers import reclaim

pytestmark = pytest.mark.docker

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(command: Callable[..., list[str]], bed: str, tmp_path: Path) -> Iterator[Start]:
    """Starts `llem run` of two experiments, and returns when the first one generates."""
    begun: list[subprocess.Popen[str]] = []

    def _start(**settings: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(bed, execution__cycles=2, **settings), stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        begun.append(process)
        wait_until(lambda: '"window"' in _events(tmp_path))
        return process

    yield _start
    for process in begun:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _events(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.glob("results/*/experiments/*/events.jsonl"))


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(next(folder.glob("results/*/manifest.json")).read_text())
    return found


def test_one_interrupt_stops_the_container_within_its_grace(
    start: Start, tmp_path: Path, containers: Callable[[], list[Any]]
) -> None:
    process = start(measurement__min_window_s=600)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert containers() == []
    assert [entry["state"] for entry in manifest(tmp_path)["experiments"]] == ["interrupted", "pending"]
    result = json.loads(next(tmp_path.glob("results/*/experiments/*/result.json")).read_text())
    assert (result["status"], result["failure"]["type"]) == ("failed", "Interrupted")
    # The worker was asked, and closed its engine before it ended.
    assert "testbed closed" in next(tmp_path.glob("results/*/experiments/*/worker.log")).read_text()


def test_a_second_interrupt_does_not_wait_for_a_worker_that_is_deaf(
    start: Start, tmp_path: Path, containers: Callable[[], list[Any]]
) -> None:
    process = start(testbed__fail="hang")
    time.sleep(0.5)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.7)
    assert process.poll() is None
    assert len(containers()) == 1
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert time.monotonic() - begin < 4.5, "it waited for the worker's whole grace"
    assert containers() == []
    assert manifest(tmp_path)["state"] == "interrupted"


@pytest.mark.usefixtures("clean_engine")
def test_a_killed_llem_takes_its_worker_along_and_its_container_is_offered_for_removal(
    start: Start, tmp_path: Path, containers: Callable[[], list[Any]], command: Callable[..., list[str]], bed: str
) -> None:
    process = start(measurement__min_window_s=600)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: all(container["State"] == "exited" for container in containers()))
    left = containers()
    assert len(left) == 1
    done = subprocess.run(command(bed), capture_output=True, text=True, check=False)
    identity = left[0]["Id"][:12]
    assert "1 container(s) of an llem that is gone, 0 of them running" in done.stderr
    remedy = next(line for line in done.stderr.splitlines() if "docker rm --force" in line)
    removal = remedy[remedy.index("docker rm --force") :].rstrip(".").split()
    assert identity in removal
    subprocess.run(removal, check=True, capture_output=True)
    assert not [container for container in containers() if container["Id"] == left[0]["Id"]]


def test_resuming_removes_the_container_of_a_killed_llem_and_no_other(
    start: Start, tmp_path: Path, containers: Callable[[], list[Any]]
) -> None:
    process = start(measurement__min_window_s=600)
    (folder,) = (tmp_path / "results").iterdir()
    assert list(reclaim(folder)) == []
    assert len(containers()) == 1
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list(reclaim(folder)) == ["removed 1 container(s) that an earlier run of this study left behind."]
    assert containers() == []
    assert list(reclaim(folder)) == []


@pytest.mark.usefixtures("clean_engine")
def test_containers_of_an_llem_that_lives_are_left_alone(start: Start) -> None:
    process = start(measurement__min_window_s=600)
    done = subprocess.run([sys.executable, "-m", "llem", "doctor"], capture_output=True, text=True, check=False)
    assert "no container is left from before" in done.stdout
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=120)
