"""`llem import`: another tool's file as a study, with its figures as they were, its source named, and null for the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llem.cli import main
from llem.results.store import job_directories, read_result
from llem.results.study import StudyResult

ROW: dict[str, Any] = {
    "task": "lm-arena-chat",
    "model_id": "org/Model-8B",
    "gpu_model": "H100",
    "num_gpus": 2,
    "max_num_seqs": 64,
    "weight_precision": "bfloat16",
    "tensor_parallel": 2,
    "total_params_billions": 8.0,
    "activated_params_billions": 8.0,
    "steady_state_energy_joules": 1000.0,
    "steady_state_duration_seconds": 10.0,
    "energy_per_token_joules": 0.5,
    "energy_per_request_joules": 100.0,
    "output_throughput_tokens_per_sec": 200.0,
    "request_throughput_req_per_sec": 1.0,
    "avg_power_watts": 100.0,
    "total_output_tokens": 2000.0,
    "completed_requests": 10.0,
    "mean_itl_ms": 21.0,
    "median_itl_ms": 20.0,
    "p90_itl_ms": 25.0,
    "p95_itl_ms": 30.0,
    "p99_itl_ms": None,
    "is_stable": True,
    "unstable_reason": "",
}
Import = Callable[..., Path]


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Import:
    """Imports rows of ML.ENERGY's form; the study's folder."""
    monkeypatch.chdir(tmp_path)

    def write(*rows: dict[str, Any]) -> Path:
        file = tmp_path / "theirs" / "runs" / "llm.parquet"
        file.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(list(rows)), file)
        assert main(["import", "theirs", "--from", "ml-energy", "--name", "board", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["count"], told["from"]) == (len(rows), "ml-energy")
        return Path(told["study"])

    return write


def test_figures_are_as_the_file_tells_them_and_null_where_it_does_not(imported: Import) -> None:
    folder = imported(ROW)
    assert folder.name.startswith("board-")
    (row,) = StudyResult(folder).to_arrow().to_pylist()
    assert row["energy.headline.j_per_output_token"] == 0.5
    assert (row["energy.headline.energy_j"], row["energy.window_s"], row["energy.headline.mean_w"]) == (1000, 10, 100)
    assert (row["throughput.tokens_per_s"], row["throughput.requests_per_s"]) == (200.0, 1.0)
    assert (row["latency.itl_s.mean"], row["latency.itl_s.p50"], row["latency.itl_s.p95"]) == (0.021, 0.02, 0.03)
    assert row["latency.itl_s.n"] == 1990
    for unknown in ("itl_s.p99", "itl_s.min", "itl_s.std", "ttft_s.p50", "e2e_s.p50"):
        assert row[f"latency.{unknown}"] is None, unknown
    assert (row["tokens.input"], row["memory.peak_memory_mb"], row["energy.headline.j_per_token"]) == (None,) * 3
    assert (row["tokens.requests"], row["tokens.output"]) == (10, 2000)
    assert row["environment.gpu.models"] == ["H100", "H100"]
    assert row["config.model.source"] == "org/Model-8B"


def test_each_result_says_that_it_is_imported_and_from_where(imported: Import) -> None:
    folder = imported(ROW, {**ROW, "is_stable": False, "unstable_reason": "too short"})
    results = [read_result(job) for job in job_directories(folder)]
    assert [r.environment["imported"]["from"] for r in results] == ["ml-energy"] * 2
    assert all(Path(r.environment["imported"]["path"]).is_dir() for r in results)
    sources = results[0].environment["imported"]["values"]
    assert sources["energy.headline.j_per_output_token"] == "energy_per_token_joules"
    assert sources["latency.itl_s.mean"] == "mean_itl_ms, converted from ms"
    assert "latency.itl_s.p99" not in sources
    assert [[w.code for w in r.warnings] for r in results] == [["imported"], ["imported", "imported_unstable"]]
    assert "too short" in results[1].warnings[1].message
    assert [r.identity.study for r in results] == [folder.name] * 2


def test_runs_of_one_configuration_are_cycles_and_what_varies_is_the_point(imported: Import) -> None:
    rows = [{**ROW, "max_num_seqs": size, "seed": seed} for seed in (1, 2) for size in (8, 64)]
    table = StudyResult(imported(*rows)).to_arrow().sort_by("position")
    assert table.column("cycle").to_pylist() == [1, 1, 2, 2]
    assert table.column("point.unknown.max_num_seqs").to_pylist() == [8, 64, 8, 64]
    assert [name for name in table.column_names if name.startswith("point.")] == ["point.unknown.max_num_seqs"]
    assert len(set(table.column("config_hash").to_pylist())) == 2


def test_every_command_reads_the_study(imported: Import, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {**ROW, "max_num_seqs": size, "energy_per_token_joules": 4.0 / size + cycle / 1000}
        for cycle in (1, 2, 3)
        for size in (8, 64)
    ]
    folder = str(imported(*rows))
    assert main(["show", folder]) == 0
    shown = capsys.readouterr().out
    assert "imported" in shown
    assert main(["pick", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"] == {"unknown.max_num_seqs": 64}
    assert main(["pareto", folder]) == 0
    assert main(["analyze", folder, "--figure", "j_per_output_token", "--json"]) == 0
    capsys.readouterr()
    assert main(["export", folder, "--format", "csv"]) == 0
    assert capsys.readouterr().out.count("H100") >= 6


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere", "--from", "ml-energy"], "there is nothing to import here"),
        (["text", "--from", "ml-energy"], "cannot be read as Parquet"),
        (["other.parquet", "--from", "ml-energy"], "not of ML.ENERGY's form: it has no column task"),
        (["none.parquet", "--from", "ml-energy"], "holds no run"),
        (["none.parquet", "--from", "ml-enrgy"], "Did you mean `ml-energy`?"),
        (["none.parquet", "--from", "ml-energy", "--name", "a/b"], "no name of a study"),
    ],
)
def test_what_cannot_be_read_is_told_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("no table")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    pq.write_table(pa.Table.from_pylist([ROW]).slice(0, 0), tmp_path / "none.parquet")
    assert main(["import", *words]) != 0
    assert says in capsys.readouterr().err
    assert not list(tmp_path.glob("results/*"))


def test_a_file_that_breaks_in_the_middle_leaves_no_half_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pq.write_table(
        pa.Table.from_pylist([{**ROW, "llem_energy_method": how} for how in ("power", "guess")]),
        tmp_path / "runs.parquet",
    )
    assert main(["import", "runs.parquet", "--from", "ml-energy"]) != 0
    said = capsys.readouterr().err
    assert "its run 2 (org/Model-8B) is not of ML.ENERGY's form" in said
    assert not list(tmp_path.glob("results/*"))


def test_a_known_ranking_is_found_again(imported: Import, capsys: pytest.CaptureFixture[str]) -> None:
    known = {"org/Small-1B": 0.05, "org/Sparse-30B": 0.2, "org/Dense-8B": 0.4, "org/Large-70B": 2.5}
    rows = [
        {
            **ROW,
            "model_id": model,
            "energy_per_token_joules": joules * noise,
            "output_throughput_tokens_per_sec": 100 / joules,
        }
        for noise in (0.99, 1.0, 1.01)
        for model, joules in sorted(known.items())
    ]
    folder = str(imported(*rows))
    assert main(["show", folder, "--sort", "energy.headline.j_per_output_token"]) == 0
    shown = capsys.readouterr().out
    assert sorted(known, key=shown.index) == list(known)
    assert main(["pick", folder, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["model.source"] == "org/Small-1B"
