"""The engine itself: gone, not for this user, killed while a container runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest

from llem_docker.daemon import DockerDaemon
from llem_docker.errors import EngineUnavailable

pytestmark = pytest.mark.docker


def test_an_engine_that_is_killed_ends_the_experiment_with_that_cause_and_nothing_goes_on(
    second_engine: Any, command: Callable[..., list[str]], bed: str, tmp_path: Path
) -> None:
    second_engine.start()
    words = command(bed, execution__cycles=2, measurement__min_window_s=600)
    environment = {**os.environ, "DOCKER_HOST": second_engine.address}
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    events = tmp_path / "results"
    for _ in range(1200):
        if any('"window"' in path.read_text() for path in events.glob("*/experiments/*/events.jsonl")):
            break
        time.sleep(0.05)
    client = docker.DockerClient(base_url=second_engine.address)
    listed = client.containers.list()[0].top()
    workers = [psutil.Process(int(row[listed["Titles"].index("PID")])) for row in listed["Processes"]]
    client.close()
    assert len(workers) >= 2
    second_engine.kill()
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1, stderr
    results = [json.loads(path.read_text()) for path in sorted(events.glob("*/experiments/*/result.json"))]
    assert [result["failure"]["type"] for result in results] == ["EngineGone", "EngineUnavailable"]
    assert "The Docker engine went away while the container ran" in results[0]["failure"]["message"]
    assert "the Docker engine is not running" in results[1]["failure"]["message"]
    assert not [p for p in workers if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    # Back again, it knows of the container; nobody is in it, and the next start offers to remove it.
    second_engine.start()
    done = subprocess.run(
        [sys.executable, "-m", "llem", "doctor"], env=environment, capture_output=True, text=True, check=False
    )
    assert "1 container(s) of an llem that is gone, 0 of them running" in done.stdout


def test_an_engine_that_does_not_run_is_told_from_one_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineUnavailable, match=r"not running.*systemctl start docker"):
        DockerDaemon()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineUnavailable, match=r"not installed.*apt-get install"):
        DockerDaemon()


def test_a_socket_that_nobody_answers_is_an_engine_that_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place}")
    with pytest.raises(EngineUnavailable, match="not running: Connection refused"):
        DockerDaemon()


def test_an_engine_on_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    with pytest.raises(EngineUnavailable, match="on another machine"):
        DockerDaemon()


def test_a_user_without_permission_on_the_socket_is_told_how_to_get_it() -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        text = "reached it"
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            DockerDaemon()
        except EngineUnavailable as error:
            text = str(error)
        finally:
            os.write(write, text.encode())
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as stream:
        said = stream.read()
    assert "no permission on its socket" in said
    assert "usermod -aG docker" in said
