"""The preflight checks of the Docker runner. Each says what, why, and the command that mends it.

They share one look at the engine and into each image. A check whose ground is missing says nothing: the check of that
ground does, unless it was left out on purpose.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from llem.plugin_api import (
    ConfigError,
    Finding,
    LlemError,
    PreflightContext,
)
from llem_containers import findings
from llem_containers.errors import GpuRefused
from llem_containers.gpus import gpus_here
from llem_containers.room import LEAST_FREE, ROOM_FOR_AN_IMAGE, Room, findings_on
from llem_containers.sizes import in_words
from llem_docker import owner
from llem_docker.errors import TOOLKIT_REMEDY, ToolkitMissing
from llem_docker.images import labels
from llem_docker.preflight_facts import facts_of


def check_engine(context: PreflightContext) -> Iterator[Finding]:
    """The engine is installed, runs, and may be used by this user."""
    facts = facts_of(context)
    if isinstance(facts, ConfigError):
        return  # a setting, which the runner's own check names
    if isinstance(facts, LlemError):
        yield findings.of_error(facts, "error" if context.runners else "warning")
    else:
        yield Finding(level="ok", message=f"Docker engine {facts.daemon.version} at {facts.daemon.address}")


def check_space(context: PreflightContext) -> Iterator[Finding]:
    """There is room where the engine keeps images, and where containers' temporary files go."""
    facts = facts_of(context)
    if isinstance(facts, LlemError):
        return
    root = Path(str(facts.info.get("DockerRootDir") or "/var/lib/docker"))
    missing = [use.reference for use in facts.uses if facts.daemon.find(use.reference) is None]
    rooms = (
        Room(
            place=root,
            purpose="the engine keeps its images",
            need=ROOM_FOR_AN_IMAGE if missing else LEAST_FREE,
            remedy="Look with `docker system df`, make room with `docker system prune`.",
        ),
        Room(
            place=Path(tempfile.gettempdir()),
            purpose="containers' temporary files go",
            need=LEAST_FREE,
            remedy="Make room there, or set TMPDIR to another folder.",
        ),
    )
    yield from findings_on(rooms, missing, "pulling")


def check_image(context: PreflightContext) -> Iterator[Finding]:
    """Each image is here or can be pulled, starts, and holds llem and its backend."""
    facts = facts_of(context)
    if isinstance(facts, LlemError):
        return
    yield from findings.images(context, facts, lambda use, image: findings.runs_in(use, image.id))


def check_version(context: PreflightContext) -> Iterator[Finding]:
    """llem in the image reads what llem here writes."""
    facts = facts_of(context)
    if isinstance(facts, LlemError):
        return
    yield from findings.versions(facts)


def check_toolkit(context: PreflightContext) -> Iterator[Finding]:
    """The engine can give containers GPUs: NVIDIA's runtime hook, or CDI."""
    facts = facts_of(context)
    if isinstance(facts, LlemError):
        return
    if not gpus_here():
        yield Finding(level="ok", message="no NVIDIA GPU here: containers run on the CPU")
        return
    if not context.runners and "nvidia" not in (facts.info.get("Runtimes") or {}):
        yield Finding(
            level="warning", message="the engine knows no NVIDIA runtime; CDI or a hook may do", remedy=TOOLKIT_REMEDY
        )
    for use in facts.uses:
        if not use.gpus:
            yield Finding(level="ok", message=f"{use.backend} takes no GPU")
            continue
        found = facts.with_gpus(use)
        if isinstance(found, ToolkitMissing | GpuRefused):
            yield findings.of_error(found)
        elif not isinstance(found, LlemError):
            yield Finding(level="ok", message=f"containers of {use.reference} get {len(use.gpus)} GPU(s)")


