"""`llem import --from aiperf`: AIPerf's summaries, by what its words mean in llem's."""

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


def spread(unit: str, mean: float) -> dict[str, Any]:
    return {"unit": unit, "avg": mean, "std": mean / 10, "min": mean / 2, "max": mean * 3, "p50": mean, "p90": mean * 2}


GPU = {"gpu_index": 0, "gpu_name": "NVIDIA H100", "metrics": {"energy_consumption": {"unit": "MJ", "avg": 1.0}}}
RUN: dict[str, Any] = {
    "schema_version": "1.0",
    "aiperf_version": "0.13.0",
    "request_throughput": {"unit": "requests/sec", "avg": 4.0},
    "request_count": {"unit": "requests", "avg": 200.0},
    "request_latency": spread("ms", 900.0),
    "time_to_first_token": spread("ms", 100.0),
    "inter_token_latency": spread("ms", 8.0),
    "inter_chunk_latency": spread("ms", 16.0),
    "output_token_throughput": {"unit": "tokens/sec", "avg": 400.0},
    "total_isl": {"unit": "tokens", "avg": 50000.0},
    "total_osl": {"unit": "tokens", "avg": 20000.0},
    "benchmark_duration": {"unit": "sec", "avg": 50.0},
    "error_request_count": {"unit": "requests", "avg": 3.0},
    "total_gpu_energy": {"unit": "J", "avg": 30000.0},
    "average_gpu_power": {"unit": "W", "avg": 600.0},
    "energy_per_output_token": {"unit": "mJ/token", "avg": 1500.0},
    "output_tokens_per_joule": {"unit": "tokens/J", "avg": 0.6667},
    "telemetry_data": {
        "endpoints": {"http://a": {"gpus": {"0": GPU | {"gpu_uuid": "a"}, "1": GPU | {"gpu_uuid": "b"}}}}
    },
    "input_config": {"endpoint": {"model_names": ["org/A"]}, "loadgen": {"concurrency": 16, "request_rate": None}},
    "was_cancelled": False,
    "start_time": "2026-01-02T03:04:05",
    "end_time": "2026-01-02T03:05:00",
}
Import = Callable[..., Path]


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Import:
    """Imports files of AIPerf's, each in a folder of its own; the study's folder."""
    monkeypatch.chdir(tmp_path)

    def write(*runs: dict[str, Any]) -> Path:
        for number, run in enumerate(runs):
            folder = tmp_path / "artifacts" / f"run-{number}"
            folder.mkdir(parents=True)
            (folder / "profile_export_aiperf.json").write_text(json.dumps(run), encoding="utf-8")
        assert main(["import", "artifacts", "--from", "aiperf", "--json"]) == 0, capsys.readouterr().err
        return Path(json.loads(capsys.readouterr().out)["study"])

    return write


def first(folder: Path) -> ExperimentResult:
    return read_result(next(job_directories(folder)))


def test_its_words_become_llems(imported: Import) -> None:
    folder = imported(RUN)
    (row,) = StudyResult(folder).to_arrow().to_pylist()
    assert row["latency.tpot_s.mean"] == pytest.approx(0.008)
    assert row["latency.itl_s.mean"] == pytest.approx(0.016)
    assert (row["latency.ttft_s.max"], row["latency.ttft_s.n"]) == (pytest.approx(0.3), 200)
    assert row["latency.ttft_s.p99"] is None
    assert (row["energy.headline.energy_j"], row["energy.headline.mean_w"]) == (30000, 600)
    assert row["energy.headline.j_per_output_token"] == 1.5
    assert row["energy.headline.j_per_token"] == pytest.approx(30000 / 70000)
    assert row["environment.gpu.models"] == ["NVIDIA H100"] * 2
    assert row["energy.headline.method"] == "counter"
    assert (row["config.model.source"], row["config.load.concurrency"]) == ("org/A", 16)
    result = first(folder)
    assert [warning.code for warning in result.warnings] == ["imported"]
    assert "llem's TPOT" in result.warnings[0].message
    assert "3 of its requests failed" in result.warnings[0].message
    sources = result.environment["imported"]["values"]
    assert sources["energy.headline.j_per_output_token"] == "energy_per_output_token.avg, converted from mJ/token"
    assert sources["tokens.output"] == "total_osl"


def test_a_run_without_telemetry_has_no_energy(imported: Import) -> None:
    plain = {
        key: value for key, value in RUN.items() if "gpu" not in key and "energy" not in key and "joule" not in key
    }
    del plain["telemetry_data"]
    result = first(imported(plain))
    assert result.energy is not None
    assert (result.energy.window_s, result.energy.headline) == (50, None)


@pytest.mark.parametrize(
    "config",
    [
        {
            "models": ["org/B"],
            "phases": [{"name": "warmup", "concurrency": 1}, {"name": "profiling", "concurrency": 8}],
        },
        {"models": {"items": [{"name": "org/B"}]}, "phases": {"profiling": {"concurrency": 8}}},
    ],
)
def test_later_configurations_are_read_too(imported: Import, config: dict[str, Any]) -> None:
    result = first(imported(RUN | {"input_config": config}))
    assert result.config["model"]["source"] == "org/B"
    assert result.config["load"] == {"concurrency": 8}


def test_energy_that_telemetry_integrated_is_power_and_names_by_maker_are_known(imported: Import) -> None:
    run = {key: value for key, value in RUN.items() if key not in ("total_gpu_energy", "average_gpu_power")}
    gpu = {"gpu_name": "AMD MI300X", "gpu_uuid": "a", "metrics": {"gpu_power_usage": {"unit": "W", "avg": 1.0}}}
    run |= {
        "amd_total_gpu_energy": {"unit": "J", "avg": 30000.0},
        "telemetry_data": {"endpoints": {"h": {"gpus": {"0": gpu}}}},
    }
    headline = first(imported(run)).energy
    assert headline is not None
    assert headline.headline is not None
    assert (headline.headline.method, headline.headline.energy_j) == ("power", 30000)


def test_a_unit_that_is_not_known_leaves_the_value_out_and_says_so(imported: Import) -> None:
    result = first(imported(RUN | {"time_to_first_token": spread("furlongs", 1.0)}))
    assert result.latency is not None
    assert result.latency.ttft_s is None
    assert "time_to_first_token (furlongs)" in result.warnings[0].message


def test_a_sweep_is_a_study(imported: Import, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        RUN | {"input_config": {"endpoint": {"model_names": ["org/A"]}, "loadgen": {"concurrency": n}}}
        for n in (8, 16)
        for _ in range(3)
    ]
    folder = str(imported(*runs))
    for command in ("show", "analyze", "compare", "pareto", "pick"):
        assert main([command, folder]) == 0, capsys.readouterr().err
        assert "imported" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is not JSON"),
        ("{}", "no profile_export_aiperf.json of AIPerf"),
        (json.dumps(RUN | {"request_count": {"unit": "requests", "avg": "many"}}), "`request_count.avg` is no number"),
        (json.dumps(RUN | {"telemetry_data": [], "input_config": 3, "start_time": 7}), None),
    ],
)
def test_a_damaged_file_gives_one_paragraph_and_no_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str, says: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    code = main(["import", "x.json", "--from", "aiperf"])
    if says is None:
        assert code == 0
    else:
        assert code == 2
        assert says in capsys.readouterr().err
        assert not list(tmp_path.glob("results/*"))
