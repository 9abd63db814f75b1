"""From an exception to the failure that a result carries: a sentence for people, the details left to the log."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from llem.errors import LlemError
from llem.files import open_file
from llem.results.models import Failure
from llem.results.scrub import scrub

TAIL_LINES = 50
TAIL_BYTES = 16_384
"""Of the end of `worker.log` so much stands in a failed result."""

MESSAGE_LENGTH = 500
"""The longest message taken from an exception that is not llem's own."""


class Interrupted(KeyboardInterrupt):
    """The worker was asked to end: SIGTERM from its runner, or Ctrl+C."""


def failure_of(error: BaseException, phase: str, log: Path) -> Failure:
    """The record of an exception in a result; its traceback goes to stderr, which the runner keeps as `worker.log`.

    Args:
        error: what ended the experiment.
        phase: where it happened.
        log: the worker's log; its tail is taken where it exists.
    """
    if not isinstance(error, KeyboardInterrupt):
        sys.stderr.write(scrub("".join(traceback.format_exception(error))))
    sys.stdout.flush()
    sys.stderr.flush()
    return Failure(type=type_of(error), message=message_of(error), phase=phase, log_tail=scrub(log_tail(log)))


def attempt(what: str, action: Callable[[], object]) -> Exception | None:
    """Do something whose failure must not hide what happened before it.

    Args:
        what: for the log, such as `closing the engine`.
        action: what to do.

    Returns:
        The exception that it raised, whose traceback is then on stderr, or None.
    """
    try:
        action()
    except Exception as error:  # noqa: BLE001 - clean-up of somebody else's code
        sys.stderr.write(f"{what} failed:\n" + scrub("".join(traceback.format_exception(error))))
        return error
    return None


def type_of(error: BaseException) -> str:
    """The class of the error; `Interrupted` for every request to end."""
    return "Interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__


def message_of(error: BaseException) -> str:
    """An LlemError's whole paragraph; of anything else the first line, without secrets."""
    if isinstance(error, LlemError):
        return scrub(str(error))
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "it was interrupted from the keyboard."
    if isinstance(error, SystemExit):
        return f"the worker's code asked to exit with {error.code!r} before there was a result."
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return "out of host memory." if isinstance(error, MemoryError) else "it gave no message."
    return scrub(lines[0][:MESSAGE_LENGTH])


def log_tail(path: Path) -> str:
    """The last lines of a log: at most 50 of them and 16 KiB. Empty where there is no log."""
    try:
        with open_file(path) as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - TAIL_BYTES))
            data = stream.read(TAIL_BYTES)
    except OSError:
        return ""
    text = data.decode("utf-8", errors="replace")
    # A progress bar rewrites its line by carriage returns: only what it showed last counts as the line.
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return "\n".join(lines[-TAIL_LINES - 1 :]).strip("\n")
