"""The plan: data that the study loop carries out and `--dry-run` prints."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from llem.config.experiment import ExperimentConfig
from llem.config.study import ExecutionConfig
from llem.plan.runners import RunnerChoice
from llem.plan.schedule import RunOrder
from llem.sweep import Duplicates, Point, Sweep

if TYPE_CHECKING:
    from llem.plan.search import PlannedSearch


@dataclass(frozen=True)
class Varied:
    """An experiment that a search made of a study's: as `Point`, without a number."""

    config: ExperimentConfig
    config_hash: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Planned:
    """One run of one experiment.

    Attributes:
        position: its place in the plan, from 1.
        cycle: which repetition it is, from 1.
        runner: where it runs.
    """

    position: int
    cycle: int
    runner: RunnerChoice
    _point: Point | Varied

    @property
    def config(self) -> ExperimentConfig:
        """The experiment, resolved."""
        return self._point.config

    @property
    def config_hash(self) -> str:
        """Its identity, 64 hex digits."""
        return self._point.config_hash

    @property
    def point(self) -> Mapping[str, Any]:
        """Dotted keys that distinguish it within the study, with their values as written."""
        return self._point.values

    @property
    def directory(self) -> str:
        """Name of its job directory."""
        return f"{self.position:05d}-{self.config_hash[:12]}-c{self.cycle}"


class Runs(Sequence[Planned]):
    """Runs in order, each made when it is asked for; a slice is a list of them."""

    @abstractmethod
    def _run(self, index: int) -> Planned:
        """The run at an index from 0."""

    @overload
    def __getitem__(self, index: int) -> Planned: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Planned]: ...
    def __getitem__(self, index: int | slice) -> Planned | Sequence[Planned]:
        if isinstance(index, slice):
            return [self._run(i) for i in range(len(self))[index]]
        return self._run(range(len(self))[index])

    def __iter__(self) -> Iterator[Planned]:
        return map(self._run, range(len(self)))


class AllRuns(Runs):
    """Those of a whole plan."""

    def __init__(self, sweep: Sweep, schedule: RunOrder, runners: Mapping[str, RunnerChoice]) -> None:
        self._sweep, self._schedule, self._runners = sweep, schedule, runners

    def __len__(self) -> int:
        return len(self._schedule)

    def _run(self, index: int) -> Planned:
        cycle, number = self._schedule[index]
        point = self._sweep.kept(number)
        return Planned(index + 1, cycle + 1, self._runners[point.backend], point)


@dataclass(frozen=True)
class Plan:
    """The plan of a study: its experiments, their order and their runners.

    Attributes:
        name: of the study; names its folder.
        study_design_hash: identity of the design, 64 hex digits.
        experiments: every run in order, cycles included.
        distinct: how many experiments are run, cycles not counted.
        duplicates: points that were dropped because an earlier one is the same experiment.
        estimate_s: the least time that it takes (seconds), gaps and a short warm-up included.
        warmup_room_s: how much longer it may take where every warm-up goes on until `warmup.max_s`.
        runners: backend to where it runs.
        execution: cycles, order, gaps and limits.
        base_dir: the folder that relative paths in configurations start from.
        source: the study file as the user wrote it, or None.
        search: of a study that searches: `experiments` are then its configurations, none of which runs as it stands.
        skips: a scenario of it has a rule by which experiments are skipped.
    """

    name: str
    study_design_hash: str
    experiments: Sequence[Planned]
    distinct: int
    duplicates: Duplicates
    estimate_s: float
    runners: Mapping[str, RunnerChoice]
    execution: ExecutionConfig
    base_dir: Path
    source: str | None = None
    warmup_room_s: float = 0.0
    search: PlannedSearch | None = None
    skips: bool = False

    @property
    def total(self) -> int:
        """Number of runs, cycles included; of a search the most there can be."""
        return len(self.experiments) * (self.search.most if self.search else 1)
