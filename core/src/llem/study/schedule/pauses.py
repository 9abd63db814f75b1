"""Pauses between experiments, in which the machine cools down."""

from __future__ import annotations

from llem.study.reporter import Reporter

STEP_S = 0.2
"""Time that the study sleeps at a stretch: short enough for a person, long enough for the meters not to see it."""


class Pause:
    """One pause: tells the time left about once a second, and asks whether the user wants to skip it."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._told = float("inf")

    def is_skipped(self, remaining_s: float, why: str) -> bool:
        """To be called every now and then while it goes on. True where the user ended it.

        Args:
            remaining_s: how long it still takes.
            why: `between experiments` or `between cycles`, for people.
        """
        if self._reporter.skip_gap():
            return True
        if self._told - remaining_s >= 1:
            self._reporter.gap(remaining_s, why)
            self._told = remaining_s
        return False
