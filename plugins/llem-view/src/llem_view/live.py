"""The reporter that draws: keeps what a study tells, and has it shown below the lines that are printed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TextIO

from llem.plugin_api import TextReporter, end_of
from llem_view.frame import Style, frame
from llem_view.notebook import NotebookView, is_notebook
from llem_view.screen import Screen
from llem_view.state import Running, StudyState
from llem_view.time_left import TimeLeft


def open_view(stream: TextIO | None, *, verbose: bool, estimate_s: float | None) -> LiveReporter | None:
    """The view on this stream, by default a notebook's output or standard error; None where it cannot live."""
    in_notebook = stream is None and is_notebook()
    stream = stream or (sys.stdout if in_notebook else sys.stderr)
    if not in_notebook and not lives(stream):
        return None
    return LiveReporter(stream, in_notebook=in_notebook, verbose=verbose, estimate_s=estimate_s)


class LiveReporter:
    """A view of a study, and the lines above it.

    The view is cleared away when the study has finished, or by leaving the `with` that this was entered by.

    Args:
        stream: a terminal, or what a notebook prints to.
        in_notebook: the view is an output of the notebook's cell.
        verbose: the worker's log lines too, as they come.
        estimate_s: how long the whole study is expected to take, until finished experiments tell better.
    """

    def __init__(self, stream: TextIO, *, in_notebook: bool, verbose: bool, estimate_s: float | None) -> None:
        self._stream, self._in_notebook = stream, in_notebook
        self._style = Style(colours=False) if in_notebook else _style(stream)
        self._state = StudyState(time.monotonic(), estimate_s=estimate_s)
        self._time_left: TimeLeft | None = None
        self._screen: Screen | NotebookView | None = None
        self._lines = TextReporter(verbose=verbose, above=self)

    def __enter__(self) -> LiveReporter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Clear the view away, and end what follows logs. Harmless when repeated."""
        self._lines.close()
        if self._screen is not None:
            self._screen.close()
            self._screen = None

    # What the study loop calls.

    def study_started(self, directory: Path, total: int, *, at_most: bool = False) -> None:
        state = self._state
        state.name = directory.name.rpartition("-")[0] or directory.name
        state.total, state.began_s = total, time.monotonic()
        self._screen = NotebookView(self._view) if self._in_notebook else Screen(_terminal(self._stream), self._view)
        self._lines.study_started(directory, total, at_most=at_most)

    def ahead(self, total: int, cycles: int) -> None:
        self._time_left = TimeLeft(total, cycles, time.monotonic())

    def spared(self, label: str) -> None:
        if self._time_left is not None:
            self._time_left.dropped(label)

    def experiment_started(self, number: int, label: str, job_dir: Path) -> None:
        now_s = time.monotonic()
        self._state.pause = None
        self._state.running[number] = Running(number, label, now_s)
        if self._time_left is not None:
            self._time_left.started(number, label, now_s)
            self._learn(now_s)
        self._lines.experiment_started(number, label, job_dir)
        self._draw()

    def event(self, number: int, event: Mapping[str, Any]) -> None:
        is_new = self._state.running[number].take(event, time.monotonic())
        self._lines.event(number, event)
        self._draw(now=is_new)

    def experiment_finished(self, number: int, result: Mapping[str, Any]) -> None:
        state, end = self._state, end_of(result)
        del state.running[number]
        state.finished += end != "withdrawn"
        state.interrupted += end == "interrupted"
        state.failed += end == "failed"
        if self._time_left is not None and end == "withdrawn":
            self._time_left.withdrawn(number)
        elif self._time_left is not None:
            now_s = time.monotonic()
            self._time_left.ended(number, now_s)
            self._learn(now_s)
        self._lines.experiment_finished(number, result)

    def gap(self, remaining_s: float, why: str) -> None:
        is_new = self._state.pause is None
        self._state.pause = (remaining_s, why, time.monotonic())
        self._lines.gap(remaining_s, why)
        self._draw(now=is_new)

    def skip_gap(self) -> bool:
        return self._lines.skip_gap()

    def message(self, level: Literal["info", "warning", "error"], text: str) -> None:
        self._lines.message(level, text)

    def study_finished(self, state: str, counts: Mapping[str, int]) -> None:
        self._lines.study_finished(state, counts)
        self.close()

    # What the lines above it need.

    def say(self, text: str) -> None:
        """Print a line above the view, or alone where it is not open."""
        if self._screen is not None:
            self._screen.say(text)
        else:
            print(text, file=self._stream, flush=True)

    def typed(self, newlines: int) -> None:
        """Take note that the user has typed so many lines."""
        if self._screen is not None:
            self._screen.echoed(newlines)

    def _learn(self, now_s: float) -> None:
        """Take the time left anew from what has finished."""
        seconds = self._time_left.seconds(now_s) if self._time_left is not None else None
        self._state.left = None if seconds is None else (seconds, now_s)

    def _draw(self, *, now: bool = True) -> None:
        if self._screen is not None:
            (self._screen.draw if now else self._screen.changed)()

    def _view(self, width: int, height: int) -> list[str]:
        hint = "; Enter skips it" if self._lines.keyboard.listens else ""
        return frame(self._state, time.monotonic(), width, height, self._style, hint=hint)


def lives(stream: TextIO) -> bool:
    """Tell whether this is a terminal that can do more than print lines. A notebook's streams say that they are."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not is_notebook()


def _terminal(stream: TextIO) -> TextIO:
    """The terminal itself, for the view, which moves the cursor: the command line's streams let no such thing through."""
    beneath: TextIO = getattr(stream, "beneath", stream)
    return beneath


def _style(stream: TextIO) -> Style:
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    return Style(colours=not os.environ.get("NO_COLOR"), unicode=encoding.startswith("utf"))
