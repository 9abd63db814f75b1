"""`llem import --from aienergyscore`: reports, summaries and tables of AIEnergyScore, and llem's own exports come back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from llem.cli import main
from llem.results.store import job_directories, read_result
from llem.results.study import StudyResult

WriteDesign = Callable[..., Path]


def energy(gpu: float) -> dict[str, Any]:
    return {"energy": {"unit": "kWh", "cpu": 1.0, "ram": 1.0, "gpu": gpu, "total": gpu + 2}, "latency": None}


REPORT: dict[str, Any] = {
    "load_model": energy(9.0),
    "preprocess": energy(0.0001),
    "prefill": energy(0.01),
    "decode": energy(0.04),
}
CONFIG: dict[str, Any] = {
    "backend": {"name": "pytorch", "model": "org/A", "device": "cuda", "device_ids": "0", "torch_dtype": "bfloat16"},
    "scenario": {
        "name": "energy_star",
        "dataset_name": "texts",
        "num_samples": 1000,
        "input_shapes": {"batch_size": 1},
    },
    "environment": {"gpu": ["NVIDIA H100"]},
}
TABLE = """\
model_name,model_class,task,reasoning_state,total_prompts,successful_prompts,failed_prompts,total_duration_seconds,\
avg_total_time,avg_time_to_first_token,total_tokens,total_prompt_tokens,total_completion_tokens,gpu_energy_wh,timestamp,error_message
org/A,B,text_gen,On,10,10,0,30.50,3.0500,0.1500,1500,500,1000,25.4000,2026-01-02T03:04:05,
org/B,B,text_gen,Off,10,9,1,45.20,5.0200,0.2200,2000,600,1400,35.6000,2026-01-02T04:04:05,PARTIAL FAILURE: 1/10
org/C,A,text_gen,Off,0,0,0,0.00,0.0000,0.0000,0,0,0,0.0000,2026-01-02T05:04:05,Model not found
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def study(path: str, capsys: pytest.CaptureFixture[str]) -> Path:
    capsys.readouterr()
    assert main(["import", path, "--from", "aienergyscore", "--json"]) == 0, capsys.readouterr().err
    return Path(json.loads(capsys.readouterr().out)["study"])


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = StudyResult(folder).to_arrow().sort_by("position").to_pylist()
    return found


def test_a_report_is_gpu_energy_of_its_requests_without_power(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "benchmark_report.json").write_text(json.dumps(REPORT), encoding="utf-8")
    (here / "benchmark_config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (row,) = rows(study("benchmark_report.json", capsys))
    joules = (0.0001 + 0.01 + 0.04) * 3.6e6
    assert row["energy.headline.energy_j"] == pytest.approx(joules)
    assert (row["tokens.requests"], row["energy.headline.j_per_request"]) == (1000, pytest.approx(joules / 1000))
    assert row["energy.stages.prefill.energy_j"] == pytest.approx(36_000)
    for unknown in ("energy.window_s", "energy.headline.mean_w", "tokens.output", "throughput.tokens_per_s"):
        assert row[unknown] is None, unknown
    assert (row["config.model.source"], row["config.dataset.name"]) == ("org/A", "texts")
    assert row["environment.gpu.models"] == ["NVIDIA H100"]


def test_a_table_has_a_run_for_each_model_and_a_failure_stays_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "batch").mkdir()
    (here / "batch" / "master_results.csv").write_text(TABLE, encoding="utf-8")
    first, second, third = rows(study("batch", capsys))
    assert first["energy.headline.energy_j"] == pytest.approx(25.4 * 3600)
    assert (first["energy.window_s"], first["tokens.output"]) == (30.5, 1000)
    assert first["energy.headline.j_per_output_token"] == pytest.approx(25.4 * 3.6)
    assert (first["latency.ttft_s.mean"], first["latency.ttft_s.n"]) == (0.15, 10)
    assert (second["status"], second["config.dataset.name"]) == ("done", "text_gen")
    assert "1 of its prompts failed" in second["warning_messages"][0]
    assert (third["status"], third["failure.message"]) == ("failed", "Model not found")
    assert third["energy.headline.energy_j"] is None


