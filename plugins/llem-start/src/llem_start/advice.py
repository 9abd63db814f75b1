"""The next step that `llem doctor` names for a machine, as a command to type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llem.plugin_api import CPU_TORCH, FIRST_BACKEND

if TYPE_CHECKING:
    from llem.plugin_api import Finding, SamplerClosed


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
