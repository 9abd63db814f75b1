"""Watches one running job: passes its events on, and ends it when its time is over or the user asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from llem.results.job_directory import EventReader
from llem.runners.failure import Ended, Why
from llem.specs.runner import Exit, RunningJob
from llem.study.gaps import STEP_S
from llem.study.interrupts import AtOnce, Interrupts

INTERRUPT_GRACE_S = 5.0
"""How long a worker may take to end when the user interrupts."""

TIMEOUT_GRACE_S = 2.0
"""And when it ran out of time: long enough to say so in its result, if it still answers."""


def watch(
    job: RunningJob,
    events: EventReader,
    *,
    timeout_s: float,
    silence_timeout_s: float,
    started_at: datetime,
    tell: Callable[[Mapping[str, Any]], None],
    interrupts: Interrupts,
) -> Ended:
    """Sleep until the job has ended, by itself or not; then every process of it is gone.

    Args:
        events: what the worker appends; `tell` gets each one.
        timeout_s: for the whole job, from now.
        silence_timeout_s: without any event.
    """
    begin = last_sign = time.monotonic()
    try:
        while (ending := job.wait(STEP_S)) is None:
            for event in events.new():
                last_sign = time.monotonic()
                tell(event)
            now = time.monotonic()
            why: Why
            if interrupts.asked:
                why, grace_s, message = "Interrupted", INTERRUPT_GRACE_S, "the user interrupted the study."
            elif now - begin > timeout_s:
                why, grace_s = "Timeout", TIMEOUT_GRACE_S
                message = f"it was not done after {timeout_s:g} s (limits.timeout_s)."
            elif now - last_sign > silence_timeout_s:
                why, grace_s = "Silence", TIMEOUT_GRACE_S
                message = f"it gave no sign of life for {silence_timeout_s:g} s (limits.silence_timeout_s)."
            else:
                continue
            ending = _end(job, grace_s, interrupts)
            if ending.cause:
                message = f"{message} {ending.cause[:1].upper()}{ending.cause[1:]}."
            return Ended(why=why, message=message, ending=ending, started_at=started_at)
        return Ended(why="Crash", ending=ending, started_at=started_at)
    except BaseException:
        job.stop(0)  # whatever went wrong on this side, the job must not go on
        raise
    finally:
        for event in events.new():
            tell(event)


def _end(job: RunningJob, grace_s: float, interrupts: Interrupts) -> Exit:
    try:
        with interrupts.urgent():
            return job.stop(grace_s)
    except AtOnce:
        return job.stop(0)
