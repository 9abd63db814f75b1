"""The runner `apptainer`: starts an ephemeral container for each experiment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from llem.plugin_api import (
    EXPERIMENT,
    ConfigError,
    ExperimentConfig,
    Finding,
    Job,
    LlemError,
    LocalJob,
    RunnerContext,
    RunningJob,
    clear_scratch,
    new_scratch,
)
from llem_apptainer import cache
from llem_apptainer.causes import start_error
from llem_apptainer.command import VOID, WORK, WORKER, Inside, exec_line, mount_points, variables_for
from llem_apptainer.images import Image, reference_of, source_of
from llem_apptainer.job import ApptainerJob, Parts
from llem_apptainer.leftovers import EXCHANGE, SESSION
from llem_apptainer.options import options_of
from llem_containers.apptainer import Apptainer, cleared, find, run, steering
from llem_containers.baseline_cache import BaselineCache
from llem_containers.exchange import folders, give_in, lifeline_in, read_experiment
from llem_containers.gpus import gpus_of
from llem_containers.mounts import places_of
from llem_containers.tokens import TokenFile
from llem_containers.variables import variables
from llem_hub.availability import hub_token

_LOOK_S = 120

_START = 'echo $$ >"$1"; export APPTAINERENV_LLEM_JOB_ID="$LLEM_JOB_ID"; shift; exec "$@"'
"""A shell that becomes Apptainer: it notes the session, and hands in the mark by which llem's supervisor knows its own."""


class ApptainerRunner:
    """Runs each experiment in a container of its own, one at a time."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._options = options_of(context)
        self._apptainer: Apptainer | None = None
        self._baseline_cache = BaselineCache()

    def preflight(self, experiments: Sequence[ExperimentConfig]) -> Iterable[Finding]:
        """Check that an image is given; what it leads to, the checks of this plugin find out."""
        clear_scratch()
        try:
            reference_of(self._context)
        except ConfigError as error:
            yield Finding(level="error", message=str(error.what), remedy=error.remedy)

    def capacity(self) -> int:
        """One: two experiments at once would be in each other's figures."""
        return 1

    def start(self, job: Job) -> RunningJob:
        """Start the container.

        Raises:
            LlemError: Apptainer, the image or a model is not there; its class is the failure's type.
        """
        options = self._options
        apptainer = self._apptainer = self._apptainer or find()
        image = self._made(apptainer)
        expected = read_experiment(job.directory / EXPERIMENT)
        places = places_of(job.config, expected["base_dir"])
        online = options.network == "host" or (options.network == "auto" and places.fetches)
        gpus = gpus_of(job.config, self._context.registry)
        with ExitStack() as undo:
            try:
                exchange, scratch = folders(job.directory / EXCHANGE, places, undo)
                self._baseline_cache.give(scratch)
                for name in (WORK, VOID):
                    (scratch / name).mkdir(mode=0o700)
                mount_points(places.read_only, scratch)
            except OSError as error:
                raise LlemError(
                    f"the container's folders cannot be made: {error.strerror or error}.", where=str(error.filename)
                ) from error
            token = hub_token() if online else None
            held = undo.enter_context(TokenFile(token)) if token else None
            inside = Inside(
                image=image.path,
                job=exchange,
                scratch=scratch,
                options=options,
                places=places,
                online=online,
                gpus=bool(gpus),
                token=held,
            )
            found = variables(
                os.environ,
                places=places,
                online=online,
                job_id="",
                token=token is not None,
                gpus=bool(gpus),
                python_path=self._python_path(apptainer, inside) if places.packages else None,
                more={**({"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}), **job.environment},
            )
            give_in(exchange, expected, self._facts(image, apptainer, gpus, online))
            lifeline = lifeline_in(exchange)
            undo.callback(os.close, lifeline)
            given = variables_for(found)
            line = _line(job.directory / SESSION, exec_line(apptainer.path, inside, WORKER), given)
            parts = Parts(
                image=image.reference,
                options=options,
                directory=job.directory,
                exchange=exchange,
                scratch=scratch,
                expected=expected,
                secrets=[token] if token else [],
                lifeline=lifeline,
                token=held,
                baseline_cache=self._baseline_cache,
            )
            try:
                running = ApptainerJob(parts, lambda: _begin(line, replace(job, environment=given)))
            except OSError as error:
                raise LlemError(
                    f"Apptainer cannot be started: {error}.",
                    where=apptainer.path,
                    remedy="Look for a full disk, a full process table or too little memory.",
                ) from error
            undo.pop_all()
        return running

    def close(self) -> None:
        """Nothing is held between jobs."""

    def _made(self, apptainer: Apptainer) -> Image:
        """The image as it is now: a file that was exchanged in mid-study has another digest."""
        source = source_of(reference_of(self._context))
        return cache.image(source, apptainer, make=self._options.pull == "missing")

    def _python_path(self, apptainer: Apptainer, inside: Inside) -> str | None:
        """PYTHONPATH of the image. Raises what a refusal means."""
        program = ["python3", "-c", "import os; print(os.environ.get('PYTHONPATH', ''))"]
        bare = replace(inside, gpus=False, token=None)
        done = run(exec_line(apptainer.path, bare, program), cleared(os.environ), _LOOK_S)
        if done.code:
            raise start_error(done.output, str(inside.image))
        return done.output.strip() or None

    def _facts(self, image: Image, apptainer: Apptainer, gpus: Sequence[str], online: bool) -> dict[str, Any]:
        """Facts of the container that a reader of the result needs."""
        options = self._options
        return {
            "image": image.reference,
            "image_file": str(image.path),
            "image_digest": image.digest,
            "apptainer_version": apptainer.version,
            "gpus": list(gpus),
            "network": "host" if online else "none",
            "memory_limit_bytes": options.memory_bytes,
            "cpus": options.cpus,
            "pids_limit": options.pids,
            "meters_read": "inside the container, from the machine's devices",
        }


def _line(note: Path, command: Sequence[str], given: Mapping[str, str]) -> list[str]:
    """The command line in a shell that clears away what would steer the container, and notes the session.

    Args:
        given: the variables for inside, which stay.
    """
    unset = [word for name in steering(os.environ) if name not in given for word in ("-u", name)]
    shell, env = shutil.which("sh") or "/bin/sh", shutil.which("env") or "/usr/bin/env"
    return [env, *unset, shell, "-c", _START, "llem-apptainer", str(note), *command]


def _begin(line: Sequence[str], job: Job) -> LocalJob:
    """Start the command behind llem's supervisor, with an empty folder of its own on this side."""
    own = new_scratch()
    try:
        return LocalJob(line, job, own)
    except OSError:
        with suppress(OSError):
            Path(own).rmdir()
        raise
