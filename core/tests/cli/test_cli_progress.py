"""The words of a running study where there is no terminal: plain lines."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

TWO = {"testbed.batch_size": [1, 2]}


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
