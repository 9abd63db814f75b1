"""What a running study says: a live line on a terminal, plain lines elsewhere, and the worker's log where it is asked for."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

from llem.cli.table import duration, number, one_line
from llem.results.job_directory import LOG

REDRAW_S = 0.2
"""The live line is drawn at most so often: drawing takes power too."""

LOG_POLL_S = 0.5

LOGS_AT_ONCE = 8
"""Of more experiments at once neither logs nor phases are printed: nobody could read them."""


class TextReporter:
    """Writes a study's progress to a stream, for people. The last line stays alive where the stream is a terminal.

    Args:
        stream: where to write; standard error by default, so that standard output holds results only.
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
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty() and not quiet
        self._listens = sys.stdin is not None and sys.stdin.isatty()
        self._quiet = quiet
        self._verbose = verbose and not quiet
        self._estimate_s = estimate_s
        self._lock = threading.Lock()
        self._drawn_at = 0.0
        self._line = ""
        self._total = 0
        self._finished = 0
        self._began = time.monotonic()
        self._running: dict[int, _Running] = {}
        self._shown: _Running | None = None
        self._left: tuple[float, float] | None = None
        self._said: set[str] = set()
        self._gap_shown = False

    # What the study loop calls.

    def study_started(self, directory: Path, total: int) -> None:
        self._total = total
        self._began = time.monotonic()
        self._say(f"{total} experiment{'s' * (total != 1)}, results in {directory}")

    def experiment_started(self, number: int, label: str, job_dir: Path) -> None:
        self._end_gap()
        this = self._shown = self._running[number] = _Running(f"[{number}/{self._total}] {label}".rstrip())
        if self._verbose and len(self._running) <= LOGS_AT_ONCE:
            this.tail = LogTail(job_dir / LOG, self._say)
        if self._live:
            self._draw(now=True)
        else:
            self._say(this.label)

    def event(self, number: int, event: Mapping[str, Any]) -> None:
        this = self._running[number]
        kind = event.get("event")
        if kind == "phase" and event.get("state") == "start":
            self._shown, this.phase, this.progress = this, str(event.get("name")), {}
            if self._live:
                self._draw(now=True)
            elif len(self._running) <= LOGS_AT_ONCE:
                self._say(f"{this.label}: {this.phase.replace('_', ' ')}")
        elif kind == "progress":
            this.progress = event
            if self._live and self._shown is this:
                self._draw()
        elif kind == "message":
            level = event.get("level")
            self.message("warning" if level == "warning" else "info", str(event.get("text", "")))

    def experiment_finished(self, number: int, result: Mapping[str, Any]) -> None:
        this = self._running.pop(number)
        this.close()
        self._finished += 1
        if self._shown is this:
            self._shown = next(reversed(self._running.values()), None)
        if result.get("status") == "done":
            self._say(f"{this.label}: done{_figures(result)}")
        else:
            failure = result.get("failure") or {}
            phase = f" in {failure['phase']}" if failure.get("phase") else ""
            text = f"{failure.get('type', 'unknown')}{phase}: {one_line(str(failure.get('message', '')))}"
            self._say(f"{this.label}: failed: {text}", always=True)

    def time_left(self, seconds: float | None) -> None:
        self._left = None if seconds is None else (seconds, time.monotonic())

    def gap(self, remaining_s: float, why: str) -> None:
        text = f"pause of {duration(remaining_s)} ({why})"
        if self._live and self._running:
            return  # something else runs meanwhile, and is worth the line
        if self._live:
            hint = "; Enter skips it" if self._listens else ""
            self._draw_text(f"{text}{hint}", now=True)
        elif not self._gap_shown:
            self._say(text)
        self._gap_shown = True

    def skip_gap(self) -> bool:
        if not self._listens or not _in_foreground():
            return False
        if not self._gap_shown:
            # What was typed while an experiment ran is not meant for this pause.
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
            return False
        if not select.select([sys.stdin], [], [], 0)[0]:
            return False
        if not os.read(sys.stdin.fileno(), 4096):
            self._listens = False
            return False
        return True

    def message(self, level: Literal["info", "warning", "error"], text: str) -> None:
        if text in self._said:
            return
        self._said.add(text)
        self._say(text if level == "info" else f"{level}: {text}", always=level == "error")

    def study_finished(self, state: str, counts: Mapping[str, int]) -> None:
        self._end_gap()
        for this in self._running.values():
            this.close()
        what = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if count)
        took = duration(time.monotonic() - self._began)
        self._say(f"{state}: {what or 'nothing ran'}, in {took}", always=True)

    # How it is written.

    def _end_gap(self) -> None:
        if self._gap_shown and self._live:
            self._wipe()
        self._gap_shown = False

    def _say(self, text: str, *, always: bool = False) -> None:
        if self._quiet and not always:
            return
        with self._lock:
            self._erase()
            print(text, file=self._stream, flush=True)
            self._put()

    def _draw(self, *, now: bool = False) -> None:
        this, parts = self._shown, []
        if len(self._running) > 1:
            parts.append(f"{len(self._running)} running, {self._finished}/{self._total} ended")
        if this is not None:
            parts += [this.label, this.phase.replace("_", " ") + _share(this.progress)]
            for key, unit in (("tokens_per_s", "tokens/s"), ("power_w", "W")):
                if (found := this.progress.get(key)) is not None:
                    parts.append(f"{number(float(found))} {unit}")
        if (left := self._left_s()) is not None:
            parts.append(f"{duration(left)} left")
        self._draw_text("  ".join(parts), now=now)

    def _draw_text(self, text: str, *, now: bool) -> None:
        if not now and time.monotonic() - self._drawn_at < REDRAW_S:
            return
        width = _columns(self._stream) - 1
        with self._lock:
            self._erase()
            self._line = text if len(text) <= width else text[: width - 1] + "…"
            self._put()
            self._drawn_at = time.monotonic()

    def _wipe(self) -> None:
        with self._lock:
            self._erase()
            self._line = ""
            self._stream.flush()

    def _erase(self) -> None:
        if self._line:
            self._stream.write("\r\x1b[K")

    def _put(self) -> None:
        if self._live and self._line:
            self._stream.write(self._line)
            self._stream.flush()

    def _left_s(self) -> float | None:
        if self._left is not None:
            left_s, told_at = self._left
            return max(0.0, left_s - (time.monotonic() - told_at))
        passed = time.monotonic() - self._began
        return max(0.0, self._estimate_s - passed) if self._estimate_s is not None else None


