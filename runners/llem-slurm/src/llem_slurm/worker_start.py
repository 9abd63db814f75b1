"""The start of a worker on a node: by the node's own Python, or in an image by the runner of such containers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from llem.plugin_api import (
    BACKENDS,
    RUNNERS,
    SCENARIOS,
    Composer,
    ConfigError,
    Job,
    JobDocument,
    LlemError,
    LocalJob,
    Registry,
    RunnerContext,
    RunnerSpec,
    RunningJob,
    Section,
    load_object,
)
from llem_slurm.commands import environment as of_commands
from llem_slurm.shared_files import Tasks


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
    if tasks.image is not None:
        runner = registry.find(RUNNERS, tasks.container)
        context = RunnerContext(
            registry=registry,
            options=container_options(runner, tasks.container_options),
            argument=tasks.image,
            study_id=document.study or "",
            backend=config.backend,
            image=tasks.image,
        )
        running: RunningJob = load_object(runner.runner)(context).start(job)
        return running
    worker = [sys.executable, "-m", "llem.worker", str(directory)]
    try:
        return LocalJob(worker, job, scratch)
    except OSError as error:
        raise LlemError(f"the worker cannot be started on {os.uname().nodename}: {error}.") from error


def container_options(runner: RunnerSpec, given: Mapping[str, Any]) -> Section | None:
    """The options of the runner that runs the image. Raises ConfigError where they are none of it."""
    try:
        return None if runner.options is None else runner.options.model_validate(dict(given))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ConfigError(f"{wrong}.", where="runner_options.slurm.container_options") from error


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
