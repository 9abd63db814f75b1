"""Studies where nothing is installed that starts workers warm."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

TWO = {"testbed.batch_size": [1, 2]}
MISSING = "llem-warm, which forks workers, is not installed here (pip install 'llem[warm]')"


@pytest.mark.parametrize("asked", [True, False], ids=["asked", "not-asked"])
def test_a_study_says_once_that_workers_are_started_afresh_and_each_result_says_why(
    llem: Any, study: Any, tmp_path: Path, hidden: Callable[..., Mapping[str, str]], asked: bool
) -> None:
    options = [] if asked else ["--no-warm-start"]
    done = llem("run", study(sweep=TWO), *options, env=hidden("llem-warm"))
    assert done.returncode == 0
    assert done.stderr.count(f"each worker is started afresh: {MISSING}\n") == asked
    starts = [
        json.loads(path.read_text())["environment"]["start"]
        for path in tmp_path.glob("results/*/experiments/*/result.json")
    ]
    assert starts == [{"warm": False, "why_not": MISSING if asked else None}] * 2
