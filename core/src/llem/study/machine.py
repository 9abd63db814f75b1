"""The machine that a study measures on: waited for where another llem measures on it, and what every result says of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llem.errors import PreflightError
from llem.plugins import Registry
from llem.specs.check import Finding
from llem.specs.kinds import RUNNERS
from llem.study.machine_lock import MachineLock
from llem.study.reporter import Reporter

if TYPE_CHECKING:
    from llem.plan import Plan

LOOK_S = 1.0
"""Seconds after which a study that waits looks again whether the machine is free: the other one measures meanwhile."""


class MeasuringMachine:
    """This machine, as long as a study has it.

    Args:
        lock: held; None where nothing of the study is measured here, or nothing can be locked.

    Attributes:
        waited: another llem was at work first, so that what was found before is no longer so.
        findings: what preflight found, of which each result carries what has a code.
    """

    def __init__(self, lock: MachineLock | None, *, waited: bool = False) -> None:
        self._lock = lock
        self.waited = waited
        self.findings: Sequence[Finding] = ()

    def warnings(self) -> list[dict[str, str]]:
        """Warnings for the result of an experiment that starts on this machine now, `code` and `message` each."""
        found = [{"code": f.code, "message": f"{f.message}."} for f in self.findings if f.code and f.level == "warning"]
        others = self._lock.others() if self._lock is not None else None
        if others is not None:
            found.append(
                {
                    "code": "machine_shared",
                    "message": f"{others} measured on this machine when the experiment began: each is in the other's "
                    "energy and speed. Repeat it alone.",
                }
            )
        return found


@contextmanager
def this_machine(
    plan: Plan, registry: Registry, reporter: Reporter, *, allow_shared: bool = False
) -> Iterator[MeasuringMachine]:
    """Have this machine, alone or shared, until left. Waits while another llem measures on it.

    Experiments of one study that run side by side are one llem, and those that run on other machines need no lock here.

    Args:
        allow_shared: beside `execution.allow_shared`: do not wait.
    """
    if not any(registry.find(RUNNERS, choice.name).on_this_machine for choice in plan.runners.values()):
        yield MeasuringMachine(None)
        return
    try:
        lock = MachineLock(plan.name)
    except PreflightError as error:
        reporter.message("warning", str(error))
        yield MeasuringMachine(None)
        return
    try:
        waited = False
        if allow_shared or plan.execution.allow_shared:
            lock.share()
        else:
            waited = _wait(lock, reporter)
        yield MeasuringMachine(lock, waited=waited)
    finally:
        lock.release()


def _wait(lock: MachineLock, reporter: Reporter) -> bool:
    """Take the lock; True where somebody else had it first."""
    waited = False
    while (who := lock.take()) is not None:
        if not waited:
            reporter.message(
                "warning",
                f"{who} measures on this machine: waiting until it has ended, since each would be in the other's figures. "
                "Ctrl+C gives up; --allow-shared runs beside it and says so in the results.",
            )
        waited = True
        time.sleep(LOOK_S)
    if waited:
        reporter.message("info", "the machine is free: going on.")
    return waited
