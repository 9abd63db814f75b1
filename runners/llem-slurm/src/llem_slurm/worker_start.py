"""The start of a worker on a node: by the node's own Python, or in an image."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from llem.plugin_api import (
    BACKENDS,
    RUNNERS,
    SCENARIOS,
    Composer,
    Job,
    JobDocument,
    LlemError,
    LocalJob,
    Registry,
    RunnerContext,
    RunningJob,
    load_object,
)
from llem_slurm.commands import environment as of_commands
from llem_slurm.places import Tasks


def start(
    directory: Path, document: JobDocument, tasks: Tasks, environment: Mapping[str, str], scratch: str
) -> RunningJob:
    """Start the worker of a job directory; its end is the end of everything that it started.

    Raises:
        LlemError: what it needs is not on this node.
    """
    registry = Registry()
    config = Composer(registry[BACKENDS], registry[SCENARIOS]).compose(document.config)
    job = Job(directory=directory, config=config, config_hash=document.config_hash, environment=environment)
    if tasks.image is not None and tasks.container == "docker":
        context = RunnerContext(
            registry=registry,
            argument=tasks.image,
            study_id=document.study or "",
            backend=config.backend,
            image=tasks.image,
        )
        running: RunningJob = load_object(registry.find(RUNNERS, "docker").runner)(context).start(job)
        return running
    worker = [sys.executable, "-m", "llem.worker", str(directory)]
    if tasks.image is not None:
        worker = apptainer(tasks, directory, document.base_dir)
    try:
        return LocalJob(worker, job, scratch)
    except OSError as error:
        raise LlemError(f"the worker cannot be started on {os.uname().nodename}: {error}.") from error


def apptainer(tasks: Tasks, directory: Path, base_dir: str) -> list[str]:
    """The command that runs a worker in an image of Apptainer. The image's own Python and packages are used.

    `--nv` passes the GPUs in that the job has, `--cleanenv` is not given: the worker's variables are llem's to choose.
    """
    assert tasks.image is not None
    places = dict.fromkeys([str(directory), base_dir, *tasks.binds])
    binds = [word for place in places for word in ("--bind", place)]
    gpus = ["--nv"] if Path("/dev/nvidiactl").exists() else ["--rocm"] if Path("/dev/kfd").exists() else []
    return [
        "apptainer",
        "exec",
        *gpus,
        "--no-home",
        *binds,
        tasks.image,
        "python3",
        "-m",
        "llem.worker",
        str(directory),
    ]


def is_alone(*, asked: bool) -> bool | None:
    """Tell whether the node is this job's alone; None where Slurm does not tell.

    A partition may give whole nodes though nobody asked; the controller knows.
    """
    if asked:
        return True
    job = os.environ.get("SLURM_JOB_ID", "")
    try:
        done = subprocess.run(
            ["scontrol", "show", "job", "--oneliner", job],
            env=of_commands(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bOverSubscribe=(\S+)", done.stdout)
    return None if found is None else found[1] == "NO"
