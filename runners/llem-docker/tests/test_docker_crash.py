"""SIGKILL at random instants to llem, to a container and to the worker in it: resumed, nothing is lost, no container is left."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from llem.results.store import job_directories
from llem.study.manifest.manifest import recover
from llem_docker import owner

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

KILLS = 6
CYCLES = 3
PATIENCE_S = 180.0

Containers = Callable[[], list[dict[str, Any]]]


class Attacked:
    """A study in containers.

    Attributes:
        process: the llem that runs, or ran last.
        cycles: how many are asked for by now.
        finished: digest of every finished result that was ever seen, by job directory.
    """

    def __init__(self, first: list[str], folder: Path) -> None:
        self._first, self._folder = first, folder
        self._said = folder / "said.txt"
        self.process: subprocess.Popen[bytes] | None = None
        self.cycles = CYCLES
        self.finished: dict[str, str] = {}

    @property
    def study(self) -> Path | None:
        """The study's folder, once it has begun."""
        return next((path.parent for path in self._folder.glob("results/*/study.json")), None)

    @property
    def running(self) -> bool:
        """Tell whether llem runs."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Run it, or resume it where it has begun."""
        command = self._first
        if self.study is not None:
            command = [sys.executable, "-m", "llem", "resume", str(self.study), "--retry-failed"]
            if self.cycles > CYCLES and recover(self.study).manifest.cycles < self.cycles:
                command += ["--cycles", str(self.cycles)]
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)

    def settle(self) -> int:
        """Wait for the end of llem and see that nothing was lost."""
        assert self.process is not None
        code = self.process.wait(PATIENCE_S)
        text = self._said.read_text(errors="replace")
        assert code in (0, 1, -signal.SIGKILL), text
        assert "Traceback" not in text, text
        now = dict(self._digests())
        lost = {name: now.get(name) for name in self.finished if now.get(name) != self.finished[name]}
        assert not lost, f"a finished result was lost or changed: {lost}, of {self.finished}; llem said: {text}"
        self.finished = now
        return code

    def _digests(self) -> Iterator[tuple[str, str]]:
        for path in self._folder.glob("results/*/experiments/*/result.json"):
            if json.loads(path.read_text())["status"] == "done":
                yield path.parent.name, hashlib.sha256(path.read_bytes()).hexdigest()


def _kill_container(containers: Containers) -> bool:
    running = [one["Id"] for one in containers() if one["State"] == "running"]
    if not running:
        return False
    client = docker.from_env()
    try:
        client.containers.get(running[0]).kill("SIGKILL")
    except docker.errors.APIError:
        return False  # it has ended meanwhile
    finally:
        client.close()
    return True


def _kill_worker(containers: Containers) -> bool:
    client = docker.from_env()
    try:
        found = [client.containers.get(one["Id"]).attrs["State"]["Pid"] for one in containers()]
    except docker.errors.APIError:
        return False
    finally:
        client.close()
    if not any(found):
        return False
    try:
        os.kill(max(found), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("seed", range(2))
def test_a_killed_study_in_containers_is_resumed_and_nothing_is_lost(
    command: Callable[..., list[str]], bed: str, tmp_path: Path, containers: Containers, seed: int
) -> None:
    chance = random.Random(seed)
    attacked = Attacked(command(bed, execution__cycles=CYCLES), tmp_path)
    landed: list[str] = []
    try:
        for _ in range(30 * KILLS):
            if len(landed) == KILLS:
                break
            if not attacked.running:
                if attacked.process is not None and attacked.settle() == 0:
                    attacked.cycles += 1  # it was faster than its killer
                attacked.start()
            role, delay_s = chance.choice(("host", "host", "container", "worker")), chance.uniform(0.2, 4.0)
            time.sleep(delay_s)
            if role == "host":
                assert attacked.process is not None
                if attacked.running:
                    attacked.process.kill()
                    attacked.process.wait()
                    landed.append(f"host after {delay_s:.2f} s")
            elif (_kill_container if role == "container" else _kill_worker)(containers):
                landed.append(f"{role} after {delay_s:.2f} s")
        for _ in range(2):
            if attacked.process is not None:
                attacked.process.wait(PATIENCE_S)
            attacked.start()
            if attacked.settle() == 0:
                break
    finally:
        if attacked.running:
            assert attacked.process is not None
            attacked.process.kill()
    print(f"seed {seed}: {', '.join(landed)}")
    assert len(landed) == KILLS
    folder = attacked.study
    assert folder is not None
    manifest = recover(folder).manifest
    states = [entry.state for entry in manifest.experiments]
    assert (manifest.state, states) == ("complete", ["done"] * attacked.cycles), landed
    assert len({entry.cycle for entry in manifest.experiments}) == attacked.cycles
    there = {path.relative_to(folder).as_posix() for path in job_directories(folder)}
    assert there == {entry.directory for entry in manifest.experiments}
    assert len(attacked.finished) == attacked.cycles
    assert containers() == [], f"containers are left after: {landed}"
    assert _probes_of_the_dead() == [], f"looks into the image are left after: {landed}"
    assert not list(tmp_path.rglob(".llem-probe-*"))


def test_a_look_into_an_image_that_was_killed_is_cleared_by_the_next(
    command: Callable[..., list[str]], bed: str, tmp_path: Path
) -> None:
    for _ in range(20):
        process = subprocess.Popen(command(bed), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE_S
        while process.poll() is None and not list(tmp_path.glob("results/.llem-probe-*")):
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.3)
        process.kill()
        process.wait()
        if _probes_of_the_dead():
            break
    assert _probes_of_the_dead()
    assert subprocess.run(command(bed), capture_output=True, check=False).returncode == 0
    assert _probes_of_the_dead() == []
    assert not list(tmp_path.glob("results/.llem-probe-*"))


def _probes_of_the_dead() -> list[str]:
    """Containers that only look into an image, and whose llem is gone."""
    client = docker.from_env()
    try:
        found = client.api.containers(all=True, filters={"label": f"{owner.STUDY}={owner.PREFLIGHT}"})
    finally:
        client.close()
    return [one["Id"] for one in found if owner.is_gone(one["Labels"])]
