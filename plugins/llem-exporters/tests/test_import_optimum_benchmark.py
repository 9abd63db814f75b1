"""`llem import --from optimum-benchmark`: reports with their configuration, as figures of one call of the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llem.cli import main
from llem.results.models import ExperimentResult
from llem.results.store import job_directories, read_result
from llem.results.study import StudyResult


def latency(mean: float, count: int = 20) -> dict[str, Any]:
    tail = {f"p{p}": mean * (1 + p / 1000) for p in (50, 90, 95, 99)}
    return {"unit": "s", "values": [], "count": count, "total": mean * count, "mean": mean, "stdev": mean / 10, **tail}


def energy(gpu: float) -> dict[str, Any]:
    return {"unit": "kWh", "cpu": 2e-6, "ram": 1e-6, "gpu": gpu, "total": gpu + 3e-6}


REPORT: dict[str, Any] = {
    "load_model": {"memory": None, "latency": latency(5.0, 1), "throughput": None, "energy": None, "efficiency": None},
    "generate": {
        "memory": {"unit": "MB", "max_ram": 2000.0, "max_global_vram": 18000.0, "max_allocated": 16000.0},
        "latency": latency(2.0),
        "throughput": {"unit": "samples/s", "value": 2.0},
        "energy": energy(2e-4),
        "efficiency": {"unit": "samples/kWh", "value": 20000.0},
    },
    "prefill": {"latency": latency(0.1), "energy": energy(2e-5)},
    "decode": {"latency": latency(1.9), "energy": energy(1.8e-4)},
    "per_token": {"latency": latency(0.02, 2000)},
}
CONFIG: dict[str, Any] = {
    "name": "run",
    "backend": {
        "name": "pytorch",
        "version": "2.8.0",
        "model": "org/A",
        "device": "cuda",
        "device_ids": "1",
        "torch_dtype": "bfloat16",
        "model_kwargs": {"token": "hf_secret"},
    },
    "scenario": {
        "name": "inference",
        "input_shapes": {"batch_size": 4, "sequence_length": 64},
        "generate_kwargs": {"max_new_tokens": 100, "min_new_tokens": 100},
    },
    "environment": {"cpu": " AMD EPYC", "gpu": ["NVIDIA A100", "NVIDIA H100"], "transformers_version": "4.56.0"},
}
Import = Callable[..., Path]


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Import:
    """Imports reports with their configurations; the study's folder."""
    monkeypatch.chdir(tmp_path)

    def write(*runs: tuple[dict[str, Any], dict[str, Any] | None]) -> Path:
        for number, (report, config) in enumerate(runs):
            folder = tmp_path / "theirs" / f"{number}"
            folder.mkdir(parents=True)
            (folder / "benchmark_report.json").write_text(json.dumps(report), encoding="utf-8")
            if config is not None:
                (folder / "benchmark_config.json").write_text(json.dumps(config), encoding="utf-8")
                (folder / "benchmark.json").write_text(
                    json.dumps({"config": config, "report": report}), encoding="utf-8"
                )
        assert main(["import", "theirs", "--from", "optimum-benchmark", "--json"]) == 0, capsys.readouterr().err
        return Path(json.loads(capsys.readouterr().out)["study"])

    return write


def first(folder: Path) -> ExperimentResult:
    return read_result(next(job_directories(folder)))


