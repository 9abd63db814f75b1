"""Questions to a server that the study itself starts, by the backend openai: the same prompts, answers and score as of any engine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plain_environment import plain_environment

pytestmark = [pytest.mark.process, pytest.mark.engine, pytest.mark.timeout(600)]

WriteTask = Callable[..., Path]
SERVER = Path(__file__).parents[2] / "llem-openai" / "tests" / "server_program.py"


@pytest.mark.parametrize("template", [False, True])
def test_a_served_model_is_asked_and_scored(tmp_path: Path, write_task: WriteTask, template: bool) -> None:
    # The server says " w0 w1 w2 w3" of at most four tokens, and knows nothing of the task's end.
    task = write_task([" w0 w1", " w0", " w0 w1"], generation_kwargs={"until": [" w2"], "max_gen_toks": 4})
    study: dict[str, Any] = {
        "name": "served",
        "model": "small",
        "backend": "openai",
        "openai": {
            "base_url": "http://127.0.0.1:18417/v1",
            # It computes for as long as a meter of ticks takes to see it.
            "serve": [sys.executable, str(SERVER), "{port}", "--pace", "0.2", "--burn", f"asked-{template}"],
        },
        "dataset": {"name": "lm_eval", "path": str(task), "n": 3, "chat_template": template},
        "measurement": {"scenario": "quality", "settle_s": 0, "samplers": ["estimate"]},
        "warmup": {"enabled": False},
        "baseline": {"enabled": False},
    }
    (tmp_path / "study.yaml").write_text(json.dumps(study))
    done = subprocess.run(
        [sys.executable, "-m", "llem", "run", "study.yaml", "--no-gaps", "--output", "results"],
        cwd=tmp_path,
        env=plain_environment() | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = tmp_path.glob("results/*/experiments/*/result.json")
    result = json.loads(file.read_text())
    metrics = result["scenario_metrics"]
    assert (metrics["correct_answers"], metrics["answers"]) == (2, 3)
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    assert result["tokens"]["output"] == 3 * 4
    assert result["energy"]["headline"] is not None, result["warnings"]  # a server of this study's own is metered here
