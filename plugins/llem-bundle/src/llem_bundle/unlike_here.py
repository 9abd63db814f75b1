"""The differences between the machine that a bundle's study ran on and this one, as far as they show before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llem.plugin_api import RUNNERS, SAMPLERS, Registry, SamplerUnavailable, hosts, load_object, missing_requirements
from llem_bundle.figures import at
from llem_bundle.replica_study import Original
from llem_bundle.verifying import readable


@dataclass(frozen=True)
class UnlikeHere:
    """Clauses such as `CPU: was …, is …`.

    Attributes:
        told: hardware, system, versions of llem and of engines, runner, image, meters.
        packages: other packages.
    """

    told: tuple[str, ...]
    packages: tuple[str, ...]


def unlike_here(original: Original, bundle: Path, registry: Registry) -> UnlikeHere:
    """Compare. Meters are opened and closed again; nothing is measured. Raises BundleError where its record cannot be read."""
    with readable(bundle, "study.json"):
        told, packages = _machine(original, registry)
    told += _runners(original, registry)
    told += _meters(original, registry)
    return UnlikeHere(tuple(told), tuple(packages))


def _machine(original: Original, registry: Registry) -> tuple[list[str], list[str]]:
    """Clauses on the machine with llem and engines, and on other packages."""
    engine = {"llem", *(name for one in original.results for name in (at(one, "facts.versions") or {}))}
    told: list[str] = []
    packages: list[str] = []
    if original.hosts:
        before, now = original.hosts[-1], hosts.host(registry)
        versions = {*(before.get("packages") or {}), *(now.get("packages") or {})}
        for clause in hosts.differences(before, now):
            name = clause.partition(": was ")[0]
            is_told = name not in versions or name in engine or name.startswith("llem-")
            (told if is_told else packages).append(clause)
    else:
        told.append("its machine: none was recorded")
    return told, packages


def _runners(original: Original, registry: Registry) -> Iterator[str]:
    for backend, (text, image) in original.runners.items():
        if text.partition(":")[0] not in registry[RUNNERS]:
            yield f"runner of {backend}: was {text}, which is not installed here"
        elif image is not None:
            yield f"image of {backend}: was {image} by {text}; the one here is compared once it has run"


def _meters(original: Original, registry: Registry) -> Iterator[str]:
    for name in original.samplers:
        if (why := _unusable(name, registry)) is not None:
            yield f"meter {name}: measured there, {why}"


def _unusable(name: str, registry: Registry) -> str | None:
    spec = registry[SAMPLERS].get(name)
    if spec is None:
        return "is not installed here"
    if missing := missing_requirements(spec.requires):
        return f"lacks {', '.join(missing)} here"
    sampler = load_object(spec.sampler)()
    try:
        sampler.open({"cpu_tdp_w": None, "devices": None})
    except SamplerUnavailable as error:
        return f"does not work here: {error.what.removesuffix('.')}"
    finally:
        sampler.close()
    return None
