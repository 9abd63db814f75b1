"""`llem import --from inferencex`: runs of InferenceX, whose figures for each GPU are of all here, and whose energy must be valid."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llem.cli import main
from llem.results.store import job_directories, read_result
from llem.results.study import StudyResult

RUN: dict[str, Any] = {
    "hw": "h200",
    "conc": 64,
    "image": "vllm/vllm-openai:v0.11.0",
    "model": "org/A",
    "infmax_model_prefix": "a",
    "framework": "vllm",
    "precision": "fp8",
    "spec_decoding": "none",
    "disagg": False,
    "isl": 1024,
    "osl": 1024,
    "is_multinode": False,
    "tp": 8,
    "pp": 1,
    "dcp_size": 1,
    "pcp_size": 1,
    "ep": 1,
    "dp_attention": "false",
    "tput_per_gpu": 500.0,
    "output_tput_per_gpu": 250.0,
    "input_tput_per_gpu": 250.0,
    "mean_ttft": 0.3,
    "median_ttft": 0.25,
    "std_ttft": 0.1,
    "p99_ttft": 0.9,
    "mean_tpot": 0.02,
    "median_tpot": 0.019,
    "p99_tpot": 0.03,
    "mean_intvty": 50.0,
    "mean_e2el": 20.0,
    "median_e2el": 19.0,
    "power_metric_schema_version": 2,
    "power_valid": 1,
    "avg_power_w": 500.0,
    "avg_total_gpu_power_w": 4000.0,
    "total_gpu_energy_j": 400000.0,
    "joules_per_successful_query": 2048.0,
    "joules_per_input_token": 2.0,
    "joules_per_output_token": 2.0,
    "joules_per_total_token": 1.0,
}
MULTI = {key: value for key, value in RUN.items() if key not in ("tp", "pp", "pcp_size", "dcp_size", "ep")} | {
    "is_multinode": True,
    "disagg": True,
    "num_prefill_gpu": 8,
    "num_decode_gpu": 16,
    "output_tput_per_gpu": 125.0,
    "tput_per_gpu": 4000.0 / 24,
}
Import = Callable[..., Path]


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Import:
    """Imports a list of runs as a sweep's file; the study's folder."""
    monkeypatch.chdir(tmp_path)

    def write(*runs: dict[str, Any]) -> Path:
        (tmp_path / "agg_sweep.json").write_text(json.dumps(list(runs)), encoding="utf-8")
        assert main(["import", ".", "--from", "inferencex", "--json"]) == 0, capsys.readouterr().err
        return Path(json.loads(capsys.readouterr().out)["study"])

    return write


def test_figures_for_each_gpu_are_of_all(imported: Import) -> None:
    folder = imported(RUN)
    (row,) = StudyResult(folder).to_arrow().to_pylist()
    assert (row["throughput.tokens_per_s"], row["throughput.total_tokens_per_s"]) == (2000, 4000)
    assert (row["energy.headline.energy_j"], row["energy.headline.mean_w"], row["energy.window_s"]) == (
        400000,
        4000,
        100,
    )
    assert (row["energy.headline.j_per_output_token"], row["energy.headline.j_per_request"]) == (2, 2048)
    assert (row["latency.ttft_s.mean"], row["latency.tpot_s.p50"], row["latency.e2e_s.mean"]) == (0.3, 0.019, 20)
    for unknown in ("latency.ttft_s.n", "latency.itl_s.mean", "tokens.output", "latency.e2e_s.p99"):
        assert row[unknown] is None, unknown
    assert row["environment.gpu.models"] == ["h200"] * 8
    assert (row["config.backend"], row["config.vllm.tp"], row["config.load.concurrency"]) == ("vllm", 8, 64)
    assert row["energy.headline.method"] == "power"
    result = read_result(next(job_directories(folder)))
    assert [warning.code for warning in result.warnings] == ["imported"]
    assert (
        result.environment["imported"]["values"]["throughput.tokens_per_s"]
        == "worked out: output_tput_per_gpu x 8 GPUs"
    )
    assert result.facts is not None
    assert result.facts.versions == {"image": "vllm/vllm-openai:v0.11.0"}


def test_output_of_several_nodes_is_of_the_gpus_that_decode(imported: Import) -> None:
    (row,) = StudyResult(imported(MULTI)).to_arrow().to_pylist()
    assert row["throughput.tokens_per_s"] == 2000
    assert row["throughput.total_tokens_per_s"] == pytest.approx(4000)
    assert len(row["environment.gpu.models"]) == 24


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (RUN | {"power_valid": 0}, "does not call it valid"),
        ({key: value for key, value in RUN.items() if key != "power_valid"}, "does not call it valid"),
        (MULTI | {"power_metric_schema_version": 1}, "does not say of which role"),
        (
            {k: v for k, v in RUN.items() if "oules" not in k and "_w" not in k and "_j" not in k} | {"power_valid": 0},
            "invalid",
        ),
    ],
)
def test_energy_that_is_not_valid_is_left_out_with_the_reason(imported: Import, run: dict[str, Any], says: str) -> None:
    result = read_result(next(job_directories(imported(run))))
    assert result.energy is None
    assert says in result.warnings[0].message


def test_figures_that_contradict_one_another_are_named(imported: Import) -> None:
    result = read_result(next(job_directories(imported(RUN | {"joules_per_output_token": 3.0}))))
    assert [warning.code for warning in result.warnings] == ["imported", "imported_contradiction"]


def test_a_sweep_over_machines_is_a_study_that_tells_them_apart(
    imported: Import, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [
        RUN | {"conc": conc, "hw": hw, "joules_per_output_token": 128 / conc}
        for conc in (32, 64)
        for hw in ("h200", "b200")
    ]
    folder = str(imported(*runs))
    for command in ("show", "analyze", "compare", "pareto", "pick"):
        assert main([command, folder]) == 0, capsys.readouterr().err
        said = capsys.readouterr().out
        assert "imported" in said
        assert "b200" in said or "unlike environments" in said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "it has no hw, conc"),
        ("3", "something else than JSON objects"),
        ("[]", "holds no run"),
        (json.dumps(RUN | {"tp": 2.5}), "`tp` is no number of GPUs"),
        (json.dumps(RUN | {"tp": 10**9}), "`tp` is no number of GPUs"),
        (json.dumps(RUN | {"tp": 5000, "pp": 5000}), "make 25,000,000 GPUs"),
        (json.dumps(RUN | {"tput_per_gpu": "fast"}), "`tput_per_gpu` is no number: 'fast'"),
    ],
)
def test_a_damaged_file_gives_one_paragraph_and_no_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agg_x.json").write_text(content, encoding="utf-8")
    assert main(["import", "agg_x.json", "--from", "inferencex"]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.glob("results/*"))
