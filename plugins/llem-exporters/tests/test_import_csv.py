"""`llem import --from csv` and `llem.import_table`: any table as a study, by a mapping whose mistakes are named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import llem
from llem.cli import main
from llem.results.store import job_directories, read_result
from llem.results.study import StudyResult
from llem_exporters.importers.units import conversion

TABLE = """\
Model,GPU,N,Batch,Wh,sec,tok,req,TTFT ms,Wh/1k tok
org/A,H100,2,8,1.5,20,4000,100,120,
org/A,H100,2,16,1.9,20,7000,180,150,0.2714
org/A,A100,1,8,n/a,20,3000,90,150,
org/A,H100,2,8,1.55,20,4000,100,121,
"""
MAPPING = """\
source: table 3 of a paper
model: {column: Model}
engine: vllm
gpu: {column: GPU}
gpus: {column: N}
energy: {scope: gpu, method: power}
metrics:
  energy_j: {column: Wh, unit: Wh}
  window_s: sec
  output_tokens: tok
  requests: req
  latency.ttft_s.mean: {column: TTFT ms, unit: ms}
  j_per_output_token: {column: Wh/1k tok, unit: Wh/1000 tokens}
parameters:
  max_num_seqs: Batch
"""
Import = Callable[..., Path]


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Import:
    """Imports a table by a mapping; the study's folder."""
    monkeypatch.chdir(tmp_path)

    def write(table: str = TABLE, mapping: str | None = MAPPING) -> Path:
        capsys.readouterr()
        (tmp_path / "table.csv").write_text(table, encoding="utf-8")
        words = ["import", "table.csv", "--from", "csv", "--json"]
        if mapping is not None:
            (tmp_path / "table.yaml").write_text(mapping, encoding="utf-8")
            words += ["--mapping", "table.yaml"]
        assert main(words) == 0, capsys.readouterr().err
        return Path(json.loads(capsys.readouterr().out)["study"])

    return write


def rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = StudyResult(folder).to_arrow().sort_by("position").to_pylist()
    return found


def test_told_units_become_llems_own_and_what_is_missing_is_null(imported: Import) -> None:
    first, second, third, _ = rows(imported())
    assert first["energy.headline.energy_j"] == pytest.approx(1.5 * 3600)
    assert first["latency.ttft_s.mean"] == pytest.approx(0.12)
    assert second["energy.headline.j_per_output_token"] == pytest.approx(0.2714 * 3600 / 1000)
    assert (first["tokens.output"], first["tokens.requests"], first["tokens.input"]) == (4000, 100, None)
    for unknown in ("energy.headline.energy_j", "energy.headline.mean_w", "energy.headline.j_per_output_token"):
        assert third[unknown] is None, unknown
    assert third["throughput.tokens_per_s"] == 150
    assert (first["latency.ttft_s.p50"], first["memory.peak_memory_mb"], first["energy.headline.j_per_token"]) == (
        None,
        None,
        None,
    )


def test_what_follows_from_told_values_is_worked_out_and_said(imported: Import) -> None:
    result = read_result(next(job_directories(imported())))
    headline = result.energy.headline if result.energy else None
    assert headline is not None
    assert headline.mean_w == pytest.approx(5400 / 20)
    assert headline.j_per_output_token == pytest.approx(5400 / 4000)
    sources = result.environment["imported"]["values"]
    assert sources["energy.headline.energy_j"] == "Wh, converted from Wh"
    assert sources["energy.headline.mean_w"] == "worked out: energy / duration"
    assert sources["tokens.output"] == "tok"
    told = result.warnings[0]
    assert told.code == "imported"
    assert "energy.headline.energy_j (Wh) from Wh; latency.ttft_s.mean (TTFT ms) from ms" in told.message
    assert "energy.headline.mean_w (energy / duration)" in told.message
    assert "table 3 of a paper" in told.message


def test_mean_power_without_a_duration_is_no_energy(imported: Import) -> None:
    table = "W,tok/s\n300,150\n300,\n"
    mapping = "energy: {method: power}\nmetrics: {mean_w: W, tokens_per_s: tok/s}\n"
    first, second = rows(imported(table, mapping))
    assert (first["energy.headline.energy_j"], first["energy.window_s"]) == (None, None)
    assert first["energy.headline.j_per_output_token"] == 2.0
    assert second["energy.headline.j_per_output_token"] is None
    assert second["energy.headline.mean_w"] == 300