def check_gpu_inside(context: PreflightContext) -> Iterator[Finding]:
    """`nvidia-smi -L` inside lists exactly the GPUs that the container was given."""
    facts = facts_of(context)
    if isinstance(facts, LlemError):
        return
    for use in facts.uses:
        found = facts.with_gpus(use)
        if not use.gpus or isinstance(found, LlemError):
            continue
        if found.gpus is None:
            yield Finding(
                level="error",
                message=f"there is no nvidia-smi inside {use.reference}: NVIDIA's toolkit passed no tools in",
                remedy="Update the toolkit; see that the image does not set NVIDIA_DRIVER_CAPABILITIES without `utility`.",
            )
            continue
        seen = findings.gpus_seen(found.gpus)
        if (lacking := findings.gpus_lacking(use.reference, use.gpus, found.gpus, "restart the engine")) is not None:
            yield lacking
        elif more := sorted(seen - set(use.gpus)):
            yield Finding(
                level="error",
                message=f"{use.reference} sees {', '.join(more)} too, which the experiment does not use",
                remedy="See that the toolkit honours NVIDIA_VISIBLE_DEVICES; the image must not be privileged by default.",
            )
        else:
            yield Finding(level="ok", message=f"inside {use.reference}: {', '.join(use.gpus)}")


def check_cuda(context: PreflightContext) -> Iterator[Finding]:
    """CUDA in the image against the highest that the driver supports."""
    facts = facts_of(context)
    if isinstance(facts, LlemError):
        return
    yield from findings.cudas(facts, lambda image: image.labels.get(labels.CUDA))


def check_shm(context: PreflightContext) -> Iterator[Finding]:
    """Containers get the shared memory that they are to have, and the machine has it."""
    facts = facts_of(context)
    if isinstance(facts, LlemError):
        return
    wanted = facts.options.shm_bytes
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for use in facts.uses:
        found = facts.plain(use)
        if isinstance(found, LlemError):
            continue
        if found.shm < 0.99 * wanted:
            yield Finding(
                level="error",
                message=f"/dev/shm inside {use.reference} has {in_words(found.shm)}, and {in_words(wanted)} were asked for",
                remedy="Lower runner_options.docker.shm, or see which setting of the engine limits it.",
            )
        elif wanted > memory:
            yield Finding(
                level="warning",
                message=f"shared memory of {in_words(wanted)} is more than this machine's {in_words(memory)}",
                remedy="Lower it, such as --set runner_options.docker.shm=2g: an engine that fills it would be ended for want of memory.",
            )
        else:
            yield Finding(level="ok", message=f"{in_words(found.shm)} of shared memory inside {use.reference}")


def check_leftovers(context: PreflightContext) -> Iterator[Finding]:
    """Containers of an llem that is gone: they may still hold a GPU."""
    facts = facts_of(context)
    if isinstance(facts, LlemError):
        return
    with facts.daemon.answering():
        containers = facts.daemon.client.api.containers(all=True, filters={"label": owner.OWNER})
    gone = [c for c in containers if owner.is_gone(c.get("Labels") or {})]
    if not gone:
        yield Finding(level="ok", message="no container is left from before")
        return
    ids = [c["Id"][:12] for c in gone]
    studies = sorted({c["Labels"].get(owner.STUDY, "?") for c in gone})
    yield Finding(
        level="warning",
        message=f"{len(gone)} container(s) of an llem that is gone, {alive([c.get('State') for c in gone])}, of {', '.join(studies)}: "
        f"{', '.join(ids)}",
        remedy=f"Remove them: docker rm --force --volumes {' '.join(ids)}.",
    )


def alive(states: Sequence[object]) -> str:
    """Number of these containers that have processes: one that is paused or starts again and again holds its GPU as well."""
    paused = states.count("paused")
    restarting = states.count("restarting")
    told = [f"{states.count('running')} of them running"]
    told += [f"{paused} paused, which still hold what they held of a GPU"] if paused else []
    told += [f"{restarting} being restarted"] if restarting else []
    return ", ".join(told)
