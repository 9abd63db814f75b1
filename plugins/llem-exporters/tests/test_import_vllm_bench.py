"""`llem import --from vllm-bench`: results of `vllm bench serve`, with no energy and no engine that the file does not name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llem.cli import main
from llem.results.store import job_directories, read_result
from llem.results.study import StudyResult
from llem_analysis.weighed_rows import weighed

RUN: dict[str, Any] = {
    "date": "20260102-030405",
    "endpoint_type": "openai",
    "backend": "openai",
    "label": None,
    "model_id": "org/A",
    "tokenizer_id": "org/A",
    "num_prompts": 1200,
    "request_rate": 8.0,
    "burstiness": 1.0,
    "max_concurrency": None,
    "duration": 100.0,
    "completed": 1190,
    "failed": 10,
    "total_input_tokens": 600000,
    "total_output_tokens": 119000,
    "request_throughput": 11.9,
    "request_goodput": 10.5,
    "output_throughput": 1190.0,
    "total_token_throughput": 7190.0,
    "mean_ttft_ms": 120.0,
    "median_ttft_ms": 100.0,
    "std_ttft_ms": 30.0,
    "p90_ttft_ms": 180.0,
    "p99_ttft_ms": 250.0,
    "mean_tpot_ms": 0.0,
    "median_tpot_ms": 0.0,
    "std_tpot_ms": 0.0,
    "p99_tpot_ms": 0.0,
    "mean_itl_ms": 9.0,
    "median_itl_ms": 8.0,
    "std_itl_ms": 2.0,
    "p99_itl_ms": 20.0,
    "mean_e2el_ms": 1100.0,
    "median_e2el_ms": 1000.0,
    "std_e2el_ms": 300.0,
    "p99_e2el_ms": 2500.0,
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def study(path: str, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["import", path, "--from", "vllm-bench", "--json"]) == 0, capsys.readouterr().err
    return Path(json.loads(capsys.readouterr().out)["study"])


def test_values_are_as_told_in_seconds_and_null_where_nothing_was_seen(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "run.json").write_text(json.dumps(RUN), encoding="utf-8")
    folder = study("run.json", capsys)
    (row,) = StudyResult(folder).to_arrow().to_pylist()
    assert (row["energy.window_s"], row["tokens.requests"], row["tokens.output"]) == (100, 1190, 119000)
    assert (row["throughput.tokens_per_s"], row["throughput.total_tokens_per_s"]) == (1190, 7190)
    assert row["latency.ttft_s.mean"] == pytest.approx(0.12)
    assert (row["latency.ttft_s.n"], row["latency.itl_s.n"]) == (1190, 119000 - 1190)
    assert row["latency.e2e_s.p99"] == pytest.approx(2.5)
    for unknown in ("latency.tpot_s.mean", "latency.ttft_s.p95", "latency.ttft_s.min", "energy.headline.energy_j"):
        assert row[unknown] is None, unknown
    assert row["scenario_metrics.goodput_rps"] == 10.5
    assert (row["config.backend"], row["config.load.rate_rps"]) == ("unknown", 8)
    assert row["started_at"] == "2026-01-02T03:04:05"
    result = read_result(next(job_directories(folder)))
    assert result.environment["imported"]["values"]["latency.ttft_s.mean"] == "mean_ttft_ms, converted from ms"
    assert "10 of its requests failed" in result.warnings[0].message
    assert result.energy is not None
    assert result.energy.headline is None


def test_runs_of_a_folder_and_of_a_file_of_lines_are_one_study(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "runs").mkdir()
    rates = [RUN | {"request_rate": rate, "backend": "vllm"} for rate in (2.0, 4.0, "inf")]
    (here / "runs" / "a.json").write_text("\n".join(map(json.dumps, rates)), encoding="utf-8")
    cards = {"gpu": "H100", "gpus": "2", "tensor_parallel": "2"}
    (here / "runs" / "b.json").write_text(json.dumps(RUN | {"backend": "sglang"} | cards), encoding="utf-8")
    found = StudyResult(study("runs", capsys)).to_arrow().sort_by("position").to_pylist()
    assert [row["point.load.rate_rps"] for row in found] == [2, 4, None, 8]
    assert [row["config.backend"] for row in found] == ["vllm", "vllm", "vllm", "sglang"]
    assert found[3]["environment.gpu.models"] == ["H100", "H100"]
    assert found[3]["config.metadata.tensor_parallel"] == "2"


def test_a_percentile_of_few_requests_is_not_used(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = RUN | {"completed": 150, "request_throughput": 1.5}
    (here / "run.json").write_text(json.dumps(few), encoding="utf-8")
    (row,) = StudyResult(study("run.json", capsys)).to_arrow().to_pylist()
    assert row["latency.ttft_s.p99"] == pytest.approx(0.25)
    assert weighed(row)["latency.ttft_s.p99"] is None
    assert weighed(row)["latency.ttft_s.p90"] == pytest.approx(0.18)


@pytest.mark.parametrize("command", ["show", "analyze", "pareto", "compare"])
def test_commands_take_the_study(here: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    lines = [
        json.dumps(RUN | {"request_rate": rate, "mean_ttft_ms": 100 * rate}) for rate in (2.0, 4.0) for _ in range(3)
    ]
    (here / "runs.json").write_text("\n".join(lines), encoding="utf-8")
    folder = str(study("runs.json", capsys))
    more = ["--by", "throughput", "--by", "ttft"] if command == "pareto" else []
    assert main([command, folder, *more]) == 0, capsys.readouterr().err
    assert "imported" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "something else than JSON objects"),
        ("{}", "it has no model_id, duration"),
        (json.dumps(RUN) + "\n{", "line 2"),
        (json.dumps(RUN | {"duration": "long"}), "`duration` is no number: 'long'"),
        (json.dumps(RUN | {"completed": -3}), None),
        (json.dumps(RUN | {"mean_ttft_ms": float("nan"), "duration": float("inf")}), None),
        (json.dumps(RUN).replace("100.0", "1" + "0" * 400), None),
        ("[]", "holds no run"),
        (json.dumps(RUN | {"model_id": "\ud800"}), "its run 1 holds text that no file can"),
    ],
)
def test_a_damaged_file_gives_one_paragraph_and_no_study(
    here: Path, capsys: pytest.CaptureFixture[str], content: str, says: str | None
) -> None:
    (here / "run.json").write_text(content, encoding="utf-8")
    code = main(["import", "run.json", "--from", "vllm-bench"])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    if says is None:  # impossible values are kept as told, and no figure is made of them
        assert code == 0
        assert main(["show", str(next(here.glob("results/*")))]) == 0
    else:
        assert code == 2
        assert says in said.err
        assert not list(here.glob("results/*"))


def test_a_folder_without_results_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "empty").mkdir()
    assert main(["import", "empty", "--from", "vllm-bench"]) == 2
    assert "no file below it is called *.json" in capsys.readouterr().err
