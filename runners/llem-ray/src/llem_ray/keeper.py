"""Keeps one worker on a node: a process between Ray's own and the supervisor, so that Ray's end is not the worker's only one.

Ray may end its process for a task in any way: on request, for want of memory, or because the node's raylet died. It then
also kills that process's children, which would take the supervisor away before it could clean up. So this process is no
child of Ray's: it sees Ray's end through the kernel (a pidfd), ends the worker with all that it started, and removes the folder.

    python -m llem_ray.keeper

stdin takes one JSON line: `document` (what goes into `experiment.json`), `environment` (variables for the worker) and `gpus` (how
many of the GPUs that Ray assigned the worker sees); then lines `stop SECONDS`; its end means that the folder is no longer
needed. stdout gives one JSON line when the worker has started (`started`: the job directory, or `refused`) and one when all
is gone (`exit`).
"""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from llem.plugin_api import BACKENDS, SCENARIOS

JOB = "job"
SCRATCH = "scratch"

_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
_EXCLUSIVE = "LLEM_NODE_EXCLUSIVE"


def visible(environ: Mapping[str, str], gpus: int) -> dict[str, str]:
    """The variables that show the worker its GPUs: the first ones of those that Ray assigned, or none."""
    given = {name: environ[name] for name in _VISIBLE if name in environ}
    if not gpus:
        return dict.fromkeys(given, "") | {"CUDA_VISIBLE_DEVICES": ""}
    return {name: ",".join(value.split(",")[:gpus]) for name, value in given.items()}


def inherited(environ: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Variables that a worker inherits of Ray's process: nothing that is Ray's own.

    Ray limits the threads of its tasks by OMP_NUM_THREADS to the CPUs that they hold. That stands where the node is shared; alone
    on a node an experiment runs as it would on any machine.
    """
    own = {"PYTHONBREAKPOINT"}
    if settings.get(_EXCLUSIVE) == "1":
        own.add("OMP_NUM_THREADS")
    return {name: value for name, value in environ.items() if name not in own and not name.startswith("RAY_")}


def main() -> None:
    """Leave Ray's process, run the worker, tell how it ended, remove the folder."""
    host = os.pidfd_open(os.getppid())
    if os.fork():
        os._exit(0)
    os.setsid()
    # Only now, when Ray's end is not this process's any more, there is something to be cleared away.
    folder = Path(tempfile.mkdtemp(prefix="llem-ray-"))
    try:
        line = b""
        while not line.endswith(b"\n"):
            data = os.read(0, 1)
            if not data:
                return
            line += data
        _run(folder, json.loads(line), host)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, order: Mapping[str, Any], host: int) -> None:
    gpus: int = order["gpus"]
    settings: dict[str, str] = order["environment"]
    settings = visible(os.environ, gpus) | settings
    kept = inherited(os.environ, settings)
    os.environ.clear()
    os.environ.update(kept)
    os.environ.update(visible(settings, gpus))  # what is looked for on the GPUs beforehand shall see the same ones

    from llem.plugin_api import (
        EXPERIMENT,
        Composer,
        Job,
        JobDocument,
        LlemError,
        LocalJob,
        Registry,
        residual,
        write_json,
    )

    directory, scratch = folder / JOB, folder / SCRATCH
    for made in (directory, scratch):
        made.mkdir(mode=0o700)
    try:
        write_json(directory / EXPERIMENT, order["document"])
        document = JobDocument.read(directory)
        registry = Registry()
        config = Composer(registry[BACKENDS], registry[SCENARIOS]).compose(document.config)
        found = residual.residual_memory(registry, registry.find(BACKENDS, config.backend), config.measurement)
        replace(document, warnings=[*document.warnings, *found]).write(directory)
        job = Job(directory=directory, config=config, config_hash=document.config_hash, environment=settings)
        running = LocalJob([sys.executable, "-m", "llem.worker", str(directory)], job, str(scratch))
    except (LlemError, OSError) as error:
        _tell({"refused": {"kind": type(error).__name__, "what": str(error)}})
    else:
        threading.Thread(target=_obey, args=(running, host), name="llem-orders", daemon=True).start()
        _tell({"started": str(directory)})
        while (ending := running.wait(3600.0)) is None:
            continue
        _tell({"exit": asdict(ending)})
    _await_release(host)


def _obey(running: Any, host: int) -> None:
    """Take orders until stdin ends; the end of Ray's process, or of stdin, is an order to end at once."""
    poller = select.poll()
    poller.register(0, select.POLLIN)
    poller.register(host, select.POLLIN)
    lines = b""
    while True:
        ready = dict(poller.poll())
        data = os.read(0, 4096) if 0 in ready else b""
        if host in ready or not data:
            running.stop(0)
            return
        *whole, lines = (lines + data).split(b"\n")
        for line in whole:
            word, _, seconds = line.partition(b" ")
            if word == b"stop":
                # Each order in a thread of its own: the next one may shorten the time of this.
                threading.Thread(target=running.stop, args=(float(seconds),), daemon=True).start()


def _await_release(host: int) -> None:
    """Sleep until the folder's files are fetched, or nobody is left to fetch them."""
    poller = select.poll()
    poller.register(0, select.POLLIN)
    poller.register(host, select.POLLIN)
    while True:
        ready = dict(poller.poll())
        if host in ready or not os.read(0, 4096):
            return


def _tell(line: dict[str, Any]) -> None:
    try:
        os.write(1, json.dumps(line).encode() + b"\n")
    except BrokenPipeError:
        return  # nobody is left to hear it


if __name__ == "__main__":
    main()
