"""A real Ray cluster on this machine, and `llem run` on it: what the fixtures give out."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

STUDY: dict[str, Any] = {
    "name": "on-ray",
    "model": "random:tiny-llama",
    "backend": "testbed",
    "dataset": {"name": "synthetic", "n": 4, "input_tokens": 8, "output_tokens": 8},
    "measurement": {"min_window_s": 0.2, "settle_s": 0},
    "warmup": {"enabled": False},
    "baseline": {"enabled": False},
    "execution": {"experiment_gap_s": 0, "cycle_gap_s": 0},
    "runners": {"testbed": "ray"},
}
"""A short experiment."""

OBJECT_STORE = 80 * 2**20
NO_LOOK = ("ray-cluster", "ray-nodes", "ray-packages", "ray-files")


@dataclass
class Bed:
    """A cluster of one node, `north`, to which tests add others.

    Attributes:
        temporary: the TMPDIR of its nodes.
    """

    cluster: Any
    temporary: Path

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, name: str, **arguments: Any) -> Any:
        """A further node."""
        given = {"num_cpus": 2, "object_store_memory": OBJECT_STORE, **arguments}
        return self.cluster.add_node(node_name=name, **given)

    def kill(self, node: Any) -> None:
        """SIGKILL to all of Ray on a node, as when its power goes."""
        self.cluster.remove_node(node, allow_graceful=False)

    def left(self) -> list[str]:
        """Commands of processes that belong to experiments, and folders of them."""
        found = [str(folder) for folder in self.temporary.glob("llem-ray-*")]
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"{self.temporary}/llem-ray-" in command:
                found.append(command)
        return found


@dataclass
class Ran:
    """The outcome of a `llem run`."""

    code: int
    said: str
    folder: Path

    @property
    def results(self) -> list[dict[str, Any]]:
        found = sorted(self.folder.glob("*/experiments/*/result.json"))
        return [json.loads(path.read_text()) for path in found]

    @property
    def result(self) -> dict[str, Any]:
        """The one result."""
        results = self.results
        assert len(results) == 1, self.said
        return results[0]

    @property
    def job(self) -> Path:
        """The one job directory."""
        return next(self.folder.glob("*/experiments/*"))


class Runs:
    """Starts `llem run` of studies on the cluster.

    Args:
        folder: of this test; results go to `results` in it.
    """

    def __init__(self, bed: Bed, folder: Path) -> None:
        self._bed = bed
        self._folder = folder
        self.begun: list[subprocess.Popen[str]] = []

    def start(self, *words: str, options: dict[str, Any] | None = None, **sections: Any) -> subprocess.Popen[str]:
        """Start one; `sections` replace keys of the short experiment, `options` are the runner's."""
        study = {**STUDY, "runner_options": {"ray": {"address": self._bed.address, **(options or {})}}}
        for key, value in sections.items():
            study[key] = {**study.get(key, {}), **value} if isinstance(value, dict) else value
        path = self._folder / "study.yaml"
        path.write_text(yaml.safe_dump(study))
        skipped = [word for name in NO_LOOK for word in ("--skip-preflight", name)]
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "llem", "run", str(path), "--output", str(self._folder / "results")),
                *(words or skipped),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.begun.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], timeout: float = 240) -> Ran:
        """Wait for its end."""
        said, _ = process.communicate(timeout=timeout)
        return Ran(process.returncode, said, self._folder / "results")

    def run(self, *words: str, options: dict[str, Any] | None = None, **sections: Any) -> Ran:
        """Run one to its end."""
        return self.finish(self.start(*words, options=options, **sections))

    def files(self, name: str) -> list[Path]:
        """Files of this name in all job directories so far."""
        return sorted(self._folder.glob(f"results/*/experiments/*/{name}"))

    def events(self) -> str:
        """All events so far."""
        return "".join(path.read_text() for path in self.files("events.jsonl"))


def wait_until(
    condition: Callable[[], object],
    seconds: float = 180.0,
    what: Callable[[], str] = lambda: "it never came to that",
    during: subprocess.Popen[str] | None = None,
) -> None:
    """Wait until something holds, while a process runs. Raises AssertionError where it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what()
        assert during is None or during.poll() is None, during.communicate()[0]
        time.sleep(0.1)