def test_a_report_of_the_batch_runner_is_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = {
        "successful_prompts": 10,
        "total_prompt_tokens": 500,
        "total_completion_tokens": 1000,
        "total_duration_seconds": 30,
    }
    (here / "r.json").write_text(json.dumps({"energy": {"gpu_energy_wh": 2.0}, "summary": summary}), encoding="utf-8")
    (row,) = rows(study("r.json", capsys))
    assert (row["energy.headline.energy_j"], row["energy.headline.mean_w"]) == (7200, 240)


def test_a_summary_alone_is_an_energy(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "s").mkdir()
    (here / "s" / "GPU_ENERGY_SUMMARY.json").write_text(json.dumps({"units": "Wh", "total": 50.1}), encoding="utf-8")
    (row,) = rows(study("s", capsys))
    assert row["energy.headline.energy_j"] == pytest.approx(50.1 * 3600)
    assert (row["config.model.source"], row["tokens.requests"]) == ("unknown", None)


def test_what_llem_exports_comes_back_and_goes_out_again(
    here: Path, write_design: WriteDesign, capsys: pytest.CaptureFixture[str]
) -> None:
    def each(_point: Mapping[str, Any], _cycle: int) -> dict[str, Any]:
        return {}

    own = write_design(
        [{"backend": "pytorch", "pytorch.batch_size": size} for size in (1, 2)],
        energy=lambda p: 2.0 / p["pytorch.batch_size"],
        cycles=3,
        each=each,
    )
    assert main(["export", str(own), "--format", "aienergyscore", "--output", "one"]) == 0
    back = study("one", capsys)
    assert main(["export", str(back), "--format", "aienergyscore", "--output", "two"]) == 0, capsys.readouterr().err

    def totals(folder: str) -> list[float]:
        files = (here / folder).rglob("GPU_ENERGY_SUMMARY.json")
        return sorted(json.loads(file.read_text(encoding="utf-8"))["total"] for file in files)

    assert len(totals("one")) == 2
    assert totals("two") == pytest.approx(totals("one"))
    assert {row["config.backend"] for row in rows(back)} == {"pytorch"}


@pytest.mark.parametrize("command", ["show", "analyze", "compare", "audit"])
def test_commands_take_the_study(here: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    (here / "t.csv").write_text(TABLE, encoding="utf-8")
    code = main([command, str(study("t.csv", capsys))])
    assert code == (1 if command == "audit" else 0), capsys.readouterr().err
    assert "imported" in capsys.readouterr().out


def test_warnings_that_an_export_carries_stay(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "r.json").write_text(json.dumps(REPORT | {"llem_warnings": ["thermal_throttle", 3]}), encoding="utf-8")
    result = read_result(next(job_directories(study("r.json", capsys))))
    assert [warning.code for warning in result.warnings] == ["imported", "thermal_throttle"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("r.json", "{", "is not JSON"),
        ("r.json", "[]", "it is no JSON object"),
        ("r.json", "{}", "it has no phase and no energy.gpu_energy_wh"),
        ("r.json", '{"units": "BTU", "total": 1}', "its units are 'BTU'"),
        ("r.json", '{"decode": {"energy": {"unit": "kWh", "gpu": "x"}}}', "`decode.energy.gpu` is no number"),
        ("t.csv", "a,b\n1,2\n", "it has no model_name, task"),
        ("t.csv", TABLE.splitlines()[0] + "\norg/A,B,t,On,1,x\n", "`successful_prompts` is no number: 'x'"),
        ("t.csv", TABLE.splitlines()[0] + "\n", "holds no run"),
    ],
)
def test_a_damaged_file_gives_one_paragraph_and_no_study(
    here: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, says: str
) -> None:
    (here / name).write_text(content, encoding="utf-8")
    assert main(["import", name, "--from", "aienergyscore"]) == 2
    assert says in capsys.readouterr().err
    (here / "none").mkdir()
    assert main(["import", "none", "--from", "aienergyscore"]) == 2
    assert not list(here.glob("results/*"))
