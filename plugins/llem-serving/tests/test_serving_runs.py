"""Whole experiments of the scenario `server` on a backend that answers by a clock and knows its own power."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

LOADBED = Path(__file__).parent / "loadbed"
STUDY: Mapping[str, Any] = {
    "name": "served",
    "model": "random:tiny-llama",
    "backend": "loadbed",
    "dataset": {"name": "synthetic", "n": 20, "input_tokens": 8, "output_tokens": 20},
    "measurement": {"scenario": "server", "sample_hz": 50, "settle_s": 0, "samplers": ["loadbed"]},
    "baseline": {"enabled": False},
    "warmup": {"enabled": False},
    "load": {"rate_rps": 20, "ramp_s": 0.5, "steady_s": 0, "duration_s": 3, "drain_s": 5},
}


@dataclass(frozen=True)
class Ran:
    """Results by position, and their requests."""

    results: list[dict[str, Any]]
    requests: list[list[dict[str, Any]]]
    said: str


Serve = Callable[..., Ran]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Takes sections of the study, runs it, returns what came of it."""

    def run(**sections: Any) -> Ran:
        study = {**STUDY, **{k: {**STUDY.get(k, {}), **v} if isinstance(v, dict) else v for k, v in sections.items()}}
        (tmp_path / "s.yaml").write_text(json.dumps(study))
        path = os.pathsep.join([str(LOADBED), os.environ.get("PYTHONPATH", "")])
        command = [sys.executable, "-m", "llem", "run", str(tmp_path / "s.yaml"), "--no-gaps"]
        done = subprocess.run(
            [*command, "--output", str(tmp_path / "out"), "--skip-preflight", "load"],
            env={**os.environ, "PYTHONPATH": path, "LOADBED_POWER": str(tmp_path / "power")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        folders = sorted((tmp_path / "out").glob("*/experiments/*"))
        results = [json.loads((folder / "result.json").read_text()) for folder in folders]
        tables = [folder / "requests.parquet" for folder in folders]
        rows = [pq.read_table(path).to_pylist() if path.exists() else [] for path in tables]
        return Ran(results, rows, done.stderr)

    return run


def codes(result: Mapping[str, Any]) -> set[str]:
    return {warning["code"] for warning in result["warnings"]}


def test_energy_is_that_of_the_requests_under_way(serve: Serve) -> None:
    ran = serve()
    (result,), (rows,) = ran.results, ran.requests
    assert result["status"] == "done", result["failure"]
    metrics, headline = result["scenario_metrics"], result["energy"]["headline"]
    # 100 W at rest, 10 W for each that runs; nothing waits at this load.
    expected_w = 100 + 10 * metrics["in_flight_mean"]
    assert headline["mean_w"] == pytest.approx(expected_w, rel=0.01)
    assert result["tokens"]["output"] == sum(row["window_tokens"] for row in rows)
    assert headline["j_per_output_token"] == pytest.approx(headline["energy_j"] / result["tokens"]["output"])
    assert {"steadiness_untested"} <= codes(result)
    assert metrics["offered_rps"] == pytest.approx(sum(row["inside"] for row in rows) / 3, rel=0.05)
    assert all(row["finish"] == "length" for row in rows)
    assert all(row["sent_s"] >= row["arrival_s"] for row in rows)
    assert not {"identity_broken", "identity_unchecked"} & codes(result)


def test_configurations_that_are_compared_meet_the_same_arrivals(serve: Serve) -> None:
    ran = serve(sweep={"loadbed.max_batch": [4, 8]})
    first, second = ([row["arrival_s"] for row in rows] for rows in ran.requests)
    gaps = [[round(later - earlier, 6) for earlier, later in pairwise(t[:20])] for t in (first, second)]
    assert gaps[0] == gaps[1]


def test_requests_that_fail_miss_every_objective_and_are_in_the_table(serve: Serve) -> None:
    ran = serve(loadbed={"fail_every": 4})
    (result,), (rows,) = ran.results, ran.requests
    failed = [row for row in rows if row["finish"] == "error"]
    assert failed
    assert all("told to fail" in row["error"] for row in failed)
    metrics = result["scenario_metrics"]
    assert metrics["failed_requests"] == len(failed)
    assert metrics["attainment"] == pytest.approx(1 - len(failed) / metrics["arrived_requests"])
    assert "requests_lost" in codes(result)


def test_a_pause_of_the_server_counts_for_all_who_arrive_in_it(serve: Serve) -> None:
    ran = serve(loadbed={"stall_at": 200, "stall_s": 1.0}, slo={"ttft_s": 0.2})
    (result,), (rows,) = ran.results, ran.requests
    late = [row["ttft_s"] for row in rows if row["inside"] and row["ttft_s"] is not None and row["ttft_s"] > 0.2]
    # Those who arrive in the second of the pause wait for its end, from their own arrival on, and not from when they are sent.
    assert len(late) >= 10
    assert max(late) == pytest.approx(1.0, abs=0.25)
    assert result["scenario_metrics"]["attainment"] < 0.9


def test_more_load_than_can_be_answered_is_called_saturated(serve: Serve) -> None:
    ran = serve(
        loadbed={"max_batch": 1, "base_s": 0.005, "request_s": 0.005},
        load={"rate_rps": 20, "steady_s": 30, "duration_s": 6, "drain_s": 1},
    )
    (result,) = ran.results
    assert result["status"] == "done", result["failure"]
    assert "saturated" in codes(result)
    assert result["scenario_metrics"]["steady"] == 0.0
    assert result["scenario_metrics"]["unanswered_requests"] > 0
    assert result["scenario_metrics"]["achieved_rps"] < 0.6 * result["scenario_metrics"]["offered_rps"]


def test_users_who_wait_for_answers_are_never_more_than_there_are(serve: Serve) -> None:
    ran = serve(load={"rate_rps": None, "concurrency": 3, "think_s": 0.05})
    (result,), (rows,) = ran.results, ran.requests
    assert result["status"] == "done", result["failure"]
    assert result["scenario_metrics"]["in_flight_max"] <= 3
    edges = sorted([(r["arrival_s"], 1) for r in rows] + [(r["end_s"], -1) for r in rows], key=lambda e: (e[0], -e[1]))
    count = most = 0
    for _, step in edges:
        count += step
        most = max(most, count)
    assert most <= 3
    assert len(rows) > 20


def test_a_load_that_nobody_answers_fails_and_says_so(serve: Serve) -> None:
    ran = serve(loadbed={"fail_every": 1})
    (result,) = ran.results
    assert result["status"] == "failed"
    assert "requests that arrived in the window" in result["failure"]["message"]
    assert "told to fail" in result["failure"]["message"]
