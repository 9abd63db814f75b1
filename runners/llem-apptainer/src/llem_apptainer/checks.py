"""The preflight checks of the Apptainer runner. Each says what, why, and what mends it.

They share one look at Apptainer and into each image. A check whose ground is missing says nothing: the check of that ground does,
unless it was left out on purpose.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from llem.plugin_api import Finding, LlemError, PreflightContext
from llem_apptainer import cache
from llem_apptainer.images import Image, source_of
from llem_apptainer.preflight_facts import PreflightFacts, facts_of, labels_of, temporary
from llem_containers import findings
from llem_containers.apptainer import setuid_starter
from llem_containers.gpus import gpus_here
from llem_containers.looks import Use
from llem_containers.room import LEAST_FREE, ROOM_FOR_AN_IMAGE, Room, findings_on


def check_program(context: PreflightContext) -> Iterator[Finding]:
    """Apptainer is installed, and new enough."""
    facts = facts_of(context)
    if isinstance(facts, LlemError):
        yield findings.of_error(facts, "error" if context.runners else "warning")
    else:
        yield Finding(level="ok", message=f"Apptainer {facts.apptainer.version} at {facts.apptainer.path}")


def check_rights(context: PreflightContext) -> Iterator[Finding]:
    """This user may start containers: as root, by Apptainer's setuid part, or in a user namespace."""
    facts = facts_of(context)
    if isinstance(facts, LlemError):
        return
    if facts.no_rights is not None:
        yield findings.of_error(facts.no_rights, "error" if context.runners else "warning")
        return
    by = "as root" if os.geteuid() == 0 else "by its setuid part" if setuid_starter() else "in user namespaces"
    yield Finding(level="ok", message=f"this user may start containers, {by}")


def check_space(context: PreflightContext) -> Iterator[Finding]:
    """There is room where SIF files are kept, and where containers' temporary files go."""
    facts = facts_of(context)
    if isinstance(facts, LlemError):
        return
    missing = [use.reference for use in facts.uses if _has_to_be_made(use)]
    kept = cache.folder()
    kept = next(folder for folder in (kept, *kept.parents) if folder.is_dir())
    rooms = (
        Room(
            place=kept,
            purpose="SIF files are kept",
            need=ROOM_FOR_AN_IMAGE if missing else 0,
            remedy="Make room there, or set XDG_CACHE_HOME to another folder.",
        ),
        Room(
            place=temporary(),
            purpose="containers' temporary files go",
            need=LEAST_FREE,
            remedy="Make room there, or set TMPDIR to another folder.",
        ),
    )
    yield from findings_on(rooms, missing, "making")


def _has_to_be_made(use: Use) -> bool:
    try:
        return cache.find(source_of(use.reference)) is None
    except (LlemError, OSError):
        return False  # the image's own check says so


def check_image(context: PreflightContext) -> Iterator[Finding]:
    """Each image is here or can be made, starts, and holds llem and its backend."""
    facts = _able(context)
    if facts is not None:
        yield from findings.images(context, facts, _usable)


def _usable(use: Use, image: Image) -> Finding:
    if image.digest is not None:
        return findings.runs_in(use, image.digest)
    return Finding(
        level="warning",
        message=f"{use.backend} runs in the folder {use.reference}, which has no digest: results cannot say which image ran",
        remedy=f"Make a SIF file of it: apptainer build {Path(use.reference).name}.sif {use.reference}.",
    )


def check_version(context: PreflightContext) -> Iterator[Finding]:
    """llem in the image reads what llem here writes."""
    facts = _able(context)
    if facts is not None:
        yield from findings.versions(facts)


def check_gpu_inside(context: PreflightContext) -> Iterator[Finding]:
    """`nvidia-smi -L` inside lists the GPUs of the experiments. Others may be there as well: `--nv` passes all of them in."""
    facts = _able(context)
    if facts is None:
        return
    if not gpus_here():
        yield Finding(level="ok", message="no NVIDIA GPU here: containers run on the CPU")
        return
    for use in facts.uses:
        found = facts.with_gpus(use)
        if not use.gpus:
            yield Finding(level="ok", message=f"{use.backend} takes no GPU")
        elif isinstance(found, LlemError):
            continue  # the image's own check says so, or its look without GPUs went well
        elif found.gpus is None:
            yield Finding(
                level="error",
                message=f"there is no nvidia-smi inside {use.reference}: Apptainer passed none of NVIDIA's files in",
                remedy="See that nvidia-smi and libcuda.so are on this machine, and named in Apptainer's nvliblist.conf.",
            )
        elif (lacking := findings.gpus_lacking(use.reference, use.gpus, found.gpus, "reload the driver")) is not None:
            yield lacking
        else:
            yield Finding(level="ok", message=f"inside {use.reference}: {', '.join(use.gpus)}")


def check_cuda(context: PreflightContext) -> Iterator[Finding]:
    """CUDA in the image against the highest that the driver supports."""
    facts = _able(context)
    if facts is not None:
        apptainer = facts.apptainer
        yield from findings.cudas(facts, lambda image: labels_of(apptainer, image).get(findings.CUDA_LABEL))


def _able(context: PreflightContext) -> PreflightFacts | None:
    """The view, where containers can be started at all."""
    facts = facts_of(context)
    return None if isinstance(facts, LlemError) or facts.no_rights is not None else facts
