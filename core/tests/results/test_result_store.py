"""Results are read as what they are, or refused by name; `results.parquet` can be made of them at any time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.errors import ResultError
from llem.results.aggregate import aggregate
from llem.results.arrow_table import rows_table
from llem.results.columns import fixed_columns, unit_of
from llem.results.models import SCHEMA_VERSION, ExperimentResult, Failure
from llem.results.parts import PartFile
from llem.results.store import job_directories, read_result
from llem.results.study import StudyResult
from llem.results.table import StudyTable

MakeResult = Callable[..., ExperimentResult]
WriteStudy = Callable[..., Path]


def _tampered(folder: Path, **changes: Any) -> Path:
    file = folder / "experiments" / "0001" / "result.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return file


def test_a_result_is_read_from_its_file_or_its_job_directory(make_result: MakeResult, write_study: WriteStudy) -> None:
    result = make_result(point={"dataset.n": 8})
    job = write_study(result) / "experiments" / "0001"
    assert read_result(job) == result
    assert read_result(job / "result.json") == result


def test_a_newer_schema_is_refused_with_both_versions(make_result: MakeResult, write_study: WriteStudy) -> None:
    file = _tampered(write_study(make_result()), schema_version=SCHEMA_VERSION + 1, new_figure=1)
    with pytest.raises(ResultError) as error:
        read_result(file)
    assert f"schema version {SCHEMA_VERSION + 1}" in str(error.value)
    assert f"up to version {SCHEMA_VERSION}" in str(error.value)


@pytest.mark.parametrize("version", [0, -1, None, "1", True, 1.5])
def test_a_schema_that_no_release_wrote_is_refused(
    make_result: MakeResult, write_study: WriteStudy, version: object
) -> None:
    with pytest.raises(ResultError, match=r"schema.version"):
        read_result(_tampered(write_study(make_result()), schema_version=version))


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", '{"a": 1}', "[" * 100_000, "\udcff"])
def test_what_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "result.json"
    file.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    with pytest.raises(ResultError, match=r"result\.json"):
        read_result(file)


def test_a_result_that_misses_a_part_names_the_key(make_result: MakeResult, write_study: WriteStudy) -> None:
    with pytest.raises(ResultError, match=r"`identity\.config_hash`"):
        read_result(_tampered(write_study(make_result()), identity={"cycle": 1}))


def test_a_missing_result_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="no result here"):
        read_result(tmp_path)


def test_folders_that_an_engine_left_inside_a_job_are_not_searched(
    make_result: MakeResult, write_study: WriteStudy
) -> None:
    folder = write_study(make_result())
    inner = folder / "experiments" / "0001" / "cache"
    inner.mkdir()
    (inner / "result.json").write_text("{}")
    (folder / "experiments" / "0002").mkdir()
    assert len(list(job_directories(folder))) == 1


def test_a_row_holds_identity_point_configuration_figures_and_warnings(
    make_result: MakeResult, write_study: WriteStudy
) -> None:
    folder = write_study(
        make_result(point={"testbed.batch_size": 2}, warnings={"thermal_throttle": "it was hot"}),
        make_result(
            config_hash="b" * 64,
            point={"testbed.batch_size": 4},
            position=2,
            failure=Failure(type="Crash", message="it ended", phase="measure", signal="SIGSEGV"),
        ),
    )
    path = aggregate(folder)
    assert path == folder / "results.parquet"
    done, failed = pq.read_table(path).to_pylist()
    assert done["point.testbed.batch_size"] == 2
    assert done["config.dataset.n"] == 8
    assert done["config.model.revision"] is None
    assert done["throughput.tokens_per_s"] == 100.0
    assert done["energy.headline.method"] == "counter"
    assert done["energy.gpu.counter.energy_j"] == 500.0
    assert done["latency.ttft_s.p50"] == 0.0213
    assert done["warnings"] == ["thermal_throttle"]
    assert failed["status"] == "failed"
    assert (failed["failure.type"], failed["failure.phase"], failed["failure.signal"]) == (
        "Crash",
        "measure",
        "SIGSEGV",
    )
    assert failed["throughput.tokens_per_s"] is None
    assert failed["energy.gpu.counter.energy_j"] is None


def test_units_stand_in_the_fields_metadata_and_every_column_may_be_null(
    make_result: MakeResult, write_study: WriteStudy
) -> None:
    schema = StudyTable(write_study(make_result())).read().schema
    units = {f.name: (f.metadata or {}).get(b"unit", b"").decode() for f in schema}
    assert units["energy.headline.energy_j"] == "J"
    assert units["energy.gpu.counter.mean_w"] == "W"
    assert units["energy.headline.j_per_output_token"] == "J/token"
    assert units["throughput.tokens_per_s"] == "token/s"
    assert units["latency.itl_s.p99"] == "s"
    assert units["latency.itl_s.n"] == ""
    assert units["memory.peak_memory_mb"] == "MiB"
    assert units["flops.per_s"] == "FLOP/s"
    assert all(field.nullable for field in schema)


def test_every_figure_column_with_a_dimension_has_its_unit() -> None:
    dimensionless = {"mfu", "cv", "power_cv", "trend", "power_trend"}
    missing = [
        c.name
        for c in fixed_columns()
        if c.kind == "double"
        and c.unit is None
        and c.name.rpartition(".")[2] not in dimensionless
        and not c.name.endswith("_share")
    ]
    assert missing == []
    assert unit_of("config.measurement.min_window_s") == "s"
    assert unit_of("status") is None


def test_a_key_of_several_types_becomes_json_text(make_result: MakeResult, write_study: WriteStudy) -> None:
    folder = write_study(
        make_result(point={"testbed.mode": 8}, dataset_n=8),
        make_result(point={"testbed.mode": "8"}, dataset_n=8.5),
        make_result(point={"testbed.mode": None}, dataset_n=9),
        make_result(point={"other": [1, 2]}, dataset_n=2**70),
    )
    table = PartFile(aggregate(folder)).read()
    assert table.column("point.testbed.mode").to_pylist() == ["8", '"8"', None, None]
    assert table.schema.field("point.testbed.mode").metadata[b"encoding"] == b"json"
    assert table.column("point.other").to_pylist() == [None, None, None, "[1, 2]"]
    assert table.column("config.dataset.n").to_pylist() == ["8", "8.5", "9", str(2**70)]


_SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.lists(_SCALAR | st.lists(_SCALAR, max_size=2), max_size=6))
def test_any_values_of_a_swept_key_make_a_column_that_keeps_them(values: list[Any]) -> None:
    rows = [{"directory": str(i), "point.key": v} for i, v in enumerate(values)]
    table = rows_table(rows)
    if not values:
        assert "point.key" not in table.column_names
        return
    column = table.column("point.key").to_pylist()
    if (table.schema.field("point.key").metadata or {}).get(b"encoding") == b"json":
        column = [None if v is None else json.loads(v) for v in column]
    assert column == values


def test_an_unreadable_result_becomes_a_row_that_says_so(make_result: MakeResult, write_study: WriteStudy) -> None:
    folder = write_study(make_result(), make_result(position=2))
    _tampered(folder, schema_version=99)
    rows = {row["directory"]: row for row in StudyTable(folder).read().to_pylist()}
    assert rows["experiments/0001"]["status"] == "unreadable"
    assert "schema version 99" in rows["experiments/0001"]["failure.message"]
    assert rows["experiments/0002"]["status"] == "done"


def test_aggregating_again_gives_the_same_and_leaves_no_temporary_file(
    make_result: MakeResult, write_study: WriteStudy
) -> None:
    folder = write_study(make_result(), make_result(position=2))
    first = pq.read_table(aggregate(folder))
    (folder / "results.parquet").unlink()
    assert pq.read_table(aggregate(folder)).equals(first, check_metadata=True)
    assert sorted(p.name for p in folder.iterdir()) == ["experiments", "results.parquet"]


def test_a_folder_that_is_no_study_cannot_be_aggregated(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="no study's folder"):
        aggregate(tmp_path)


def test_a_study_gives_its_results_lazily_and_as_tables(make_result: MakeResult, write_study: WriteStudy) -> None:
    folder = write_study(*(make_result(position=i, cycle=i) for i in range(1, 4)))
    study = StudyResult(folder)
    assert len(study.results) == 3
    assert study.results[1].identity.cycle == 2
    assert [r.identity.cycle for r in study.results[1:]] == [2, 3]
    assert study.to_arrow().num_rows == 3
    with pytest.raises(ResultError, match="no manifest"):
        _ = study.manifest
    with pytest.raises(ResultError, match="no study's folder"):
        StudyResult(folder / "experiments" / "0001")


def test_a_stale_parquet_is_not_believed(make_result: MakeResult, write_study: WriteStudy) -> None:
    folder = write_study(make_result())
    aggregate(folder)
    job = folder / "experiments" / "0002"
    job.mkdir()
    (job / "result.json").write_text(make_result(position=2).model_dump_json())
    manifest = folder / "manifest.json"
    manifest.write_text("{}")
    later_s = (folder / "results.parquet").stat().st_mtime + 1
    os.utime(manifest, (later_s, later_s))
    assert StudyResult(folder).to_arrow().num_rows == 2


def test_a_parquet_file_of_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.parquet"
    file.write_bytes(b"PAR1")
    with pytest.raises(ResultError, match="cannot be read"):
        PartFile(file)
    table = rows_table([{"directory": "x"}])
    pq.write_table(table.replace_schema_metadata({}), file)
    with pytest.raises(ResultError, match=r"not a results\.parquet of llem"):
        PartFile(file)
    pq.write_table(table.replace_schema_metadata({"llem.schema_version": str(SCHEMA_VERSION + 1)}), file)
    with pytest.raises(ResultError, match=f"up to version {SCHEMA_VERSION}"):
        PartFile(file)
