"""The files by which llem and the nodes agree, in `slurm/` of the study's folder.

    slurm/BATCH/script.sh         what sbatch was given
    slurm/BATCH/jobs.json         the jobs of the array, by index
    slurm/BATCH/INDEX.log         what the node's side printed
    slurm/BATCH/INDEX.attempt     the number of the attempt that may write
    slurm/ended/BATCH-INDEX.json  how the worker ended: written last, and once

A record under `ended/` is there when everything of the experiment is, and no process of it any more. All records of a study
are in one folder, so that one look finds the new ones however many arrays there are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llem.plugin_api import RESULT, Exit, write_json

FOLDER = "slurm"
ENDED = "ended"


@dataclass(frozen=True)
class Batch:
    """One array's folder: `STUDY/slurm/NAME`."""

    folder: Path

    @property
    def script(self) -> Path:
        return self.folder / "script.sh"

    @property
    def jobs(self) -> Path:
        return self.folder / "jobs.json"

    def log(self, index: int) -> Path:
        return self.folder / f"{index}.log"

    def attempt(self, index: int) -> Path:
        return self.folder / f"{index}.attempt"

    def record(self, index: int) -> Path:
        return self.folder.parent / ENDED / f"{self.folder.name}-{index}.json"


@dataclass(frozen=True, kw_only=True)
class Task:
    """One experiment of an array.

    Attributes:
        directory: its job directory, absolute.
        config_hash: its identity.
        environment: variables for its worker.
    """

    directory: str
    config_hash: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """The content of `jobs.json`.

    Attributes:
        tasks: by index.
        requeues: how often each may begin anew.
        exclusive: each has its node for itself, because it was asked for.
        image: what the worker runs in; None: the node's own Python.
        container, container_options: the runner that runs the image, and its options.
    """

    tasks: tuple[Task, ...]
    requeues: int
    exclusive: bool
    image: str | None = None
    container: str = "apptainer"
    container_options: Mapping[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Tasks:
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**data, "tasks": tuple(Task(**task) for task in data["tasks"])})


@dataclass(frozen=True, kw_only=True)
class Record:
    """The end of a worker, as the node's side saw it.

    Attributes:
        result: SHA-256 of `result.json`, or None where there is none.
        attempts: how often it had begun.
    """

    code: int | None
    signal: str | None
    cause: str | None
    error: str | None
    node: str
    result: str | None
    attempts: int

    def write(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """None where there is none yet, or where this machine does not see the whole of it yet."""
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return cls(**data)
        except (OSError, ValueError, TypeError):
            return None

    def exit(self) -> Exit:
        """As the study gets it."""
        return Exit(code=self.code, signal=self.signal, cause=self.cause, error=self.error, node=self.node)


def digest_of(job_dir: Path) -> str | None:
    """SHA-256 of a job directory's result, or None where this machine sees none."""
    try:
        return hashlib.sha256((job_dir / RESULT).read_bytes()).hexdigest()
    except OSError:
        return None
