"""Messages of the study loop to whoever watches it: the command line's progress line, a notebook, nobody."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from llem.results.scrub import scrub

if TYPE_CHECKING:
    from llem.plan import Planned


class Reporter(Protocol):
    """Receives what happens, in order, from the thread that runs the study. Must return quickly.

    Several experiments may be under way at once: `number` tells which one is meant.
    """

    def study_started(self, directory: Path, total: int, *, at_most: bool = False) -> None:
        """The study's folder exists; `total` experiments (cycles counted) will run, or fewer where that is `at_most`."""

    def experiment_started(self, number: int, label: str, job_dir: Path) -> None:
        """Experiment `number` (from 1) is dispatched; `label` names what distinguishes it."""

    def event(self, number: int, event: Mapping[str, Any]) -> None:
        """The worker appended an event (see `llem.results.job_directory.EventLog`)."""

    def experiment_finished(self, number: int, result: Mapping[str, Any]) -> None:
        """Its `result.json`, done or failed, is on disk. One that was taken out of a runner's queue has failed as `Withdrawn`."""

    def gap(self, remaining_s: float, why: str) -> None:
        """A pause goes on; called about once a second."""

    def skip_gap(self) -> bool:
        """True where the user asked (Enter on a terminal) to end the pause now."""

    def message(self, level: Literal["info", "warning", "error"], text: str) -> None:
        """Something to say, once."""

    def study_finished(self, state: str, counts: Mapping[str, int]) -> None:
        """The study ended: `complete`, `interrupted` or `stopped`; counts by status."""


@runtime_checkable
class FollowsPlan(Protocol):
    """Interface that a `Reporter` offers besides where it tells how long the study still takes."""

    def ahead(self, total: int, cycles: int) -> None:
        """Take note of how many experiments are ahead, at the most, and of the cycles of each configuration; called before any starts."""

    def spared(self, label: str) -> None:
        """One of the experiments that have this label will not run: what has ended makes it needless."""


class SilentReporter:
    """Tells nobody."""

    def study_started(self, directory: Path, total: int, *, at_most: bool = False) -> None: ...
    def experiment_started(self, number: int, label: str, job_dir: Path) -> None: ...
    def event(self, number: int, event: Mapping[str, Any]) -> None: ...
    def experiment_finished(self, number: int, result: Mapping[str, Any]) -> None: ...
    def gap(self, remaining_s: float, why: str) -> None: ...
    def skip_gap(self) -> bool:
        return False

    def message(self, level: Literal["info", "warning", "error"], text: str) -> None: ...
    def study_finished(self, state: str, counts: Mapping[str, int]) -> None: ...


def label(planned: Planned) -> str:
    """A name that distinguishes an experiment, for people; without secrets."""
    return scrub(", ".join(f"{key}={value}" for key, value in planned.point.items())) or planned.config.backend
