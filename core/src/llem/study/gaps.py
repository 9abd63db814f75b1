"""Pauses between experiments, in which the machine cools down."""

from __future__ import annotations

import time

from llem.study.interrupts import Interrupts
from llem.study.reporter import Reporter

STEP_S = 0.2
"""How long the study sleeps at a stretch: often enough for a person, rare enough for the meters not to see it."""


def pause(seconds: float, why: str, reporter: Reporter, interrupts: Interrupts) -> None:
    """Sleep so long; tell the time left about once a second; end early when the user skips or interrupts.

    Args:
        seconds: length of the pause.
        why: `between experiments` or `between cycles`, for people.
    """
    end = time.monotonic() + seconds
    told = float("inf")
    while not interrupts.asked and (remaining := end - time.monotonic()) > 0:
        if reporter.skip_gap():
            return
        if told - remaining >= 1:
            reporter.gap(remaining, why)
            told = remaining
        time.sleep(min(STEP_S, remaining))