@dataclass(eq=False)
class _Running:
    """An experiment under way: what is shown of it."""

    label: str
    phase: str = "start"
    progress: Mapping[str, Any] = field(default_factory=dict)
    tail: LogTail | None = None

    def close(self) -> None:
        """Its log ends."""
        if self.tail is not None:
            self.tail.close()


class LogTail:
    """Follows a worker's log in a thread and hands each whole line on."""

    def __init__(self, path: Path, say: Any) -> None:
        self._path = path
        self._say = say
        self._offset = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="log-tail", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hand on what is left, and end."""
        self._done.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._done.wait(LOG_POLL_S):
            self._read(final=False)
        self._read(final=True)

    def _read(self, *, final: bool) -> None:
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                data = stream.read()
        except OSError:
            return
        whole, newline, _ = data.rpartition(b"\n")
        if final:
            whole, newline = data, b""
        self._offset += len(whole) + len(newline)
        for line in whole.decode("utf-8", errors="replace").splitlines():
            self._say(f"  | {line}")


def _columns(stream: TextIO) -> int:
    """How wide the terminal is that the line is drawn on; standard output may be elsewhere, and COLUMNS out of date."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _in_foreground() -> bool:
    """Whether the terminal's input is ours; a job in the background would be stopped for reading it."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        return False


def _share(progress: Mapping[str, Any]) -> str:
    done, total = progress.get("done"), progress.get("total")
    if done is None:
        return ""
    unit = f" {progress['unit']}" if progress.get("unit") else ""
    return f" {done}/{total}{unit}" if total is not None else f" {done}{unit}"


def _figures(result: Mapping[str, Any]) -> str:
    """The few figures of a finished experiment that are worth a line."""
    from llem.cli.present import energy_text

    parts = []
    if (speed := (result.get("throughput") or {}).get("tokens_per_s")) is not None:
        parts.append(f"{number(speed)} tokens/s")
    headline = (result.get("energy") or {}).get("headline")
    if headline and headline.get("j_per_output_token") is not None:
        j = number(headline["j_per_output_token"])
        parts.append(energy_text(j, "J per token", headline["scope"], headline["method"], headline["unreliable"]))
    return ": " + ", ".join(parts) if parts else ""
