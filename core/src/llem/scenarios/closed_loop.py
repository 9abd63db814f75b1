"""The closed loop: a batch is released when the one before has been answered."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from llem.specs.backend import Engine, Request
from llem.specs.scenario import Answer


class ClosedLoop(ABC):
    """Puts batches to an engine, one after another, from one thread.

    Args:
        engine: a loaded engine.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @abstractmethod
    def group(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """The batches of one pass over the workload."""

    @abstractmethod
    def answer(self, batch: Sequence[Request], pass_number: int = 1, batch_number: int = 1) -> Answer:
        """Release one batch and wait for it."""

    def fill_window(
        self,
        batches: Sequence[Sequence[Request]],
        open_ns: int,
        minimum_s: float,
        answered: Callable[[Answer], None],
    ) -> list[Answer]:
        """Pass after pass over all batches, until the window is long enough. Passes are whole: the mix stays the same."""
        answers: list[Answer] = []
        pass_number = 0
        while True:
            pass_number += 1
            for number, batch in enumerate(batches, 1):
                answer = self.answer(batch, pass_number, number)
                answers.append(answer)
                answered(answer)
            if time.monotonic_ns() - open_ns >= minimum_s * 1e9:
                return answers

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Release what it holds."""
