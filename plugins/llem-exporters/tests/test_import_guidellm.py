"""`llem import --from guidellm`: each benchmark of a report is a run, of its successful requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llem.cli import main
from llem.results.store import job_directories, read_result
from llem.results.study import StudyResult


def spread(mean: float, count: int = 400, total: float | None = None) -> dict[str, Any]:
    found = {
        "mean": mean,
        "median": mean * 0.9,
        "mode": mean,
        "variance": 1.0,
        "std_dev": mean / 10,
        "min": mean / 2,
        "max": mean * 3,
        "count": count,
        "total_sum": mean * count if total is None else total,
        "percentiles": {"p50": mean * 0.9, "p90": mean * 1.5, "p95": mean * 2, "p99": mean * 2.5},
    }
    return {"successful": found, "errored": None, "incomplete": None, "total": found}


def benchmark(strategy: dict[str, Any], rate: float = 4.0, ttft_ms: float = 100.0) -> dict[str, Any]:
    return {
        "type_": "generative_benchmark",
        "config": {"strategy": strategy, "backend": {"type_": "openai_http", "model": "org/A"}},
        "start_time": 1767323045.0,
        "end_time": 1767323145.0,
        "duration": 100.0,
        "metrics": {
            "request_totals": {"successful": 400, "errored": 2, "incomplete": 5, "total": 407},
            "requests_per_second": spread(rate),
            "request_latency": spread(1.2),
            "prompt_token_count": spread(250.0),
            "output_token_count": spread(100.0),
            "output_tokens_per_second": spread(rate * 100),
            "tokens_per_second": spread(rate * 350),
            "time_to_first_token_ms": spread(ttft_ms),
            "time_per_output_token_ms": spread(12.0),
            "inter_token_latency_ms": spread(11.0, 40_000),
        },
    }


def report(*benchmarks: Any) -> str:
    return json.dumps(
        {"metadata": {"version": 2, "guidellm_version": "0.8.1"}, "config": {}, "benchmarks": list(benchmarks)}
    )


CONSTANT = {"type_": "constant", "rate": 4.0, "max_concurrency": 10240}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def study(path: str, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["import", path, "--from", "guidellm", "--json"]) == 0, capsys.readouterr().err
    return Path(json.loads(capsys.readouterr().out)["study"])


def test_figures_are_of_successful_requests_in_seconds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "benchmarks.json").write_text(report(benchmark(CONSTANT)), encoding="utf-8")
    folder = study("benchmarks.json", capsys)
    (row,) = StudyResult(folder).to_arrow().to_pylist()
    assert (row["energy.window_s"], row["tokens.requests"], row["tokens.output"]) == (100, 400, 40_000)
    assert (row["throughput.tokens_per_s"], row["throughput.requests_per_s"]) == (400, 4)
    assert row["latency.ttft_s.p50"] == pytest.approx(0.09)
    assert row["latency.e2e_s.p95"] == pytest.approx(2.4)
    assert (row["latency.tpot_s.mean"], row["latency.tpot_s.n"]) == (pytest.approx(0.011), 400)
    for unknown in ("latency.itl_s.mean", "energy.headline.energy_j", "memory.peak_memory_mb"):
        assert row[unknown] is None, unknown
    assert (row["config.model.source"], row["started_at"][:19]) == ("org/A", "2026-01-02T03:04:05")
    result = read_result(next(job_directories(folder)))
    assert [warning.code for warning in result.warnings] == ["imported"]
    assert "2 of its requests failed" in result.warnings[0].message
    assert "guidellm 0.8.1" in result.warnings[0].message
    source = result.environment["imported"]["values"]["latency.ttft_s.mean"]
    assert source == "metrics.time_to_first_token_ms.successful.mean, converted from ms"


def test_strategies_are_load(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strategies = [
        CONSTANT,
        {"type_": "synchronous"},
        {"type_": "concurrent", "streams": 8},
        {"type_": "poisson", "rate": 2.0},
    ]
    (here / "sub").mkdir()
    (here / "sub" / "benchmarks.json").write_text(report(*map(benchmark, strategies)), encoding="utf-8")
    rows = StudyResult(study(".", capsys)).to_arrow().sort_by("position").to_pylist()
    assert [row["point.load.arrival"] for row in rows] == ["constant", "synchronous", "concurrent", "poisson"]
    assert [row["point.load.concurrency"] for row in rows] == [None, 1, 8, None]
    assert [row["point.load.rate_rps"] for row in rows] == [4, None, None, 2]


def test_rates_that_are_not_of_the_counts_are_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "benchmarks.json").write_text(report(benchmark(CONSTANT, rate=5.0)), encoding="utf-8")
    result = read_result(next(job_directories(study("benchmarks.json", capsys))))
    assert [warning.code for warning in result.warnings] == ["imported", *["imported_contradiction"] * 2]


def test_a_streamless_run_has_no_latency_of_tokens(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "benchmarks.json").write_text(report(benchmark(CONSTANT, ttft_ms=0.0)), encoding="utf-8")
    result = read_result(next(job_directories(study("benchmarks.json", capsys))))
    assert result.latency is not None
    assert result.latency.ttft_s is None
    assert result.latency.e2e_s is not None


@pytest.mark.parametrize("command", ["show", "analyze", "compare"])
def test_commands_take_the_study(here: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    runs = [benchmark(CONSTANT | {"rate": rate}, rate) for rate in (4.0, 8.0) for _ in range(3)]
    (here / "benchmarks.json").write_text(report(*runs), encoding="utf-8")
    assert main([command, str(study("benchmarks.json", capsys))]) == 0, capsys.readouterr().err
    assert "imported" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "it has no benchmarks"),
        ('{"benchmarks": 3}', "`benchmarks` is no list"),
        ('{"benchmarks": [1]}', "benchmark 1: it is no benchmarks.json of guidellm: it has no metrics"),
        ('{"benchmarks": []}', "holds no run"),
        ('{"benchmarks": [{"metrics": {"request_totals": {"successful": "x"}}}]}', "is no number: 'x'"),
        ("\\xff{", "is not JSON"),
    ],
)
def test_a_damaged_report_gives_one_paragraph_and_no_study(
    here: Path, capsys: pytest.CaptureFixture[str], content: str, says: str
) -> None:
    (here / "benchmarks.json").write_text(content, encoding="utf-8")
    assert main(["import", "benchmarks.json", "--from", "guidellm"]) == 2
    assert says in capsys.readouterr().err
    assert not list(here.glob("results/*"))


def test_an_empty_benchmark_is_kept_with_nothing_in_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strange = {"metrics": {}, "config": {"strategy": [], "backend": 3}, "start_time": 1e300}
    (here / "benchmarks.json").write_text(report(strange), encoding="utf-8")
    result = read_result(next(job_directories(study("benchmarks.json", capsys))))
    assert (result.energy, result.tokens, result.latency) == (None, None, None)
