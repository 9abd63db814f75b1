"""Whole experiments of the scenario `server` on a tiny model, in either way of serving it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

STUDY: Mapping[str, Any] = {
    "name": "served",
    "model": "random:tiny-llama",
    "backend": "pytorch",
    "pytorch": {"device": "cpu", "dtype": "float32", "num_threads": 1},
    "dataset": {"name": "synthetic", "n": 6, "input_tokens": 8, "output_tokens": 6},
    "decoding": {"length": "fixed"},
    "measurement": {"scenario": "server", "settle_s": 0},
    "baseline": {"enabled": False},
    "warmup": {"min_prompts": 1, "max_prompts": 2},
    "load": {"rate_rps": 5, "ramp_s": 0.5, "steady_s": 0, "duration_s": 3, "drain_s": 30},
}
Run = Callable[..., tuple[list[dict[str, Any]], list[list[dict[str, Any]]]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Takes sections of the study, runs it, returns its results and the requests of each."""

    def start(**sections: Any) -> tuple[list[dict[str, Any]], list[list[dict[str, Any]]]]:
        study = {**STUDY, **{k: {**STUDY.get(k, {}), **v} if isinstance(v, dict) else v for k, v in sections.items()}}
        (tmp_path / "s.yaml").write_text(json.dumps(study))
        command = [
            sys.executable,
            "-m",
            "llem",
            "run",
            str(tmp_path / "s.yaml"),
            "--no-gaps",
            "--skip-preflight",
            "load",
        ]
        done = subprocess.run(
            [*command, "--output", str(tmp_path / "out")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        folders = sorted((tmp_path / "out").glob("*/experiments/*"))
        results = [json.loads((folder / "result.json").read_text()) for folder in folders]
        return results, [pq.read_table(folder / "requests.parquet").to_pylist() for folder in folders]

    return start


def test_one_study_crosses_ways_of_serving_and_each_answers_its_load(run: Run) -> None:
    results, tables = run(
        pytorch={"batch_size": 3, "max_wait_s": 0.02},
        sweep={"pytorch.serving": ["continuous", "queue"]},
    )
    assert {result["model"]["effective"]["serving"] for result in results} == {"continuous", "queue"}
    for result, rows in zip(results, tables, strict=True):
        assert result["status"] == "done", result["failure"]
        metrics, counts = result["scenario_metrics"], result["engine_metrics"]
        assert metrics["failed_requests"] == metrics["unanswered_requests"] == 0
        inside = [row for row in rows if row["inside"]]
        assert len(inside) >= 3
        assert all(row["output_tokens"] == 6 for row in inside)
        assert all(row["ttft_s"] > 0 for row in inside)
        assert result["tokens"]["output"] == sum(row["window_tokens"] for row in rows)
        assert counts["running_peak"] >= 1
        codes = {warning["code"] for warning in result["warnings"]}
        if result["model"]["effective"]["serving"] == "queue":
            assert 1 <= counts["batch_size_mean"] <= 3
            assert "setting_ignored" not in codes
        else:
            assert "batches" not in counts
            assert "setting_ignored" in codes  # the batch size


def test_a_load_that_a_queue_of_one_cannot_answer_in_time_waits_and_that_is_counted(run: Run) -> None:
    (result,), (rows,) = run(
        pytorch={"serving": "queue"},
        dataset={"output_tokens": 120},
        load={"rate_rps": 30, "duration_s": 3, "drain_s": 0.5},
    )
    assert result["status"] == "done", result["failure"]
    counts = result["engine_metrics"]
    assert counts["running_peak"] == counts["batch_size_max"] == 1
    assert counts["waiting_peak"] > 3
    assert counts["queue_max_s"] > 0
    assert result["scenario_metrics"]["unanswered_requests"] > 0
    assert any(row["finish"] == "length" for row in rows)
