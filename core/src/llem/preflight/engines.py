"""Advice on an engine that is missing: commands that bring it, in keeping with docs/installation.md."""

from __future__ import annotations

from llem.plugins import missing_requirements
from llem.specs.backend import BackendSpec
from llem.specs.kinds import BACKENDS, RUNNERS
from llem.specs.registry import SpecRegistry

FIRST_BACKEND = "pip install llem-pytorch"
"""The command for whoever has no backend yet."""

CPU_TORCH = "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu"
"""The setting by which pip finds torch's build for machines without a GPU: 0.2 GB in place of 2.7."""

FIRST_REMEDY = f"Install one: {FIRST_BACKEND}; without a GPU set {CPU_TORCH} first."
"""The advice to whoever has no backend yet."""

CONTAINERS = "pip install llem-docker"
"""The command that brings a runner in whose containers conflicting backends have an environment each."""


def rivals(spec: BackendSpec, registry: SpecRegistry) -> list[str]:
    """Backends that can run in this environment and cannot share it with this one."""
    return [
        other.name
        for other in registry[BACKENDS].values()
        if (other.name in spec.conflicts or spec.name in other.conflicts) and not missing_requirements(other.requires)
    ]


def commands(spec: BackendSpec) -> str | None:
    """The commands that bring a backend's engine, for a machine with GPUs and for one without; None where its author names none."""
    if spec.install is None or spec.cpu_install is None:
        return spec.install
    return f"{spec.install}, or on a machine without a GPU: {spec.cpu_install}"


def engine_remedy(spec: BackendSpec, registry: SpecRegistry) -> str:
    """The advice on a backend whose engine is missing here: never an installation beside one that it conflicts with."""
    if beside := rivals(spec, registry):
        held = any(runner.location == "container" for runner in registry[RUNNERS].values())
        image = "run it in its image, as a study does by itself," if held else f"run it in its image ({CONTAINERS})"
        own = f"install it in an environment of its own ({commands(spec)})" if spec.install else ""
        ways = " or ".join(way for way in (image if spec.image else "", own) if way)
        return f"Not beside {beside[0]}: {ways or 'give it an environment of its own'}."
    found = commands(spec)
    return f"{found}." if found else f"Install it, or use a container: runners.{spec.name}."


def engine_command(spec: BackendSpec, registry: SpecRegistry, *, has_gpu: bool) -> str:
    """The one command to type next, so that this backend can run from here."""
    if rivals(spec, registry) and spec.image:
        return CONTAINERS
    return (spec.install if has_gpu else spec.cpu_install or spec.install) or f"pip install llem-{spec.name}"