def test_figures_are_of_one_call(imported: Import) -> None:
    folder = imported((REPORT, CONFIG))
    (row,) = StudyResult(folder).to_arrow().to_pylist()
    assert row["energy.headline.energy_j"] == pytest.approx(720)
    assert (row["energy.window_s"], row["energy.headline.mean_w"]) == (2, pytest.approx(360))
    assert (row["tokens.requests"], row["tokens.input"], row["tokens.output"]) == (4, 256, 400)
    assert row["throughput.tokens_per_s"] == 200
    assert row["energy.headline.j_per_output_token"] == pytest.approx(1.8)
    assert row["energy.stages.prefill.energy_j"] == pytest.approx(72)
    assert (row["latency.ttft_s.mean"], row["latency.ttft_s.n"]) == (0.1, 20)
    assert (row["latency.itl_s.mean"], row["latency.itl_s.n"]) == (0.02, 2000)
    assert row["latency.batch_s.p50"] == pytest.approx(2.1)
    assert row["memory.peak_memory_mb"] == pytest.approx(16e9 / 2**20)
    assert (row["environment.gpu.models"], row["environment.cpu.model"]) == (["NVIDIA H100"], "AMD EPYC")
    assert (row["config.backend"], row["config.pytorch.batch_size"], row["work"]) == ("pytorch", 4, "fixed_length")
    assert (row["energy.headline.scope"], row["energy.headline.method"]) == ("gpu", "counter")
    result = first(folder)
    assert result.facts is not None
    assert result.facts.versions == {"pytorch": "2.8.0", "transformers": "4.56.0"}
    assert [warning.code for warning in result.warnings] == ["imported"]
    assert "hf_secret" not in result.model_dump_json()
    assert result.environment["imported"]["values"]["tokens.output"] == "worked out: batch_size x max_new_tokens"


def test_energy_of_a_cpu_is_an_estimate(imported: Import) -> None:
    config = CONFIG | {"backend": CONFIG["backend"] | {"device": "cpu"}}
    result = first(imported((REPORT, config)))
    assert result.energy is not None
    headline = result.energy.headline
    assert headline is not None
    assert (headline.scope, headline.method, headline.energy_j) == ("cpu", "estimate", pytest.approx(7.2))
    assert result.environment.get("gpu") is None


def test_without_a_configuration_what_it_would_tell_is_null(imported: Import) -> None:
    result = first(imported((REPORT, None)))
    assert (result.tokens, result.config["model"]["source"], result.work) == (None, "unknown", "natural_length")
    assert result.energy is not None
    assert result.energy.headline is not None
    assert result.energy.headline.energy_j == pytest.approx(720)
    assert result.energy.headline.j_per_output_token is None


def test_a_sweep_is_a_study_and_a_run_counts_once(imported: Import, capsys: pytest.CaptureFixture[str]) -> None:
    runs = []
    for size in (1, 4):
        shapes = {"batch_size": size, "sequence_length": 64}
        runs += [(REPORT, CONFIG | {"scenario": CONFIG["scenario"] | {"input_shapes": shapes}})] * 3
    folder = imported(*runs)
    found = StudyResult(folder).to_arrow().sort_by("position").to_pylist()
    assert [row["point.pytorch.batch_size"] for row in found] == [1, 1, 1, 4, 4, 4]
    for command in ("show", "analyze", "compare", "pareto", "pick"):
        assert main([command, str(folder)]) == 0, capsys.readouterr().err
        assert "imported" in capsys.readouterr().out


def test_beams_leave_the_tokens_unknown(imported: Import) -> None:
    scenario = CONFIG["scenario"] | {"generate_kwargs": {"max_new_tokens": 100, "num_beams": 4}}
    result = first(imported((REPORT, CONFIG | {"scenario": scenario})))
    assert result.tokens is not None
    assert (result.tokens.requests, result.tokens.output) == (4, None)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[]", "it is no JSON object"),
        ("{}", "it has no `generate`"),
        (json.dumps({"decode": {}, "prefill": {}}), "--from aienergyscore"),
        (json.dumps(REPORT | {"generate": {"latency": {"unit": "h", "mean": 1}}}), "its latency is in `h`"),
        (json.dumps(REPORT | {"generate": {"energy": {"unit": "BTU", "gpu": 1}}}), "is in `BTU`"),
        (json.dumps(REPORT | {"generate": {"latency": {"mean": "x"}}}), "`generate.latency.mean` is no number"),
    ],
)
def test_a_damaged_report_gives_one_paragraph_and_no_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchmark_report.json").write_text(content, encoding="utf-8")
    assert main(["import", "benchmark_report.json", "--from", "optimum-benchmark"]) == 2
    assert says in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    assert main(["import", "none", "--from", "optimum-benchmark"]) == 2
    assert not list(tmp_path.glob("results/*"))
