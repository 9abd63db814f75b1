"""A Slurm cluster of two nodes on this machine, and studies on it. Needs root and Debian's packages (`make test-slurm`)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("cluster.sh")
NEEDED = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "ip", "nsenter", "unshare")
PATIENCE_S = 240.0


def why_not() -> str | None:
    if os.geteuid() != 0:
        return "a cluster is set up as root"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    lacking = [name for name in NEEDED if shutil.which(name, path=path) is None]
    return f"not installed: {', '.join(lacking)} (`make test-slurm` installs them)" if lacking else None


def until(what: str, holds: Callable[[], object], within_s: float = PATIENCE_S) -> Any:
    """Wait until something holds; returns it. Fails with what did not come."""
    end = time.monotonic() + within_s
    while not (found := holds()):
        assert time.monotonic() < end, f"{what}: not within {within_s:g} s"
        time.sleep(0.2)
    return found


@dataclass
class Cluster:
    """A running cluster. `environment` is for everything that talks to it."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def script(self, *words: str) -> None:
        command, *rest = words
        done = subprocess.run(
            ["bash", str(SCRIPT), command, str(self.folder), *rest], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]

    def ask(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def queue(self, *states: str) -> list[str]:
        """Jobs of these states, each as `NUMBER_INDEX`."""
        return self.ask("squeue", "-h", "-r", f"--states={','.join(states)}", "--format=%F_%K").split()

    def measuring(self, study_dir: Path, node: str) -> list[Path]:
        """Job directories of the experiments that are in their window on this node."""
        told = self.ask("squeue", "-h", "-r", "-t", "R", "-w", node, "-o", "%k %K").splitlines()
        found = []
        for mark, index in (line.split() for line in told):
            jobs = study_dir / "slurm" / mark.split("/")[1] / "jobs.json"
            if not jobs.exists():
                continue  # another study's
            directory = Path(json.loads(jobs.read_text())["tasks"][int(index)]["directory"])
            events = directory / "events.jsonl"
            if events.exists() and '"window"' in events.read_text() and not (directory / "result.json").exists():
                found.append(directory)
        return found

    def idle(self) -> bool:
        return set(self.ask("sinfo", "-h", "-o", "%T").split()) == {"idle"} and not self.ask("squeue", "-h").strip()

    def kill(self, node: str) -> None:
        """A power cut."""
        self.script("kill", node)

    def restore(self, node: str) -> None:
        self.script("node", node)
        self.settle()

    def settle(self) -> None:
        """Wait until every node is idle and nothing is in the queue."""
        self.ask("scancel", "--user=root")
        until("an idle cluster", self.idle)


@dataclass
class Study:
    """A study on the cluster, and what it leaves."""

    cluster: Cluster
    file: Path
    output: Path

    def start(self, *more: str, resume: bool = False) -> subprocess.Popen[str]:
        words = ["resume", str(self.folder)] if resume else ["run", str(self.file), "--output", str(self.output)]
        with (self.output.parent / "said.txt").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "llem", *words, *more],
                env=self.cluster.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def run(self, *more: str, resume: bool = False, expect: int = 0) -> None:
        code = self.start(*more, resume=resume).wait(PATIENCE_S)
        assert code == expect, self.said[-4000:]

    @property
    def said(self) -> str:
        return (self.output.parent / "said.txt").read_text()

    @property
    def folder(self) -> Path:
        (only,) = self.output.glob("*-*Z")
        return only

    @property
    def manifest(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text())
        return document

    def results(self) -> dict[str, dict[str, Any]]:
        """Results by name of their job directory."""
        return {p.parent.name: json.loads(p.read_text()) for p in self.folder.glob("experiments/*/result.json")}

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(p.read_text()) for p in self.folder.glob("slurm/ended/*.json")]
