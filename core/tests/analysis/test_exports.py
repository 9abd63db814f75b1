"""Exports: every form holds the study's figures, in its units, and nothing that was not measured."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from llem.analysis.footprint import Factors
from llem.errors import ResultError
from llem.export.aienergyscore import write_aienergyscore
from llem.export.latex import escaped, latex_table
from llem.export.ml_energy import ml_energy_json, record
from llem.export.mlflow_runs import log_mlflow
from llem.export.source import Source
from llem.export.tables import write_csv, write_parquet
from llem.results.aggregate import PARQUET, aggregate, study_table
from llem.results.models import Failure
from llem.results.parts import write_part

WriteDesign = Callable[..., Path]
FACTORS = Factors(56.0, 0.25, "EUR", 1.2)


@pytest.fixture
def study(write_design: WriteDesign) -> Path:
    """Two batch sizes; the larger is only estimated and streams nothing; a third one failed."""

    def each(point: Mapping[str, Any], _cycle: int) -> dict[str, Any]:
        if point["pytorch.batch_size"] == 4:
            return {"failure": Failure(type="OutOfMemory", message="too large, 100%")}
        return {"method": "estimate", "scope": "cpu"} if point["pytorch.batch_size"] == 2 else {}

    return write_design(
        [{"backend": "pytorch", "pytorch.batch_size": size} for size in (1, 2, 4)],
        energy=lambda p: 2.0 / p["pytorch.batch_size"],
        speed=lambda p: 100.0 * p["pytorch.batch_size"],
        ttft=lambda p: 0.1 if p["pytorch.batch_size"] == 1 else None,
        cycles=2,
        each=each,
    )


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_each_run_and_empty_cells_for_what_was_not_measured(study: Path) -> None:
    stream = io.StringIO()
    write_csv(Source(study), stream)
    rows = read_csv(stream.getvalue())
    assert [row["point.pytorch.batch_size"] for row in rows] == ["1", "2", "4", "1", "2", "4"]
    assert [row["latency.ttft_s.p50"] for row in rows[:3]] == ["0.1", "", ""]
    assert [row["energy_estimated"] for row in rows[:3]] == ["false", "true", ""]
    assert not any(name.startswith("result_file.") for name in rows[0])
    assert rows[2]["status"] == "failed"
    assert rows[2]["throughput.tokens_per_s"] == ""
    assert "footprint.carbon_g" not in rows[0]


def test_csv_has_carbon_and_cost_where_factors_are_given(study: Path) -> None:
    stream = io.StringIO()
    write_csv(Source(study, FACTORS), stream)
    rows = read_csv(stream.getvalue())
    kwh = float(rows[0]["energy.headline.energy_j"]) / 3.6e6
    assert float(rows[0]["footprint.carbon_g"]) == pytest.approx(kwh * 1.2 * 56)
    assert float(rows[0]["footprint.cost"]) == pytest.approx(kwh * 1.2 * 0.25)
    assert rows[2]["footprint.carbon_g"] == ""
    assert rows[0]["footprint.factors"] == "56 g CO2e/kWh (given), 0.25 EUR/kWh, PUE 1.2"


def test_parquet_is_the_table_with_units(study: Path, tmp_path: Path) -> None:
    write_parquet(Source(study, FACTORS), tmp_path / "runs.parquet")
    table = pq.read_table(tmp_path / "runs.parquet")
    assert table.num_rows == 6
    assert table.schema.field("energy.headline.energy_j").metadata[b"unit"] == b"J"
    assert table.column("footprint.carbon_g").null_count == 2


def test_latex_is_a_table_of_configurations(study: Path) -> None:
    text = latex_table(Source(study, FACTORS))
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert lines[0].startswith(r"pytorch.batch\_size & tokens/s & J/output token & TTFT (s)")
    assert r"1 & $100 \pm 0$ & $2.00 \pm 0.00$ & $0.100 \pm 0.000$" in lines[1]
    assert r"& $\sim 1.00 \pm 0.00$ & -- &" in lines[2]
    assert len(lines) == 3, "what failed has no line"
    columns = text.partition(r"\begin{tabular}{")[2].partition("}")[0]
    assert all(line.count("&") == len(columns) - 1 for line in lines)
    assert "sim: an estimate, not a measurement" in text


def test_latex_shows_variation_that_is_small_and_none_where_there_is_one_cycle(write_design: WriteDesign) -> None:
    points = [{"pytorch.batch_size": 1}, {"pytorch.batch_size": 2}]
    varied = write_design(points, energy=lambda _: 1.0, cycles=3, noise=0.0001)
    assert re.search(r"& \$1\.0000\d? \\pm 0\.0*[1-9]\d?\$", latex_table(Source(varied)))
    once = latex_table(Source(write_design(points, energy=lambda _: 1.0, name="once")))
    assert "pm" not in once
    assert "one cycle each" in once


def test_latex_text_is_escaped() -> None:
    assert escaped(r"50 % of a_b & {c} ~ ^ \x #1 $") == (
        r"50 \% of a\_b \& \{c\} \textasciitilde{} \textasciicircum{} \textbackslash{}x \#1 \$"
    )


def test_aienergyscore_has_gpu_energy_for_a_thousand_requests(study: Path, tmp_path: Path) -> None:
    written, left_out = write_aienergyscore(Source(study), tmp_path / "out")
    assert written == 1
    assert len(left_out) == 1
    assert "no energy was measured on a GPU" in left_out[0]
    (folder,) = (tmp_path / "out").iterdir()
    summary = json.loads((folder / "GPU_ENERGY_SUMMARY.json").read_text())
    wh = 2000 / 8 * 1000 / 3600
    assert summary["units"] == "Wh"
    assert summary["total"] == pytest.approx(wh)
    assert (summary["requests"], summary["measured_requests"], summary["cycles"]) == (1000, 16, 2)
    assert (folder / "GPU_ENERGY_WH.txt").read_text() == f"{wh:.2f}\n"
    report = json.loads((folder / "benchmark_report.json").read_text())
    assert report["decode"]["energy"]["gpu"] == pytest.approx(wh / 1000)
    assert report["decode"]["energy"]["cpu"] is None


def test_aienergyscore_refuses_a_study_without_gpu_energy(write_design: WriteDesign, tmp_path: Path) -> None:
    folder = write_design([{"pytorch.batch_size": 1}], each=lambda _p, _c: {"method": "estimate", "scope": "cpu"})
    with pytest.raises(ResultError, match="no configuration of this study has any"):
        write_aienergyscore(Source(folder), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_aienergyscore_tells_prefill_and_decode_apart_where_the_result_does(study: Path, tmp_path: Path) -> None:
    for number in ("00001", "00004"):
        file = study / "experiments" / number / "result.json"
        data = json.loads(file.read_text())
        data["energy"]["stages"] = {
            "prefill": {"duration_s": 2.0, "energy_j": 500.0},
            "decode": {"duration_s": 8.0, "energy_j": 1400.0},
        }
        file.write_text(json.dumps(data))
    write_aienergyscore(Source(study), tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    summary = json.loads((folder / "GPU_ENERGY_SUMMARY.json").read_text())
    assert summary["prefill_wh"] == pytest.approx(500 / 8 * 1000 / 3600)
    assert summary["decode_wh"] == pytest.approx(1400 / 8 * 1000 / 3600)


def test_ml_energy_has_its_fields_and_null_for_an_estimate(study: Path) -> None:
    records = json.loads(ml_energy_json(Source(study)))
    assert len(records) == 4, "what failed is left out"
    measured, estimated = records[:2]
    assert measured["energy_per_token_joules"] == 2.0
    assert measured["output_throughput_tokens_per_sec"] == 100.0
    assert measured["steady_state_duration_seconds"] == 10.0
    assert (measured["total_output_tokens"], measured["completed_requests"], measured["avg_output_len"]) == (
        1000,
        8,
        125,
    )
    assert measured["max_num_seqs"] == 1
    assert measured["median_itl_ms"] is None
    assert measured["is_stable"] is True
    assert estimated["steady_state_energy_joules"] is None
    assert estimated["is_stable"] is False
    assert estimated["unstable_reason"] == "energy is no GPU measurement (cpu estimate)"


def test_ml_energy_counts_gpus_in_parallel_however_an_engine_writes_it(study: Path) -> None:
    result = next(result for _, result in Source(study).results())
    for own in ({"tensor_parallel_size": 4}, {"tensor_parallel": {"size": 4}}):
        found = record(result.model_copy(update={"config": {**result.config, "pytorch": own}}), "x")
        assert (found["tensor_parallel"], found["data_parallel"]) == (4, None)


def test_mlflow_gets_a_run_for_each_result(study: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert log_mlflow(Source(study, FACTORS), uri) == (uri, 6)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("designed")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    by_name = {run.info.run_name: run for run in runs}
    measured, estimated, failed = (by_name[f"experiments/0000{n}"] for n in (1, 2, 3))
    assert measured.data.metrics["energy.headline.j_per_output_token"] == 2.0
    assert measured.data.params["pytorch.batch_size"] == "1"
    assert measured.data.metrics["footprint.carbon_g"] == pytest.approx(2000 / 3.6e6 * 1.2 * 56)
    assert measured.data.tags["llem.energy_estimated"] == "false"
    assert estimated.data.tags["llem.energy_estimated"] == "true"
    assert "latency.ttft_s.p50" not in estimated.data.metrics
    assert (measured.info.status, failed.info.status) == ("FINISHED", "FAILED")
    assert failed.data.tags["llem.failure"] == "too large, 100%"


def test_forms_of_whole_results_need_the_studys_folder(study: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    parquet = aggregate(study).rename(alone / "results.parquet")
    with pytest.raises(ResultError, match=r"takes each run's result\.json"):
        ml_energy_json(Source(parquet))


def test_a_table_in_parts_is_exported_from_its_folder(study: Path) -> None:
    write_part(study / PARQUET, study_table(study))
    assert (study / PARQUET).is_dir()
    whole, parts = io.StringIO(), io.StringIO()
    write_csv(Source(study), whole)
    write_csv(Source(study / PARQUET), parts)
    assert len(read_csv(parts.getvalue())) == 6
    assert sorted(parts.getvalue().splitlines()) == sorted(whole.getvalue().splitlines())
    assert ml_energy_json(Source(study / PARQUET)) == ml_energy_json(Source(study))
