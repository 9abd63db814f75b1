"""The next step as a command to type: with a study that is not finished, and with a machine just looked at."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from llem.preflight.engines import CPU_TORCH, FIRST_BACKEND

if TYPE_CHECKING:
    from llem.errors import SamplerClosed
    from llem.specs.check import Finding


def state_of(folder: Path, state: str) -> str:
    """The state that a manifest tells, or `broken off` where it says running and no llem works on the study any more."""
    from llem.study.lock import is_held

    return "broken off" if state == "running" and not is_held(folder) else state


def next_step(folder: Path, state: str | None, counts: Mapping[str, int]) -> str | None:
    """The command that goes on with a study; None where there is nothing to go on with.

    Args:
        state: as `state_of` gives it; None where the manifest that would tell is lost.
        counts: its experiments by state.
    """
    command = f"llem resume {shlex.quote(str(folder))}"
    if state == "running":
        return None
    if state == "complete":
        return f"{command} --retry-failed" if counts.get("failed") else None
    return command


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine as `llem doctor` found it, as far as that decides what comes next.

    Attributes:
        findings: of all checks.
        backends: each installed backend to the command that brings what it lacks here; None where it can run.
        set_aside: distributions whose plugin was set aside.
        methods: what energy can be read by: `counter`, `power`, `estimate`.
        has_gpu: a meter of a GPU works.
        closed: meters that are there, and that this user may not read.
    """

    findings: Sequence[Finding] = ()
    backends: Mapping[str, str | None] = field(default_factory=dict)
    set_aside: Sequence[str] = ()
    methods: frozenset[str] = frozenset()
    has_gpu: bool = False
    closed: Sequence[SamplerClosed] = ()


@dataclass(frozen=True)
class Advice:
    """An obstacle, or the state of things, in a sentence or two; and the step to take: a command where there is one."""

    state: str
    step: str


def after_doctor(machine: Machine) -> Advice:
    """The one step that is best taken next: what keeps every study from running comes first, then what spoils its figures."""
    errors = [f for f in machine.findings if f.level == "error"]
    warnings = sum(f.level == "warning" for f in machine.findings)
    if not machine.backends:
        if machine.set_aside:
            return Advice(
                f"No backend works: the plugin of {machine.set_aside[0]} was set aside.",
                f"pip install --force-reinstall {machine.set_aside[0]}",
            )
        lighter = "" if machine.has_gpu else f" Without a GPU, set {CPU_TORCH} first: torch is small then."
        return Advice(f"No backend is installed, and a study needs one.{lighter}", FIRST_BACKEND)
    if errors:
        count = f"{len(errors)} error{'s' * (len(errors) > 1)}"
        first = errors[0]
        step = (first.remedy or f"mend what {first.check} says").rstrip(".")
        return Advice(f"{count}: mend what is marked error, {first.check} first.", f"{step}; then llem doctor")
    if None not in machine.backends.values():
        name, install = next(iter(machine.backends.items()))
        return Advice(f"No backend can run here: {name} lacks its engine.", str(install))
    ready = "Ready." if not warnings else f"Ready, with {warnings} warning{'s' * (warnings > 1)} to judge."
    if machine.methods & {"counter", "power"}:
        return Advice(ready, "llem init")
    if machine.closed:
        meter = machine.closed[0]
        return Advice(
            f"{ready} Energy would be an estimate: {meter.what} {meter.caution}", f"{meter.command} && llem doctor"
        )
    if "estimate" in machine.methods:
        return Advice(
            f"{ready} No energy meter works here. Energy will be an estimate from the CPU's utilisation and rated power "
            "(measurement.cpu_tdp_w), marked ~: enough to learn llem by, not to publish.",
            "llem init",
        )
    return Advice(
        f"{ready} No energy meter works here: speed and latency will be measured, energy will not.", "llem init"
    )
