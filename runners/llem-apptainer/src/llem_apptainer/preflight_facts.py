"""The common view of the preflight checks: Apptainer, and into each image once."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from llem.plugin_api import LlemError, PreflightContext, new_scratch
from llem_apptainer import cache
from llem_apptainer.causes import REFUSED, start_error
from llem_apptainer.command import VOID, WORK, Inside, exec_line
from llem_apptainer.images import Image, reference_of, source_of
from llem_apptainer.options import ApptainerOptions
from llem_apptainer.plugin import RUNNER
from llem_containers.apptainer import Apptainer, cleared, find, run, why_no_rights
from llem_containers.errors import ImageUnfit
from llem_containers.image_facts import SCRIPT, ImageFacts, read_answer
from llem_containers.intake import remove_folder
from llem_containers.looks import Looks, uses_of
from llem_containers.mounts import JOB
from llem_containers.sif import fatal

_WAIT_S = 120
_ANSWER = "probe.json"


class PreflightFacts(Looks[Image]):
    """Apptainer, the images that a plan uses, and what was found in them."""

    def __init__(self, context: PreflightContext, apptainer: Apptainer, options: ApptainerOptions) -> None:
        super().__init__(
            uses_of(context, RUNNER, reference_of),
            lambda reference: cache.image(source_of(reference), apptainer, make=options.pull == "missing"),
            lambda image, gpus: look_into(apptainer, image, gpus, options),
        )
        self.apptainer = apptainer
        self.options = options
        self.no_rights = why_no_rights()


def facts_of(context: PreflightContext) -> PreflightFacts | LlemError:
    """The view that the checks of one preflight share; the error where there is no Apptainer."""
    return context.once(_look_or_error)


def _look_or_error(context: PreflightContext) -> PreflightFacts | LlemError:
    options = context.runner_options.get(RUNNER)
    if not isinstance(options, ApptainerOptions):
        options = ApptainerOptions.model_validate({})
    try:
        return PreflightFacts(context, find(), options)
    except LlemError as error:
        return error


def look_into(apptainer: Apptainer, image: Image, gpus: Sequence[str], options: ApptainerOptions) -> ImageFacts:
    """Run the look in an image, confined as an experiment is.

    Raises:
        LlemError: it did not start, and why; or it gave no answer.
    """
    with ExitStack() as undo:
        folder = Path(new_scratch())
        undo.callback(remove_folder, folder)
        job, scratch = folder / "job", folder / "scratch"
        for place in (job, scratch, scratch / "home", scratch / "tmp", scratch / WORK, scratch / VOID):
            place.mkdir(mode=0o700)
        inside = Inside(
            image=image.path,
            job=job,
            scratch=scratch,
            options=options,
            online=options.network == "host",
            gpus=bool(gpus),
        )
        line = exec_line(apptainer.path, inside, ["python3", "-c", SCRIPT, f"{JOB}/{_ANSWER}"])
        try:
            done = run(line, cleared(os.environ), _WAIT_S)
        except subprocess.TimeoutExpired as error:
            raise ImageUnfit(
                f"a look into the image {image.reference} took more than {_WAIT_S} s.",
                remedy="See what it does: apptainer exec --containall IMAGE python3 -c 'import llem'.",
            ) from error
        if done.code == REFUSED and fatal(done.output) is not None:
            raise start_error(done.output, image.reference)
        (folder / "log").write_text(done.output)
        return read_answer(job / _ANSWER, folder / "log", image.reference, done.code, not_found=REFUSED)


def labels_of(apptainer: Apptainer, image: Image) -> dict[str, str]:
    """The labels of an image; empty where Apptainer tells none."""
    try:
        done = run([apptainer.path, "--silent", "inspect", "--json", str(image.path)], cleared(os.environ), _WAIT_S)
        labels = json.loads(done.output)["data"]["attributes"]["labels"]
        return {str(name): str(value) for name, value in labels.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, subprocess.TimeoutExpired):
        return {}


def temporary() -> Path:
    """The folder that containers' temporary files go to."""
    return Path(tempfile.gettempdir())
