"""Exports: every form holds the study's figures, in its units, and nothing that was not measured."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from llem.errors import ResultError
from llem.results.aggregate import PARQUET, aggregate
from llem.results.models import Failure
from llem.results.parts import write_part
from llem.results.table import StudyTable
from llem_analysis.footprint import Factors
from llem_analysis.weighed_rows import weighed
from llem_exporters.aienergyscore import write_aienergyscore
from llem_exporters.latex import escaped, latex_table
from llem_exporters.ml_energy.folder import write_ml_energy
from llem_exporters.mlflow_runs import log_mlflow
from llem_exporters.source import Source
from llem_exporters.tables import write_csv, write_parquet

if TYPE_CHECKING:
    from mlflow import MlflowClient

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
    assert (table.schema.field("energy.headline.energy_j").metadata or {})[b"unit"] == b"J"
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
    assert r"\sim: an estimate, not a measurement" in text


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
    assert summary["decode_wh"] == pytest.approx(1500 / 8 * 1000 / 3600), (
        "all that is not prefill, as their tool has it"
    )
    assert scored(folder) == pytest.approx(summary["total"]) == pytest.approx(2000 / 8 * 1000 / 3600)


def scored(folder: Path) -> float:
    """GPU energy in Wh, by the rules that AIEnergyScore's summarizer documents for a report of this layout.

    A report without `energy.gpu_energy_wh` at its top is one of phases. Each entry at its top that holds `energy.gpu` is a
    phase, in the unit that stands beside it (`Wh`, `kWh`, joules), and the score's energy is the sum over phases.
    """
    report = json.loads((folder / "benchmark_report.json").read_text())
    assert "energy" not in report
    factors = {"wh": 1.0, "kwh": 1000.0, "j": 1 / 3600}
    energies = [node["energy"] for node in report.values() if isinstance(node, dict) and "energy" in node]
    return float(sum(one["gpu"] * factors[one["unit"].lower()] for one in energies))


def test_aienergyscores_files_hold_one_energy_by_its_own_rules(study: Path, tmp_path: Path) -> None:
    write_aienergyscore(Source(study), tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    summary = json.loads((folder / "GPU_ENERGY_SUMMARY.json").read_text())
    assert (summary["units"], summary["format"]) == ("Wh", "optimum")
    assert scored(folder) == pytest.approx(summary["total"])
    assert sum(value for key, value in summary.items() if key.endswith("_wh")) == pytest.approx(summary["total"])
    assert float((folder / "GPU_ENERGY_WH.txt").read_text()) == pytest.approx(summary["total"], abs=0.005)


def test_aienergyscore_writes_no_zero_for_an_energy_that_is_small(write_design: WriteDesign, tmp_path: Path) -> None:
    folder = write_design([{"pytorch.batch_size": 1}], energy=lambda _: 1e-5)
    write_aienergyscore(Source(folder), tmp_path / "out")
    (written,) = (tmp_path / "out").iterdir()
    assert float((written / "GPU_ENERGY_WH.txt").read_text()) == pytest.approx(0.01 / 8 * 1000 / 3600, rel=0.01)


def test_aienergyscore_puts_all_under_decode_where_a_cycle_cannot_tell_prefill(study: Path, tmp_path: Path) -> None:
    change(
        study / "experiments" / "00001",
        lambda d: d["energy"].update(stages={"prefill": {"duration_s": 2.0, "energy_j": 500.0}}),
    )
    write_aienergyscore(Source(study), tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    assert "prefill" not in json.loads((folder / "benchmark_report.json").read_text())
    assert scored(folder) == pytest.approx(2000 / 8 * 1000 / 3600)


def test_aienergyscore_leaves_voided_cycles_out_and_says_so(study: Path, tmp_path: Path) -> None:
    change(study / "experiments" / "00001", lambda d: d["warnings"].append({"code": "host_suspended", "message": "x"}))
    change(
        study / "experiments" / "00004", lambda d: d["warnings"].append({"code": "thermal_throttle", "message": "x"})
    )
    _, left_out = write_aienergyscore(Source(study), tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    assert f"{folder.name}, 1 of its 2 cycles: no energy was measured on a GPU, or a warning voids it" in left_out
    summary = json.loads((folder / "GPU_ENERGY_SUMMARY.json").read_text())
    assert (summary["cycles"], summary["llem_warnings"]) == (1, ["thermal_throttle"])


def test_a_hash_that_is_a_path_makes_no_folder_elsewhere(study: Path, tmp_path: Path) -> None:
    for number in ("00001", "00004"):
        change(study / "experiments" / number, lambda d: d["identity"].update(config_hash="../../../out"))
    written, _ = write_aienergyscore(Source(study), tmp_path / "deep" / "out")
    assert written == 1
    assert len(list((tmp_path / "deep" / "out").iterdir())) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"designed", "deep"}


def change(job: Path, how: Callable[[dict[str, Any]], Any]) -> None:
    """Change a run's result."""
    data = json.loads((job / "result.json").read_text())
    how(data)
    (job / "result.json").write_text(json.dumps(data))


