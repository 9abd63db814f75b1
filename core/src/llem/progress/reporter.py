"""Takes what a study tells, and prints it for people, a line for each event."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, TextIO

from llem.progress.keyboard import Keyboard
from llem.progress.log_tail import LogTail
from llem.results.job_directory import INTERRUPTED, LOG
from llem.results.text import PARAGRAPH, duration, energy_text, number, one_line, plain

LOGS_AT_ONCE = 8
"""Of more experiments at once neither logs nor phases are printed: nobody could read them."""

FIRST_PHASE = "start"
"""The phase of an experiment that has told none yet."""


class Above(Protocol):
    """Takes the lines that stand above a live view, which shows starts, phases and pauses by itself."""

    def say(self, text: str) -> None:
        """Print a line above the view."""

    def typed(self, newlines: int) -> None:
        """Take note that the user has typed so many lines, which the terminal shows."""


class TextReporter:
    """Prints a study's progress to a stream. To be closed, or left by `with`, where an error may end the study early.

    Args:
        stream: where to print; by default standard error: standard output holds results only.
        quiet: only errors, failures and the end.
        verbose: the worker's log lines too, as they come.
        above: takes the lines instead of the stream, those that a live view does not show by itself.

    Attributes:
        keyboard: hears whether the user wants to end a pause.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        quiet: bool = False,
        verbose: bool = False,
        above: Above | None = None,
    ) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._verbose = verbose and not quiet
        self._above = above
        self.keyboard = Keyboard()
        self._began_s = time.monotonic()
        self._total = 0
        self._titles: dict[int, str] = {}
        self._phases: dict[int, str] = {}
        self._in_pause = False
        self._tails: dict[int, LogTail] = {}
        self._said: set[str] = set()

    def __enter__(self) -> TextReporter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End what follows logs. Harmless when repeated."""
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()

    # What the study loop calls.

    def study_started(self, directory: Path, total: int, *, at_most: bool = False) -> None:
        self._total, self._began_s = total, time.monotonic()
        self._say(f"{'up to ' * at_most}{total} experiment{'s' * (total != 1)}, results in {directory}")

    def experiment_started(self, number: int, label: str, job_dir: Path) -> None:
        self._in_pause = False
        title = self._titles[number] = f"[{number}/{self._total}] {label}".rstrip()
        self._phases[number] = FIRST_PHASE
        if self._verbose and len(self._titles) <= LOGS_AT_ONCE:
            self._tails[number] = LogTail(job_dir / LOG, self._say)
        self._show(title)

    def event(self, number: int, event: Mapping[str, Any]) -> None:
        before = self._phases[number]
        phase = self._phases[number] = phase_after(event, before)
        if phase != before and len(self._titles) <= LOGS_AT_ONCE:
            self._show(f"{self._titles[number]}: {phase}")
        elif event.get("event") == "message":
            level = event.get("level")
            self.message("warning" if level == "warning" else "info", str(event.get("text", "")))

    def experiment_finished(self, number: int, result: Mapping[str, Any]) -> None:
        title = self._titles.pop(number)
        del self._phases[number]
        if (tail := self._tails.pop(number, None)) is not None:
            tail.close()
        match end_of(result):
            case "done":
                self._say(f"{title}: done{_figures(result)}")
            case "interrupted":
                self._say(f"{title}: interrupted", always=True)
            case "withdrawn":
                self._say(f"{title}: taken out of the queue")
            case "failed":
                failure = result.get("failure") or {}
                phase = f" in {failure['phase']}" if failure.get("phase") else ""
                message = one_line(str(failure.get("message", "")), PARAGRAPH)
                self._say(f"{title}: failed: {failure.get('type', 'unknown')}{phase}: {message}", always=True)

    def gap(self, remaining_s: float, why: str) -> None:
        if not self._in_pause:
            self._in_pause = True
            self._show(f"pause of {duration(remaining_s)} ({why})")

    def skip_gap(self) -> bool:
        if not self._in_pause:
            self.keyboard.forget()
            return False
        typed = self.keyboard.lines()
        if typed and self._above is not None:
            self._above.typed(typed)
        return typed > 0

    def message(self, level: Literal["info", "warning", "error"], text: str) -> None:
        if text in self._said:
            return
        self._said.add(text)
        self._say(text if level == "info" else f"{level}: {text}", always=level == "error")

    def study_finished(self, state: str, counts: Mapping[str, int]) -> None:
        what = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if count)
        took = duration(time.monotonic() - self._began_s)
        self._say(f"{state}: {what or 'nothing ran'}, in {took}", always=True)
        self.close()

    # How it is written.

    def _show(self, text: str) -> None:
        """Print what a live view would show by itself."""
        if self._above is None:
            self._say(text)

    def _say(self, text: str, *, always: bool = False) -> None:
        if self._quiet and not always:
            return
        if self._above is not None:
            self._above.say(plain(text))
        else:
            print(plain(text), file=self._stream, flush=True)


def phase_after(event: Mapping[str, Any], phase: str) -> str:
    """The name of what an experiment does from this event on: of its phase, or of the part of it that makes progress."""
    if event.get("event") == "phase" and event.get("state") == "start":
        return str(event.get("name")).replace("_", " ")
    if event.get("event") == "progress":
        return str(event.get("what") or phase)
    return phase


def end_of(result: Mapping[str, Any]) -> Literal["done", "interrupted", "withdrawn", "failed"]:
    """The way in which an experiment ended. One that was taken out of a runner's queue never began."""
    if result.get("status") == "done":
        return "done"
    kind = (result.get("failure") or {}).get("type")
    return "interrupted" if kind == INTERRUPTED else "withdrawn" if kind == "Withdrawn" else "failed"


def _figures(result: Mapping[str, Any]) -> str:
    """The few figures of a finished experiment that are worth a line."""
    parts = []
    if (speed := (result.get("throughput") or {}).get("tokens_per_s")) is not None:
        parts.append(f"{number(speed)} tokens/s")
    headline = (result.get("energy") or {}).get("headline")
    if headline and headline.get("j_per_output_token") is not None:
        j = number(headline["j_per_output_token"])
        parts.append(energy_text(j, "J per token", headline["scope"], headline["method"], headline["unreliable"]))
    return ": " + ", ".join(parts) if parts else ""
