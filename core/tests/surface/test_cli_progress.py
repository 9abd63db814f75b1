"""What a running study says: a live line and skippable gaps on a terminal, plain lines elsewhere."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

TWO = {"testbed.batch_size": [1, 2]}


class Terminal:
    """A real pseudo-terminal with llem in it."""

    def __init__(self, arguments: list[str], folder: Path, columns: int = 120) -> None:
        self._pid, self._file = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execv(sys.executable, [sys.executable, "-m", "llem", *arguments])
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.seen = ""

    def until(self, pattern: str) -> None:
        """Read until this was printed."""
        end = time.monotonic() + 60
        while not re.search(pattern, self.seen):
            assert self._read(), f"llem ended without {pattern}: {self.seen}"
            assert time.monotonic() < end, self.seen

    def type(self, text: bytes) -> None:
        os.write(self._file, text)

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        if self._pid:
            os.kill(self._pid, 9)
            os.waitpid(self._pid, 0)
        os.close(self._file)

    def _read(self) -> bool:
        if not select.select([self._file], [], [], 60)[0]:
            raise AssertionError(f"llem is silent: {self.seen}")
        try:
            data = os.read(self._file, 65536)
        except OSError:  # Linux tells so that the other side has closed
            return False
        self.seen += data.decode()
        return bool(data)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*arguments: Any, columns: int = 120) -> Terminal:
        opened.append(Terminal([str(a) for a in arguments], tmp_path, columns))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_on_a_terminal_the_last_line_lives(terminal: Callable[..., Terminal], study: Any) -> None:
    at = terminal("run", study(sweep=TWO, testbed={"token_s": 0.3}))
    assert at.end() == 0
    assert "\r\x1b[K" in at.seen
    lines = re.findall(r"\[1/2\] testbed\.batch_size=1  window[^\r\n\x1b]*", at.seen)
    assert lines
    assert any("left" in line for line in lines)
    assert "[2/2] testbed.batch_size=2: done: " in at.seen


def test_the_live_line_never_wraps(terminal: Callable[..., Terminal], study: Any) -> None:
    at = terminal("run", study(testbed={"token_s": 0.2}), columns=30)
    assert at.end() == 0
    drawn = [
        line
        for part in at.seen.split("\r\x1b[K")
        if (line := part.split("\r\n")[0]).startswith("[1/1]") and ": " not in line
    ]
    assert drawn
    assert max(map(len, drawn)) < 30


def test_enter_skips_a_gap_and_what_was_typed_before_does_not(terminal: Callable[..., Terminal], study: Any) -> None:
    points = {"testbed.batch_size": [1, 2, 3]}
    at = terminal("run", study(sweep=points, execution={"experiment_gap_s": 3600}))
    at.until(r"\[1/3\].*window")
    at.type(b"\n")
    for _ in range(2):
        at.seen = ""
        at.until(r"pause of (1 h|59 min \d+ s) \(between experiments\); Enter skips it")
        at.until(r"59 min 5\d s")
        at.type(b"\n")
    assert at.end() == 0
    assert "[3/3] testbed.batch_size=3: done" in at.seen


def test_control_c_on_a_terminal_interrupts_the_study(
    terminal: Callable[..., Terminal], study: Any, read: Any, tmp_path: Path
) -> None:
    at = terminal("run", study(testbed={"token_s": 600}))
    at.until("window")
    at.type(b"\x03")
    assert at.end() == 130
    assert "Traceback" not in at.seen
    assert read.manifest(read.only_study(tmp_path / "results"))["state"] == "interrupted"


def test_elsewhere_there_are_plain_lines(llem: Any, study: Any) -> None:
    done = llem("run", study(sweep=TWO))
    assert done.returncode == 0
    assert "\r" not in done.stderr + done.stdout
    assert "\x1b" not in done.stderr + done.stdout
    assert "[1/2] testbed.batch_size=1: window\n" in done.stderr
    assert re.search(r"^\[2/2\] testbed\.batch_size=2: done: [\d,.]+ tokens/s", done.stderr, re.MULTILINE)
    assert re.search(r"^complete: 2 done, in ", done.stderr, re.MULTILINE)


def test_which_meters_are_read_and_why_not_the_others_is_said_once(llem: Any, study: Any) -> None:
    done = llem("run", study(sweep=TWO))
    for sampler in ("nvml", "rapl", "estimate"):
        told = [line for line in done.stderr.splitlines() if re.match(rf"(no )?energy from {sampler}:", line)]
        assert len(told) == 1, (sampler, done.stderr)


def test_verbose_shows_the_workers_log(llem: Any, study: Any) -> None:
    path = study(testbed={"fail": "raise"})
    plain, verbose = llem("run", path, "--quiet").stderr, verbose_run(path)
    assert "  | " not in plain
    assert re.search(r"^  \| .*the testbed was told to raise", verbose, re.MULTILINE)


def verbose_run(path: Path) -> str:
    """A worker's traceback is meant to show here, so this does not go through the fixture that forbids one."""
    command = [sys.executable, "-m", "llem", "run", str(path), "-v"]
    return subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False).stderr


def test_quiet_says_only_errors_and_the_end(llem: Any, study: Any) -> None:
    done = llem("run", study(sweep=TWO), "--quiet")
    assert re.fullmatch(r"complete: 2 done, in \d+ s\n", done.stderr)
    failed = llem("run", study(testbed={"fail": "exit"}), "-q")
    assert re.fullmatch(r"\[1/1\] .*: failed: Crash in window: .*\ncomplete: 1 failed, in \d+ s\n", failed.stderr)


@pytest.mark.parametrize("fail", ["no", "exit"])
def test_json_prints_exactly_one_document_on_standard_output(llem: Any, study: Any, fail: str) -> None:
    done = llem("run", study(sweep=TWO, testbed={"fail": fail}), "--json")
    document = json.loads(done.stdout)
    assert document["exit_code"] == done.returncode == (0 if fail == "no" else 1)
    assert document["counts"]["experiments"] == 2
    assert len(document["experiments"]) == 2
    speed = document["experiments"][0]["figures"]["tokens_per_s"]
    assert (speed is None) == (fail == "exit")
    assert json.loads(llem("show", document["directory"], "--json").stdout)["experiments"] == document["experiments"]
