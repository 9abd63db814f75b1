"""A scenario: how requests reach an engine, and when the measured window ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from llem.config.section import Section
from llem.specs.backend import Capability, Request, RequestRecord


@dataclass(frozen=True, kw_only=True)
class ScenarioSpec:
    """Registration of a scenario, by `llem_scenarios`.

    Attributes:
        name: the word in `measurement.scenario`.
        api_version: the `API_VERSION` that it was written for.
        summary: one line for `llem plugins`.
        generator: `package.module:Class` of the `LoadGenerator`, imported in the worker only.
        needs: capabilities that a backend must have for it, such as `streaming`.
        at_once: the most requests that it has under way at once; None for as many as the backend takes.
        sections: models of the sections of an experiment that it brings, by their keys: they stand at the top level of a study, can
            be swept, and are part of the identity of its experiments. One without a default has to be given.
    """

    name: str
    api_version: int
    summary: str
    generator: str
    needs: frozenset[Capability] = frozenset()
    at_once: int | None = None
    sections: Mapping[str, type[Section]] = field(default_factory=dict, hash=False)


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
    """

    pass_number: int
    batch_number: int
    released_ns: int
    returned_ns: int
    requests: Sequence[Request]
    records: Sequence[RequestRecord]
    stream_ns: Sequence[int] | None = None
    record_at: int | None = None


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
