"""Whole experiments through the command line: the radix cache in the result, and an SGLang that dies in the window."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from sglang_lab import gone

from llem.results.models import ExperimentResult
from llem.results.store import job_directories, read_result

pytestmark = [pytest.mark.sglang, pytest.mark.timeout(300)]

STUDY: dict[str, Any] = {
    "name": "radix",
    "model": "random:smollm2-135m",
    "backend": "sglang",
    "dataset": {"name": "synthetic", "n": 4, "input_tokens": 48, "output_tokens": 8},
    "baseline": {"enabled": False},
    "warmup": {"enabled": False},
    "measurement": {"min_window_s": 1, "settle_s": 0},
    "sglang": {"context_length": 128},
}


def begin(folder: Path, **changes: Any) -> subprocess.Popen[str]:
    """Start `llem run` on the study with these keys changed."""
    from sglang_lab import ON_CPU

    study = {**STUDY, **changes}
    study["sglang"] = {**ON_CPU, **STUDY["sglang"], **changes.get("sglang", {})}
    file = folder / "study.yaml"
    file.write_text(json.dumps(study))
    command = [sys.executable, "-m", "llem", "run", str(file), "--no-gaps", "--output", str(folder / "results")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def result_in(folder: Path) -> tuple[Path, ExperimentResult]:
    """The one experiment of the study in a folder."""
    (directory,) = job_directories(next((folder / "results").iterdir()))
    return directory, read_result(directory)


def test_a_kept_cache_is_in_the_result_with_what_it_saved(tmp_path: Path, model_folder: Path) -> None:
    # Of so small a model a pass takes a fraction of the window, which has many of them.
    measurement = {"min_window_s": 5, "settle_s": 0}
    running = begin(tmp_path, model=str(model_folder), measurement=measurement, sglang={"keep_cache": True})
    said, _ = running.communicate(timeout=250)
    assert running.returncode == 0, said
    directory, result = result_in(tmp_path)
    assert result.status == "done"
    assert result.model is not None
    assert result.model.effective["radix_cache"] == "kept between passes"
    assert result.tokens is not None
    assert result.tokens.output % (4 * 8) == 0
    assert result.engine_metrics["prefix_cache_hit_share"] > 0
    assert "prompt_cached" in {warning.code for warning in result.warnings}
    assert result.environment["engine"]
    assert (directory / "sglang.log").is_file()


def test_an_sglang_that_dies_in_the_window_is_a_failed_experiment_with_the_reason(tmp_path: Path) -> None:
    running = begin(tmp_path, measurement={"min_window_s": 120, "settle_s": 0})
    llem = psutil.Process(running.pid)
    try:
        while not any('"window"' in text for text in _events(tmp_path)):
            assert running.poll() is None, running.stdout.read() if running.stdout else ""
            time.sleep(0.2)
        everything = llem.children(recursive=True)
        schedulers = [process for process in everything if "scheduler" in _title(process)]
        assert len(schedulers) == 1
        schedulers[0].kill()
        said, _ = running.communicate(timeout=100)
    finally:
        running.kill()
    assert running.returncode == 1, said
    _, result = result_in(tmp_path)
    assert result.status == "failed"
    assert result.failure is not None
    assert "SGLang's process ended in the run" in result.failure.message
    assert gone(everything)


def _events(folder: Path) -> list[str]:
    """The lines of the experiment's record so far."""
    return [line for file in folder.rglob("events.jsonl") for line in file.read_text().splitlines()]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