def test_values_that_contradict_one_another_are_named(imported: Import) -> None:
    table = "J,s,W\n100,10,10.1\n100,10,20\n"
    folder = imported(table, "energy: {method: counter}\nmetrics: {energy_j: J, window_s: s, mean_w: W}\n")
    first, second = (read_result(job) for job in job_directories(folder))
    assert [w.code for w in first.warnings] == ["imported"]
    assert [w.code for w in second.warnings] == ["imported", "imported_contradiction"]
    assert "is 20 in the file, and energy / duration gives 10" in second.warnings[1].message
    assert second.energy is not None
    assert second.energy.headline is not None
    assert second.energy.headline.mean_w == 20


def test_rows_of_one_configuration_are_cycles_unlike_machines_are_apart(
    imported: Import, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = imported()
    found = rows(folder)
    assert [row["cycle"] for row in found] == [1, 1, 2, 3]
    assert [row["point.vllm.max_num_seqs"] for row in found] == [8, 16, 8, 8]
    assert found[0]["environment.gpu.models"] == ["H100", "H100"]
    assert main(["show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "unlike_nodes" in shown
    assert "an interval takes 3 or more" in shown


@pytest.mark.parametrize("command", ["show", "analyze", "compare", "pareto", "pick", "audit"])
def test_commands_take_the_study(imported: Import, capsys: pytest.CaptureFixture[str], command: str) -> None:
    folder = imported()
    code = main([command, str(folder)])
    said = capsys.readouterr()
    assert code == (1 if command == "audit" else 0), said.err
    assert "imported" in said.out


@pytest.mark.parametrize("form", ["csv", "latex", "parquet", "aienergyscore"])
def test_exports_take_the_study(imported: Import, tmp_path: Path, form: str) -> None:
    table = "req,J\n10,100\n"
    folder = imported(table, "energy: {method: counter}\nmetrics: {energy_j: J, requests: req}\n")
    code = main(["export", str(folder), "--format", form, "--output", str(tmp_path / "out")])
    # Requests of a table may have come by themselves, which AIEnergyScore's figures may not hold.
    assert code == (2 if form == "aienergyscore" else 0)


def test_ml_energys_form_leaves_the_study_out_with_the_reason(
    imported: Import, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(imported()), "--format", "ml-energy", "--output", str(tmp_path / "out")]) == 2
    assert "requests arrived by themselves" in capsys.readouterr().err


@pytest.mark.process
def test_the_report_takes_the_study(imported: Import) -> None:
    folder = imported()
    assert main(["report", str(folder)]) == 0
    assert "imported" in (folder / "report.html").read_text(encoding="utf-8")


def test_what_llem_exports_comes_back_without_a_mapping(imported: Import, tmp_path: Path) -> None:
    first = imported()
    assert main(["export", str(first), "--format", "csv", "--output", str(tmp_path / "out.csv")]) == 0
    again = imported((tmp_path / "out.csv").read_text(encoding="utf-8"), None)
    for one, other in zip(rows(first), rows(again), strict=True):
        for column, value in one.items():
            if column.startswith(
                ("energy.headline", "tokens.", "throughput.", "latency.", "point.", "environment.gpu")
            ) and column not in ("energy.headline.samplers",):
                assert other[column] == value, column
        assert other["config.model.source"] == "org/A"


def test_a_table_of_another_country_is_read_by_its_own_signs(imported: Import) -> None:
    table = "Leistung;Text\n1.234,5;a\n–;b\n"
    mapping = (
        "separator: ';'\ndecimal: ','\nthousands: '.'\nempty: ['–']\nenergy: {method: power}\nmetrics: {mean_w: Leistung}\n"
        "parameters: {kind: Text}\n"
    )
    first, second = rows(imported(table, mapping))
    assert first["energy.headline.mean_w"] == 1234.5
    assert second["energy.headline.mean_w"] is None


HEAD = "energy: {method: power}\n"


@pytest.mark.parametrize(
    ("table", "mapping", "says"),
    [
        ("a\n1\n", HEAD + "metrics: {j_per_output_tokn: a}", "no metric `j_per_output_tokn`|`j_per_output_token`?"),
        ("a\n1\n", HEAD + "metrics: {energy_j: {column: a, unit: ms}}", "`ms` is no unit of it|kWh"),
        ("a\n1\n", HEAD + "metrics: {energy_j: b}", "the table has no column `b`|Columns: a"),
        ("energie\n1\n", HEAD + "metrics: {energy_j: energi}", "Did you mean `energie`?"),
        ("a\n1\n", "metrics: {energy_j: a}", "energy is mapped, and not how it was told"),
        ("a\n1\n", "energy: {method: guess}\nmetrics: {energy_j: a}", "`guess` is none of counter, power, estimate"),
        ("a\n1\n", HEAD + "metrics: {energy_j: a}\nmodell: b", "`modell`|Did you mean `model`?"),
        ("a\n1\n", HEAD + "metrics: {energy_j: a, energy.headline.energy_j: a}", "is mapped twice"),
        ("a\n1\n", HEAD + "metrics: {}", "maps no metric"),
        ("a\n1\n", HEAD + "metrics: {energy_j: a}\nmodel: a", "the table has a column of that name"),
        ("a\n1\n", HEAD + "metrics: {energy_j: a}\nparameters: {'x/y': a}", "no name of a parameter"),
        ("a\n1\n", HEAD + "metrics: {energy_j: a}\nparameters: {backend: a}", "Map it as `engine`"),
        (
            "a\n1\n",
            HEAD + "metrics: {energy_j: a}\nparameters: {x.y.z: a, x.y: a}",
            "is there twice, or above another one",
        ),
        ("a\n1\n", "metrics: [", "is not YAML"),
        ("a\n1\n", "- 1", "a mapping has keys"),
        ("a\nx\n", HEAD + "metrics: {energy_j: a}", "line 2: the column `a` holds no number: 'x'"),
        ("a,b\n1\n", HEAD + "metrics: {energy_j: a}", "line 2 has 1 cells, and the first line names 2"),
        ("a,a\n1,2\n", HEAD + "metrics: {energy_j: a}", "two of its columns are called `a`"),
        ("", HEAD + "metrics: {energy_j: a}", "this table is empty"),
        ("a\n", HEAD + "metrics: {energy_j: a}", "holds no run"),
        ('a\n"1\n', HEAD + "metrics: {energy_j: a}", "it is no CSV"),
        ("a\n1\n", None, "none of its columns has the name|--mapping"),
        ("a\n1\n", HEAD + "metrics: {energy_j: a}\ngpu: X\ngpus: {value: 0}", "no number of GPUs"),
    ],
)
def test_a_mistake_is_told_in_one_paragraph_and_leaves_no_study(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    table: str,
    mapping: str | None,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(table, encoding="utf-8")
    words = ["import", "t.csv", "--from", "csv"]
    if mapping is not None:
        (tmp_path / "m.yaml").write_text(mapping, encoding="utf-8")
        words += ["--mapping", "m.yaml"]
    assert main(words) != 0
    said = capsys.readouterr().err
    assert all(part in said for part in says.split("|")), said
    assert "Traceback" not in said
    assert not list(tmp_path.glob("results/*"))


@pytest.mark.parametrize(
    ("hostile", "says"),
    [
        (b"a\n\xff\n", "no UTF-8"),
        (b"a\n" + b"9" * 400_000 + b"\n", "it is no CSV"),
        (b"a\n\0\n", "holds no number"),
    ],
)
def test_a_hostile_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hostile: bytes, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_bytes(hostile)
    (tmp_path / "m.yaml").write_text(HEAD + "metrics: {energy_j: a}", encoding="utf-8")
    assert main(["import", "t.csv", "--from", "csv", "--mapping", "m.yaml"]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.glob("results/*"))


def test_a_pipe_or_a_bomb_in_the_place_of_a_mapping_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("a\n1\n", encoding="utf-8")
    os.mkfifo(tmp_path / "pipe")
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    (tmp_path / "bomb").write_text(bomb + "metrics: *a59\n", encoding="utf-8")
    (tmp_path / "deep").write_text("metrics: " + "[" * 5_000, encoding="utf-8")
    for name, says in (("pipe", "it is a pipe"), ("bomb", "Keys: source"), ("deep", "not YAML")):
        assert main(["import", "t.csv", "--from", "csv", "--mapping", name]) == 2
        said = capsys.readouterr().err
        assert says in said, said
        assert len(said) < 5_000
    assert not list(tmp_path.glob("results/*"))


def test_a_form_of_its_own_takes_no_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["import", ".", "--from", "ml-energy", "--mapping", "m.yaml"]) == 2
    assert "takes no mapping" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("unit", "wanted", "given", "gives"),
    [
        ("kWh", "J", 2, 7.2e6),
        ("ms", "s", 5, 0.005),
        ("GB", "MiB", 1, 953.674),
        ("Wh/1000 requests", "J/request", 50, 180),
        ("J/Mtok", "J/token", 3e6, 3),
        ("tokens/J", "J/token", 4, 0.25),
        ("tokens/kWh", "J/token", 3.6e6, 1),
        ("Mtok/kWh", "J/token", 3.6, 1),
        ("tokens/min", "token/s", 60, 1),
        ("queries/h", "request/s", 3600, 1),
    ],
)
def test_units_are_converted(unit: str, wanted: str, given: float, gives: float) -> None:
    convert = conversion(unit, wanted)
    assert convert is not None
    assert convert(given) == pytest.approx(gives, rel=1e-5)


@pytest.mark.parametrize(
    ("unit", "wanted"), [("W", "J"), ("tokens", "s"), ("J/request", "J/token"), ("tokens/0 J", "J/token"), ("x", "")]
)
def test_a_unit_of_another_quantity_is_none(unit: str, wanted: str) -> None:
    assert conversion(unit, wanted) is None


ENERGY = {"scope": "gpu", "method": "counter"}


class _Records:
    """A table that gives its rows in the way of pandas."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    def to_dict(self, how: str) -> list[dict[str, Any]]:
        assert how == "records"
        return self._rows


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"batch": [8, 16], "Wh": [0.5, None], "out": [1200, 2400]}),
        {"batch": [8, 16], "Wh": [0.5, float("nan")], "out": [1200, 2400]},
        [{"batch": 8, "Wh": 0.5, "out": 1200}, {"batch": 16, "out": 2400}],
        _Records([{"batch": 8, "Wh": 0.5, "out": 1200}, {"batch": 16, "Wh": float("nan"), "out": 2400}]),
    ],
)
def test_a_table_in_memory_becomes_a_study(tmp_path: Path, table: Any) -> None:
    study = llem.import_table(
        table,
        metrics={"energy_j": {"column": "Wh", "unit": "Wh"}, "output_tokens": "out"},
        parameters={"batch_size": "batch"},
        engine="vllm",
        energy=ENERGY,
        output=tmp_path,
    )
    first, second = study.to_arrow().sort_by("position").to_pylist()
    assert first["energy.headline.j_per_output_token"] == pytest.approx(1.5)
    assert second["energy.headline.energy_j"] is None
    assert [first["point.vllm.batch_size"], second["point.vllm.batch_size"]] == [8, 16]
    assert "imported" in first["warnings"]


@pytest.mark.parametrize(
    ("table", "metrics", "says"),
    [
        ({"a": [1], "b": [1, 2]}, {"energy_j": "a"}, "not of one length"),
        (3, {"energy_j": "a"}, "this is no table"),
        ([1, 2], {"energy_j": "a"}, "this is no table"),
        ({"a": [1]}, {"energy": "a"}, "no metric `energy`"),
        ({"a": ["many"]}, {"energy_j": "a"}, "row 1: the column `a` holds no number"),
        ({"a": []}, {"energy_j": "a"}, "holds no row"),
    ],
)
def test_a_wrong_table_in_memory_is_named(tmp_path: Path, table: Any, metrics: dict[str, Any], says: str) -> None:
    with pytest.raises(llem.LlemError, match=says):
        llem.import_table(table, metrics=metrics, energy=ENERGY, output=tmp_path)
    assert not list(tmp_path.iterdir())
