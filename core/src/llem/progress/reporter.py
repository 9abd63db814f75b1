"""Takes what a study tells, and writes it for people."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO

from llem.progress.frame import Style, frame
from llem.progress.keyboard import Keyboard
from llem.progress.log_tail import LogTail
from llem.progress.notebook import NotebookView, is_notebook
from llem.progress.screen import Screen
from llem.progress.state import Running, StudyState
from llem.results.job_directory import INTERRUPTED, LOG
from llem.results.text import PARAGRAPH, duration, energy_text, number, one_line, plain

LOGS_AT_ONCE = 8
"""Of more experiments at once neither logs nor phases are printed: nobody could read them."""


class TextReporter:
    """Writes a study's progress to a stream: plain lines, and on a terminal or in a notebook a view below them that lives.

    The view is cleared away when the study has finished, or by leaving the `with` that this was entered by: to be used where
    an error may end the study early.

    Args:
        stream: where to write; by default a notebook's output, else standard error: standard output holds results only.
        quiet: only errors, failures and the end.
        verbose: the worker's log lines too, as they come.
        estimate_s: how long the whole study is expected to take, until finished experiments tell better.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        quiet: bool = False,
        verbose: bool = False,
        estimate_s: float | None = None,
    ) -> None:
        self._is_notebook = stream is None and is_notebook()
        self._stream = stream or (sys.stdout if self._is_notebook else sys.stderr)
        self._quiet = quiet
        self._verbose = verbose and not quiet
        self._lives = not quiet and (self._is_notebook or lives(self._stream))
        self._style = Style(colours=False) if self._is_notebook else _style(self._stream)
        self._keyboard = Keyboard()
        self._state = StudyState(time.monotonic(), estimate_s=estimate_s)
        self._screen: Screen | NotebookView | None = None
        self._tails: dict[int, LogTail] = {}
        self._said: set[str] = set()

    def __enter__(self) -> TextReporter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Clear the view away, and end what follows logs. Harmless when repeated."""
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()
        if self._screen is not None:
            self._screen.close()
            self._screen = None

    # What the study loop calls.

    def study_started(self, directory: Path, total: int, *, at_most: bool = False) -> None:
        state = self._state
        state.name = directory.name.rpartition("-")[0] or directory.name
        state.total, state.began_s = total, time.monotonic()
        if self._lives:
            self._screen = (
                NotebookView(self._view) if self._is_notebook else Screen(_terminal(self._stream), self._view)
            )
        self._say(f"{'up to ' * at_most}{total} experiment{'s' * (total != 1)}, results in {directory}")

    def experiment_started(self, number: int, label: str, job_dir: Path) -> None:
        self._state.pause = None
        this = self._state.running[number] = Running(number, label, time.monotonic())
        if self._verbose and len(self._state.running) <= LOGS_AT_ONCE:
            self._tails[number] = LogTail(job_dir / LOG, self._say)
        self._show(self._title(this))

    def event(self, number: int, event: Mapping[str, Any]) -> None:
        this, kind = self._state.running[number], event.get("event")
        is_new = this.take(event, time.monotonic())
        if self._screen is not None:
            self._screen.changed()
        if is_new:
            self._show(f"{self._title(this)}: {this.phase}" if len(self._state.running) <= LOGS_AT_ONCE else "")
        elif kind == "message":
            level = event.get("level")
            self.message("warning" if level == "warning" else "info", str(event.get("text", "")))

    def experiment_finished(self, number: int, result: Mapping[str, Any]) -> None:
        this = self._state.running.pop(number)
        if (tail := self._tails.pop(number, None)) is not None:
            tail.close()
        self._state.finished += (result.get("failure") or {}).get("type") != "Withdrawn"  # that one never began
        if result.get("status") == "done":
            self._say(f"{self._title(this)}: done{_figures(result)}")
        elif (failure := result.get("failure") or {}).get("type") == INTERRUPTED:
            self._state.interrupted += 1
            self._say(f"{self._title(this)}: interrupted", always=True)
        elif failure.get("type") == "Withdrawn":
            self._say(f"{self._title(this)}: taken out of the queue")
        else:
            self._state.failed += 1
            phase = f" in {failure['phase']}" if failure.get("phase") else ""
            text = f"{failure.get('type', 'unknown')}{phase}: {one_line(str(failure.get('message', '')), PARAGRAPH)}"
            self._say(f"{self._title(this)}: failed: {text}", always=True)

    def time_left(self, seconds: float | None) -> None:
        self._state.left = None if seconds is None else (seconds, time.monotonic())

    def gap(self, remaining_s: float, why: str) -> None:
        is_new = self._state.pause is None
        self._state.pause = (remaining_s, why, time.monotonic())
        if is_new:
            self._show(f"pause of {duration(remaining_s)} ({why})")
        elif self._screen is not None:
            self._screen.changed()

    def skip_gap(self) -> bool:
        if self._state.pause is None:
            self._keyboard.forget()
            return False
        typed = self._keyboard.lines()
        if typed and self._screen is not None:
            self._screen.echoed(typed)
        return typed > 0

    def message(self, level: Literal["info", "warning", "error"], text: str) -> None:
        if text in self._said:
            return
        self._said.add(text)
        self._say(text if level == "info" else f"{level}: {text}", always=level == "error")

    def study_finished(self, state: str, counts: Mapping[str, int]) -> None:
        what = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if count)
        took = duration(time.monotonic() - self._state.began_s)
        self._say(f"{state}: {what or 'nothing ran'}, in {took}", always=True)
        self.close()

    # How it is written.

    def _title(self, this: Running) -> str:
        return f"[{this.number}/{self._state.total}] {this.label}".rstrip()

    def _show(self, text: str) -> None:
        """Show what the view shows by itself, and print it as a line where there is no view."""
        if self._screen is not None:
            self._screen.draw()
        elif text:
            self._say(text)

    def _say(self, text: str, *, always: bool = False) -> None:
        if self._quiet and not always:
            return
        text = plain(text)
        if self._screen is not None:
            self._screen.say(text)
        else:
            print(text, file=self._stream, flush=True)

    def _view(self, width: int, height: int) -> list[str]:
        hint = "; Enter skips it" if self._keyboard.listens else ""
        return frame(self._state, time.monotonic(), width, height, self._style, hint=hint)


def _terminal(stream: TextIO) -> TextIO:
    """The terminal itself, for the view, which moves the cursor: the command line's streams let no such thing through."""
    beneath: TextIO = getattr(stream, "beneath", stream)
    return beneath


def lives(stream: TextIO) -> bool:
    """Tell whether this is a terminal that can do more than print lines. A notebook's streams say that they are."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not is_notebook()


def _style(stream: TextIO) -> Style:
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    return Style(colours=not os.environ.get("NO_COLOR"), unicode=encoding.startswith("utf"))


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
