"""The context of a study's experiments: what all of them share."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.config.study import ExecutionConfig
from llem.plugins import Registry
from llem.study.interrupts import AtOnce, Interrupts
from llem.study.machine import MeasuringMachine
from llem.study.reporter import Reporter

if TYPE_CHECKING:
    from llem.plan import RunnerChoice


@dataclass(frozen=True, kw_only=True)
class StudyContext:
    """Everything that all experiments of a study have in common.

    Attributes:
        directory: the study's folder.
        base_dir: the folder that relative paths in configurations start from.
        provenance: facts about the study for every result.
        runners: backend to where it runs.
        planned: how many experiments there are, cycles counted.
        machine: this one, and what is to be said of it.
    """

    directory: Path
    base_dir: Path
    execution: ExecutionConfig
    provenance: Mapping[str, Any]
    registry: Registry
    reporter: Reporter
    interrupts: Interrupts
    runners: Mapping[str, RunnerChoice]
    planned: int
    machine: MeasuringMachine

    def notify(self, event: str, **arguments: Any) -> None:
        """Call an event hook of every plugin. The second interrupt does not wait for one that hangs."""
        with suppress(AtOnce), self.interrupts.urgent():
            self.registry.notify(
                event, lambda text: self.reporter.message("warning", text), study_dir=self.directory, **arguments
            )
