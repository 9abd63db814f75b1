"""Findings of preflight on what a look into an image told, the same whatever runs the image."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from llem.plugin_api import DATASETS, JOB_SCHEMA, SAMPLERS, SCENARIOS, Finding, LlemError, PreflightContext
from llem_containers import cuda
from llem_containers.gpus import driver
from llem_containers.image_facts import ImageFacts
from llem_containers.looks import ImageT, Looks, Use

CUDA_LABEL = "llem.cuda"
"""The label of an image that tells the CUDA that its engine was built for, such as `13.0`."""


def of_error(error: LlemError, level: Literal["warning", "error"] = "error") -> Finding:
    """The finding that an error is."""
    where = f" ({error.where})" if error.where else ""
    return Finding(level=level, message=f"{error.what.rstrip('.')}{where}", remedy=error.remedy)


def images(
    context: PreflightContext, looks: Looks[ImageT], usable: Callable[[Use, ImageT], Finding]
) -> Iterator[Finding]:
    """The findings on whether each image is here or can be had, starts, and holds what its backend needs.

    Args:
        usable: takes a use and its image that nothing is wrong with, gives the finding on it.
    """
    for use in looks.uses:
        image, found = looks.image(use), looks.plain(use)
        if isinstance(image, LlemError):
            yield of_error(image)
        elif isinstance(found, LlemError):
            yield of_error(found)
        else:
            yield image_lacks(context, use.backend, use.reference, found) or usable(use, image)


def runs_in(use: Use, digest: str) -> Finding:
    """The finding that a backend runs in an image, by the beginning of its digest."""
    return Finding(level="ok", message=f"{use.backend} runs in {use.reference} ({digest.partition(':')[2][:12]})")


def image_lacks(context: PreflightContext, backend: str, image: str, found: ImageFacts) -> Finding | None:
    """The finding on what an image lacks for experiments of a backend; None where it has all."""
    aside = f" ({'; '.join(found.aside)})" if found.aside else ""
    if found.llem is None:
        return Finding(
            level="error",
            message=f"the image {image} has no llem for its python3",
            remedy=f"Add it (RUN python3 -m pip install llem llem-{backend}), or: llem images build {backend}.",
        )
    if backend not in found.backends:
        return Finding(
            level="error",
            message=f"the image {image} has no backend `{backend}`; it has: {', '.join(sorted(found.backends)) or 'none'}{aside}",
            remedy=f"Use the image of that backend: llem images build {backend}.",
        )
    if missing := found.backends[backend]:
        return Finding(
            level="error",
            message=f"the image {image} lacks what the backend `{backend}` needs: {', '.join(missing)}",
            remedy=f"Install it in the image, or: llem images build {backend}.",
        )
    if lacking := [one for one in _needed(context, backend) if one[1] not in found.plugins.get(one[0], ())]:
        return Finding(
            level="error",
            message=f"the image {image} has no {' and no '.join(f'{kind} `{name}`' for kind, name in lacking)}, which "
            f"experiments of {backend} need{aside}",
            remedy=f"Build the image with the plugins that are installed here: llem images build {backend}.",
        )
    return None


def _needed(context: PreflightContext, backend: str) -> list[tuple[str, str]]:
    """The plugins that experiments of a backend need inside besides it, each as the word of its kind and its name."""
    found: dict[tuple[str, str], None] = {}
    for one in context.experiments:
        if one.backend == backend:
            found[SCENARIOS.word, one.measurement.scenario] = found[DATASETS.word, one.dataset.name] = None
            found.update(dict.fromkeys((SAMPLERS.word, name) for name in one.measurement.samplers or ()))
    return list(found)


def versions(looks: Looks[Any]) -> Iterator[Finding]:
    """The findings on whether llem in the images reads what llem here writes."""
    for use in looks.uses:
        found = looks.plain(use)
        if not isinstance(found, LlemError) and found.llem is not None:
            yield _version(use.backend, use.reference, found)


def _version(backend: str, image: str, found: ImageFacts) -> Finding:
    """The finding on whether llem in the image reads what llem here writes."""
    here = importlib.metadata.version("llem")
    if found.schema != JOB_SCHEMA:
        return Finding(
            level="error",
            message=f"llem {found.llem} in {image} reads experiments of version {found.schema}, llem {here} "
            f"here writes version {JOB_SCHEMA}",
            remedy=f"Build the image with this llem: llem images build {backend}.",
        )
    if found.llem != here:
        return Finding(
            level="warning",
            message=f"{image} has llem {found.llem}, and here is {here}: figures are those of {found.llem}",
            remedy=f"Build the image with this llem: llem images build {backend}.",
        )
    return Finding(level="ok", message=f"llem {here} here and in {image}")


def gpus_seen(said: str) -> set[str]:
    """The UUIDs in what `nvidia-smi -L` printed."""
    return set(re.findall(r"GPU-[0-9A-Fa-f-]+", said))


def gpus_lacking(image: str, wanted: Sequence[str], said: str, again: str) -> Finding | None:
    """The GPUs of an experiment that are not seen inside; None where all are.

    Args:
        said: what `nvidia-smi -L` printed inside.
        again: what to do after a change of the driver, a clause.
    """
    seen = gpus_seen(said)
    lacking = [uuid for uuid in wanted if uuid not in seen]
    if not lacking:
        return None
    return Finding(
        level="error",
        message=f"{', '.join(lacking)} is not visible inside {image}; nvidia-smi -L says there: "
        f"{' '.join(said.split())[:200] or 'nothing'}",
        remedy=f"Compare with `nvidia-smi -L` here; {again} after a change of driver or toolkit.",
    )


def cudas(looks: Looks[ImageT], label: Callable[[ImageT], str | None]) -> Iterator[Finding]:
    """The findings on CUDA in the images that get GPUs, against the driver.

    Args:
        label: takes an image, gives what its label says of its CUDA.
    """
    for use in looks.uses:
        image, found = looks.image(use), looks.plain(use)
        if use.gpus and not isinstance(image, LlemError) and not isinstance(found, LlemError):
            yield from _cuda_fits(use.reference, found, label(image))


def _cuda_fits(image: str, found: ImageFacts, label: str | None) -> Iterator[Finding]:
    """The finding on CUDA in an image against the driver; none where the driver tells nothing.

    Args:
        label: what the image's label says of its CUDA, or None.
    """
    name, highest = driver()
    if highest is None:
        return
    inside = cuda.parse(label) or cuda.parse(found.cuda)
    if inside is None:
        yield Finding(
            level="warning",
            message=f"{image} does not tell its CUDA version; the driver {name} runs up to {_text(highest)}",
            remedy=f"Label the image: LABEL {CUDA_LABEL}=13.0.",
        )
        return
    verdict = cuda.judge(inside, highest, forward_package=found.forward)
    yield Finding(
        level=verdict.level,
        message=f"{image} is built for CUDA {_text(inside)}, the driver {name} supports up to CUDA "
        f"{_text(highest)}; {verdict.rule}",
        remedy=verdict.remedy,
    )


def _text(version: cuda.Version) -> str:
    return f"{version[0]}.{version[1]}"
