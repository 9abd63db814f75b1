"""The commands to type once a study is written, each with what it does."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from llem.plugin_api import BACKENDS, RUNNERS, Plan, Registry, engine_command, missing_requirements
from llem_start.answers import Care


def engine_commands(plan: Plan, registry: Registry) -> Iterator[tuple[str, str]]:
    """Those that bring the engines which a plan's backends lack here."""
    for name, choice in plan.runners.items():
        spec = registry.find(BACKENDS, name)
        is_here = registry.find(RUNNERS, choice.name).location == "here"
        if is_here and missing_requirements(spec.requires) and spec.install:
            lighter = f"; without a GPU: {spec.cpu_install}" if spec.cpu_install else ""
            yield engine_command(spec, registry, has_gpu=True), f"{name} cannot run here yet{lighter}"


def run_commands(study: Path, options: str = "") -> Iterator[tuple[str, str]]:
    """The two ways to run a study that was just written."""
    file = shlex.quote(str(study))
    yield f"llem run {file} --dry-run", "each experiment that it would run"
    yield f"llem run {file}{options}", "runs them; results go to the folder results"


def audit_command(plan: Plan, care: Care) -> Iterator[tuple[str, str]]:
    """The one that holds a study for publication against llem's rules."""
    if care == "publication":
        yield f"llem audit results/{plan.name}-*/", "says rule by rule whether it may be published"
