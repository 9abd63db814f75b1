"""llem in a real pseudo-terminal where no view is installed: plain lines, and Enter ends a pause all the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hidden_distributions import hide
from terminals import Terminal

pytestmark = pytest.mark.process


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Terminal]:
    """Starts llem in a terminal that could do everything."""
    site = hide(tmp_path / "without-view", "llem-view")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ["PYTHONPATH"]]))
    monkeypatch.setenv("TERM", "xterm-256color")
    return lambda *arguments: Terminal([str(a) for a in arguments], tmp_path, 110)


def test_a_terminal_gets_plain_lines_and_enter_ends_a_pause(terminal: Callable[..., Terminal], study: Any) -> None:
    at = terminal("run", study(sweep={"testbed.batch_size": [1, 2]}, execution={"experiment_gap_s": 3600}))
    try:
        at.until(r"^\[1/2\] testbed\.batch_size=1: window$", r"^pause of (1 h|59 min \d+ s) \(between experiments\)")
        at.type(b"\n")
        assert at.end() == 0
    finally:
        at.close()
    assert "\x1b" not in at.seen
    assert "complete: 2 done, in " in at.screen
