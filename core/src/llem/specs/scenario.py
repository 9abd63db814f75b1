"""A scenario: how requests reach an engine, and when the measured window ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from llem.config.experiment import ExperimentConfig
from llem.config.section import Section
from llem.specs.backend import Capability, Request, RequestRecord
from llem.specs.caveat import Caveat


@dataclass(frozen=True, kw_only=True)
class ScenarioSpec:
    """Registration of a scenario, by `llem_scenarios`.

    Attributes:
        name: the word in `measurement.scenario`.
        api_version: the `API_VERSION` that it was written for.
        summary: one line for `llem plugins`.
        generator: `package.module:Class` of the `LoadGenerator`, imported in the worker only.
        needs: capabilities that a backend must have for it, such as `streaming`.
        at_once: the most requests that it has under way at once; infinity where prompts may come again meanwhile, None for each
            prompt of the dataset once.
        sections: models of the sections of an experiment that it brings, by their keys: they stand at the top level of a study, can
            be swept, and are part of the identity of its experiments. One without a default has to be given.
        skip: `package.module:Class` of a `SkipRule`, by which experiments of a study are skipped; None for none.
        defaults: values of the core's sections that hold in it where a study gives none, by section and field, such as
            `{"decoding": {"length": "natural"}}`; not of `measurement`.
        rejudge: `package.module:function` of a `Rejudge`, where finished runs can be judged by other values of a section that is
            no part of their identity; else None.
        least_s: `package.module:function` that takes the scenario's sections by their keys and returns the least time of an
            experiment's load and window (seconds), for the plan; None for that of `measurement`.
    """

    name: str
    api_version: int
    summary: str
    generator: str
    needs: frozenset[Capability] = frozenset()
    at_once: float | None = None
    sections: Mapping[str, type[Section]] = field(default_factory=dict, hash=False)
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    skip: str | None = None
    rejudge: str | None = None
    least_s: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One batch with what the engine answered.

    Attributes:
        pass_number: which repetition of the workload, from 1.
        batch_number: place in it, from 1.
        released_ns: when the load generator released it: the arrival of its requests.
        returned_ns: when the last answer was there.
        requests: what was asked.
        records: what the engine reported.
        stream_ns: of a streamed request, the time of each event in order; None where nothing was streamed.
        record_at: of a streamed request, the place of the event with the record, from 1.
        sent_ns: when it was handed to the engine, where it did not happen as it arrived; None: at `released_ns`.
    """

    pass_number: int
    batch_number: int
    released_ns: int
    returned_ns: int
    requests: Sequence[Request]
    records: Sequence[RequestRecord]
    stream_ns: Sequence[int] | None = None
    record_at: int | None = None
    sent_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request without a whole answer.

    Attributes:
        request: what was asked, or would have been.
        arrived_ns: when it arrived.
        sent_ns: when it was handed to the engine; None where that never happened.
        error: how it failed; None where no answer came in time.
        ended_ns: when it failed; None where it did not.
        token_ns: of each output token that it was given all the same, in order.
    """

    request: Request
    arrived_ns: int
    sent_ns: int | None
    error: str | None
    ended_ns: int | None = None
    token_ns: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True)
class Served:
    """The course of a load that did not wait for answers.

    Attributes:
        inside: answers to requests that arrived inside the window, one each, in the order of arrival.
        beside: to those that arrived before it or after; tokens of theirs may have been given out inside.
        unanswered: requests that got no whole one: those that arrived inside the window, and others with tokens given out inside.
    """

    inside: Sequence[Answer]
    beside: Sequence[Answer]
    unanswered: Sequence[Unanswered]


@dataclass(frozen=True, kw_only=True)
class ScenarioFigures:
    """The figures that only the scenario knows how to work out.

    Attributes:
        metrics: by name with the unit in it; None for what was not observed. They stand in results as `scenario_metrics.NAME`.
            Begin a name with `attainment` or `good` where latencies were judged for it, and with `achieved` where it is a
            speed: what a warning voids of these, it voids of the figure.
        caveats: what a reader of the figures must know.
    """

    metrics: Mapping[str, float | None]
    caveats: Sequence[Caveat] = ()


@dataclass(frozen=True, kw_only=True)
class Rejudged:
    """Runs of one configuration, judged again together.

    Attributes:
        metrics: of each run its scenario metrics, as they are now; None where its job directory does not tell them.
        kept: they keep what is asked of them; None where it cannot be told.
        sentence: how well, for people: a noun phrase with an interval.
        is_close: another run might well say otherwise.
        judged_by: the values that they were judged by, by section and key: a study that runs them again is given these.
    """

    metrics: Sequence[Mapping[str, float | None] | None]
    kept: bool | None
    sentence: str
    is_close: bool
    judged_by: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Rejudge(Protocol):
    """Judges finished runs of one configuration by other values of a section that is no part of their identity."""

    def __call__(self, jobs: Sequence[Path], given: Mapping[str, Mapping[str, Any]]) -> Rejudged:
        """Judge them.

        Args:
            jobs: their job directories.
            given: values by section and key. How those that are not given follow from the runs' own is the scenario's to say.

        Raises:
            ConfigError: the values cannot be, or exclude one another.
            ResultError: a job directory is damaged.
        """


class MeasuredWindow(Protocol):
    """The window in the hands of a scenario that opens and closes it itself, while requests are under way.

    Its methods block, up to some periods of the slowest counter: call them beside an event loop, one at a time.
    """

    def open(self) -> int:
        """Open it, once. Returns the edge (monotonic ns)."""

    def instant(self) -> int:
        """Mark an instant (monotonic ns) from or to which energy is wanted."""

    def energy_j(self, start_ns: int, end_ns: int) -> float | None:
        """Energy of the devices in use between two marked instants or edges (J); None where it cannot be told, or not yet."""

    def close(self) -> int:
        """Close it, once. Returns the edge. Requests under way may be waited for afterwards: that is no part of the window."""

    def progress(self, what: str, done: float, total: float, unit: str) -> None:
        """Say how far it is; at most a few times a second."""


@dataclass(frozen=True, kw_only=True)
class DriveContext:
    """A load generator's context: everything that it needs to put a load to the engine.

    Attributes:
        config: the experiment; `config.sections` holds what the scenario brings.
        base_dir: the folder that relative paths in the configuration start from.
        cycle: which repetition, from 1.
        requests: the workload, each prompt once.
        window: to be opened and closed.
    """

    config: ExperimentConfig
    base_dir: str
    cycle: int
    requests: Sequence[Request]
    window: MeasuredWindow


@runtime_checkable
class DrivesWindow(Protocol):
    """Interface that a `LoadGenerator` has besides, whose requests do not wait for answers: it opens the window under load."""

    def drive(self, context: DriveContext) -> Served:
        """Put the load to the engine, open and close the window, and wait for answers as long as the load says."""

    def figures(self, energy_j: Callable[[int, int], float | None]) -> ScenarioFigures:
        """The scenario's own figures of the load that was driven, when everything has ended.

        Args:
            energy_j: energy of the headline's devices between two marked instants or edges (J); None where it cannot be told.
        """


class LoadGenerator(Protocol):
    """Puts requests to an engine and writes down what came. Made with a loaded `Engine`; used by one thread, closed once.

    It computes no figure and writes no file; inside the measured window there is only the engine's work.
    """

    def group(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """The batches of one pass over the workload: each request once."""

    def answer(self, batch: Sequence[Request], pass_number: int = 1, batch_number: int = 1) -> Answer:
        """Release one batch and wait for it; the warm-up asks by this too."""

    def fill_window(
        self,
        batches: Sequence[Sequence[Request]],
        open_ns: int,
        minimum_s: float,
        answered: Callable[[Answer], None],
    ) -> list[Answer]:
        """Put the workload to the engine from now on; the window closes when this returns.

        Args:
            batches: of one pass.
            open_ns: when the window opened.
            minimum_s: the window lasts at least so long, and at least one pass.
            answered: to be called after each batch; whatever it does happens inside the window.
        """

    def close(self) -> None:
        """Release what it holds; the engine is closed by others."""