def mlflow_client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


@pytest.mark.process
def test_mlflow_gets_a_run_for_each_result(study: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert log_mlflow(Source(study, FACTORS), uri) == (uri, 6)
    client = mlflow_client(uri)
    experiment = client.get_experiment_by_name("designed")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    by_name = {run.info.run_name: run for run in runs}
    measured, estimated, failed = (by_name[f"experiments/0000{n}"] for n in (1, 2, 3))
    assert measured.data.metrics["energy.headline.j_per_output_token"] == 2.0
    assert measured.data.params["pytorch.batch_size"] == "1"
    assert measured.data.metrics["footprint.carbon_g"] == pytest.approx(2000 / 3.6e6 * 1.2 * 56)
    assert measured.data.tags["llem.energy_estimated"] == "false"
    assert measured.data.tags["llem.energy_unreliable"] == "false"
    assert estimated.data.tags["llem.energy_estimated"] == "true"
    assert "latency.ttft_s.p50" not in estimated.data.metrics
    assert (measured.info.status, failed.info.status) == ("FINISHED", "FAILED")
    assert failed.data.tags["llem.failure"] == "too large, 100%"


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking store that holds nothing yet: MLflow takes seconds to make one."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow_client(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> str:
    """A tracking store of the test's own."""
    return f"sqlite:///{shutil.copy(empty_store, tmp_path / 'mlflow.db')}"


def logged(source: Source, store: str) -> dict[str, Any]:
    """Every run's data in a store, by its directory, as MLflow's client reads it."""
    log_mlflow(source, store)
    client = mlflow_client(store)
    experiment = client.get_experiment_by_name(source.name)
    assert experiment is not None
    return {str(run.info.run_name): run.data for run in client.search_runs([experiment.experiment_id])}


def test_mlflow_gives_back_every_figure_and_setting_of_the_table(study: Path, store: str) -> None:
    runs = logged(Source(study), store)
    rows = Source(study).rows
    assert len(runs) == len(rows) == 6
    for row in rows:
        data = runs[row["directory"]]
        params = {
            name.removeprefix("config."): str(value)
            for name, value in row.items()
            if name.startswith("config.") and value is not None
        }
        assert data.params == params
        apart = ("config.", "point.", "failure.", "cycle", "position", "schema_version", "result_file.")
        figures = {
            name: value
            for name, value in weighed(row).items()
            if type(value) in (int, float) and not name.startswith(apart)
        }
        assert data.metrics == figures, "to the last digit, and none that was not measured"
        assert len(params) > 5
        assert (len(figures) > 10) == (row["status"] == "done")
        for name in ("study", "directory", "config_hash", "cycle", "position", "point.pytorch.batch_size"):
            assert data.tags[f"llem.{name}"] == str(row[name])


ODD = {
    "with[brackets]{and}=#%": "a",
    "with[brackets]{and}=#!": "b",
    "../up//": "c",
    "line\nend": "two\nlines, \N{SNOWMAN}, 'quoted' \"twice\"",
    "n" * 400: "d",
    "long": "x" * 7000,
    "none": None,
    "empty": "",
    "text of a number": "nan",
}


def test_mlflow_takes_settings_of_odd_names_and_values(write_design: WriteDesign, store: str) -> None:
    folder = write_design([{"pytorch.batch_size": 1}], each=lambda *_: {"sections": {"testbed": ODD}})
    ((_, data),) = logged(Source(folder), store).items()
    found = {name: value for name, value in data.params.items() if name.startswith("testbed.")}
    assert len(found) == len(ODD) - 1, "each has its own, and null none"
    assert sorted(v for v in found.values() if len(v) == 1) == ["a", "b", "c", "d"]
    assert found["testbed.long"] == "x" * 5999 + "\N{HORIZONTAL ELLIPSIS}", "what is cut says so"
    assert (found["testbed.empty"], found["testbed.text of a number"]) == ("", "nan")
    assert ODD["line\nend"] in found.values()


def test_mlflow_gets_no_figure_that_is_voided_or_no_number(study: Path, store: str) -> None:
    change(study / "experiments" / "00001", lambda d: d["warnings"].append({"code": "host_suspended", "message": "x"}))
    source = Source(study)
    source.rows[3]["throughput.tokens_per_s"] = float("nan")
    runs = logged(source, store)
    voided, other = runs["experiments/00001"], runs["experiments/00004"]
    assert "energy.headline.energy_j" not in voided.metrics
    assert "energy.headline.energy_j (host_suspended)" in voided.tags["llem.voided"]
    assert "energy.headline.energy_j" in other.metrics
    assert "throughput.tokens_per_s" not in other.metrics
    assert "host_suspended" not in other.tags.get("llem.voided", "")


def test_csv_and_parquet_give_back_every_value_of_the_table(study: Path, tmp_path: Path) -> None:
    source = Source(study)
    write_parquet(source, tmp_path / "runs.parquet")
    stream = io.StringIO()
    write_csv(source, stream)
    table, lines = pq.read_table(tmp_path / "runs.parquet").to_pylist(), read_csv(stream.getvalue())
    assert len(table) == len(lines) == len(source.rows)
    for row, back, line in zip(source.rows, table, lines, strict=True):
        held = {
            name: json.dumps(value) if isinstance(value, dict) else value
            for name, value in row.items()
            if value is not None and not name.startswith("result_file.")
        }
        assert {name: value for name, value in back.items() if value is not None} == held
        for name, value in held.items():
            if isinstance(value, float):
                assert float(line[name]) == value, name
            elif not isinstance(value, (list, dict, bool)):
                assert line[name] == str(value), name
        empty = {name for name in line if line[name] == ""} - {"energy_estimated"}
        assert all(back[name] is None for name in empty)


def test_forms_of_whole_results_need_the_studys_folder(study: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    parquet = aggregate(study).rename(alone / "results.parquet")
    with pytest.raises(ResultError, match=r"takes each run's result\.json"):
        write_ml_energy(Source(parquet), tmp_path / "out")


def test_a_table_in_parts_is_exported_from_its_folder(study: Path) -> None:
    write_part(study / PARQUET, StudyTable(study).read())
    assert (study / PARQUET).is_dir()
    whole, parts = io.StringIO(), io.StringIO()
    write_csv(Source(study), whole)
    write_csv(Source(study / PARQUET), parts)
    assert len(read_csv(parts.getvalue())) == 6
    assert sorted(parts.getvalue().splitlines()) == sorted(whole.getvalue().splitlines())


def _on_two_kinds_of_node(_point: Mapping[str, Any], cycle: int) -> dict[str, Any]:
    """Cycles 1 to 3 on one kind of node, 4 to 6 on another, which takes half the energy."""
    gpu = "NVIDIA A100" if cycle <= 3 else "NVIDIA H200"
    environment = {"node": gpu[-4:].lower(), "gpu": {"models": [gpu], "driver": "550.1"}, "cpu": {"model": "EPYC"}}
    return {"environment": environment} if cycle <= 3 else {"environment": environment, "energy": 0.5 + 0.01 * cycle}


def test_scores_of_unlike_nodes_stand_apart(write_design: WriteDesign, tmp_path: Path) -> None:
    folder = write_design(
        [{"testbed.a": 1, "testbed.b": 1}], energy=lambda _: 1.0, cycles=6, each=_on_two_kinds_of_node
    )
    written, left_out = write_aienergyscore(Source(folder), tmp_path / "scores")
    assert (written, left_out) == (2, [])
    files = sorted((tmp_path / "scores").glob("*/GPU_ENERGY_SUMMARY.json"))
    assert [path.parent.name[-2:] for path in files] == ["-1", "-2"]
    first, second = (json.loads(path.read_text()) for path in files)
    assert first["cycles"] == second["cycles"] == 3
    assert first["total"] > 1.5 * second["total"]
