"""A whole study whose workers are forked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from plain_environment import plain_environment
from quick_studies import quick_study

pytestmark = pytest.mark.process


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "afresh"])
def test_each_result_says_how_its_worker_was_started(tmp_path: Path, warm: bool) -> None:
    path = quick_study(tmp_path, sweep={"testbed.batch_size": [1, 2]}, execution={"warm_start": warm})
    command = [sys.executable, "-m", "llem", "run", str(path)]
    done = subprocess.run(
        command, cwd=tmp_path, env=plain_environment(), capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "started afresh" not in done.stderr
    starts = [
        json.loads(file.read_text())["environment"]["start"]
        for file in tmp_path.glob("results/*/experiments/*/result.json")
    ]
    assert starts == [{"warm": warm, "why_not": None}] * 2
