"""`results.parquet` of a large study: parts that are written once, and a table that is right whatever happened to them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llem.errors import ResultError
from llem.results import aggregate as aggregation
from llem.results import parts, table
from llem.results.aggregate import TableWriter, aggregate
from llem.results.arrow_table import is_json, joined, rows_table
from llem.results.models import ExperimentResult
from llem.results.parts import PartFile, part_files
from llem.results.study import StudyResult
from llem.results.table import StudyTable


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of four rows, made of tables of two, so that a dozen results are a large study."""
    monkeypatch.setattr(aggregation, "PART_ROWS", 4)
    monkeypatch.setattr(aggregation, "CHUNK_ROWS", 2)
    monkeypatch.setattr(table, "CHUNK_ROWS", 2)


@pytest.fixture
def study(make_result: Any, write_study: Any) -> Path:
    """Eleven results, with their table."""
    folder: Path = write_study(*(make_result(position=i, cycle=i) for i in range(1, 12)))
    aggregate(folder)
    return folder


def positions(folder: Path) -> list[int]:
    """The table's content as llem reads it."""
    found: list[Any] = StudyTable(folder).read(["position"]).column("position").to_pylist()
    return sorted(found)


def change(folder: Path, name: str, result: ExperimentResult) -> None:
    """A job directory with another result than before, or a new one."""
    job = folder / "experiments" / name
    job.mkdir(exist_ok=True)
    temporary = job / "new"
    temporary.write_text(result.model_dump_json())
    temporary.replace(job / "result.json")


def test_a_small_study_has_one_file_and_a_large_one_parts_of_one_schema(
    study: Path, make_result: Any, write_study: Any
) -> None:
    small = aggregate(write_study(make_result(), name="small"))
    assert small.is_file()
    files = part_files(study / "results.parquet")
    assert [f.name for f in files] == [f"part-{n:06d}.parquet" for n in (1, 2, 3)]
    assert [pq.read_metadata(f).num_rows for f in files] == [4, 4, 3]
    assert len({str(pq.read_schema(f)) for f in files}) == 1


def test_any_reader_of_parquet_takes_both_by_their_one_name(study: Path, make_result: Any, write_study: Any) -> None:
    small = aggregate(write_study(make_result(), name="small"))
    for path, rows in ((small, 1), (study / "results.parquet", 11)):
        assert len(pd.read_parquet(path)) == rows
        assert pq.read_table(path).num_rows == rows
        assert ds.dataset(path, format="parquet").count_rows() == rows
        assert sum(PartFile(file).read().num_rows for file in part_files(path)) == rows


def test_what_was_written_is_not_written_again_when_more_comes(make_result: Any, write_study: Any) -> None:
    results = [make_result(position=i, cycle=i) for i in range(1, 14)]
    folder = write_study(*results)
    writer = TableWriter(folder)
    seen: dict[str, tuple[int, int]] = {}
    for number, result in enumerate(results, start=1):
        writer.add(result, f"experiments/{number:04}")
        for file in part_files(folder / "results.parquet"):
            state = (file.stat().st_ino, file.stat().st_mtime_ns)
            assert seen.setdefault(file.name, state) == state
    assert len(seen) == 3
    assert positions(folder) == list(range(1, 14)), "what is in no part yet is read from its folder"
    writer.finish()
    assert {f.name for f in part_files(folder / "results.parquet")} == {*seen, "part-000004.parquet"}
    assert StudyTable(folder).is_current
    assert all(
        (f.stat().st_ino, f.stat().st_mtime_ns) == seen[f.name]
        for f in part_files(folder / "results.parquet")
        if f.name in seen
    )


def test_results_that_changed_came_or_went_are_seen_at_once_and_mended_by_the_next_writing(
    study: Path, make_result: Any
) -> None:
    change(study, "0002", make_result(position=2, cycle=2, tokens_per_s=777.0))
    change(study, "0012", make_result(position=12, cycle=12))
    shutil.rmtree(study / "experiments" / "0005")
    (study / "experiments" / "0009" / "result.json").unlink()
    expected = [1, 2, 3, 4, 6, 7, 8, 10, 11, 12]
    before = StudyTable(study)
    assert not before.is_current
    assert len(before) == 10
    assert positions(study) == expected
    speeds = {row["position"]: row["throughput.tokens_per_s"] for row in before.read().to_pylist()}
    assert speeds[2] == 777.0
    untouched = (study / "results.parquet" / "part-000003.parquet").stat().st_ino
    aggregate(study)
    assert StudyTable(study).is_current
    found = pq.read_table(study / "results.parquet").sort_by("position")
    assert found.column("position").to_pylist() == expected
    assert untouched != 0
    assert StudyResult(study).to_arrow(["position"]).num_rows == 10


def test_a_study_that_grows_or_shrinks_changes_its_form(make_result: Any, write_study: Any) -> None:
    folder = write_study(make_result(position=1), make_result(position=2, cycle=2))
    assert aggregate(folder).is_file()
    for number in range(3, 8):
        change(folder, f"{number:04}", make_result(position=number, cycle=number))
    assert aggregate(folder).is_dir()
    assert positions(folder) == list(range(1, 8))
    assert StudyTable(folder).is_current
    for number in range(1, 6):
        shutil.rmtree(folder / "experiments" / f"{number:04}")
    assert aggregate(folder).is_file()
    assert positions(folder) == [6, 7]


@pytest.mark.parametrize("damage", ["cut", "flip", "text", "empty", "remove"])
def test_a_damaged_part_costs_time_and_no_row(study: Path, damage: str) -> None:
    file = study / "results.parquet" / "part-000002.parquet"
    data = file.read_bytes()
    match damage:
        case "cut":
            file.write_bytes(data[: len(data) // 2])
        case "flip":
            file.write_bytes(data[:200] + bytes([data[200] ^ 0xFF]) + data[201:])
        case "text":
            file.write_text("something else")
        case "empty":
            file.write_bytes(b"")
        case "remove":
            file.unlink()
    assert positions(study) == list(range(1, 12))
    whole = StudyTable(study)
    assert whole.read().num_rows == 11
    aggregate(study, rebuild=True)
    assert StudyTable(study).is_current
    assert pq.read_table(study / "results.parquet").num_rows == 11


def test_a_flipped_bit_among_the_values_is_noticed(make_result: Any, write_study: Any) -> None:
    folder = write_study(*(make_result(position=i, cycle=i) for i in range(1, 6)))
    file = part_files(aggregate(folder))[0]
    data = file.read_bytes()
    values = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    columns = ["position", "status", "throughput.tokens_per_s"]
    expected = StudyTable(folder).read(columns).sort_by("position")
    for at in range(0, values, max(1, values // 100)):
        file.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        assert StudyTable(folder).read(columns).sort_by("position").equals(expected), at


def test_what_a_killed_writer_left_is_in_nobody_s_way(study: Path) -> None:
    left = study / "results.parquet" / ".part-000004.parquet.123.tmp"
    left.write_text("half a part")
    (study / ".results.parquet.123.new").mkdir()
    assert positions(study) == list(range(1, 12))
    assert len(pd.read_parquet(study / "results.parquet")) == 11
    aggregate(study)
    assert not left.exists()
    assert sorted(p.name for p in study.iterdir()) == ["experiments", "results.parquet"]


def test_a_result_stands_once_where_a_crash_left_it_in_two_parts(study: Path) -> None:
    folder = study / "results.parquet"
    shutil.copy(folder / "part-000001.parquet", folder / "part-000009.parquet")
    assert positions(study) == list(range(1, 12))
    aggregate(study)
    assert pq.read_table(folder).num_rows == 11


def test_a_table_of_a_newer_llem_is_refused(study: Path) -> None:
    file = study / "results.parquet" / "part-000001.parquet"
    newer = pq.read_table(file).replace_schema_metadata({"llem.schema_version": "99"})
    pq.write_table(newer, file)
    with pytest.raises(ResultError, match="schema version 99"):
        StudyTable(study)


def test_columns_that_differ_between_parts_are_brought_to_one_type(make_result: Any, write_study: Any) -> None:
    values: Sequence[Any] = [1, 2, 3, 4, 2.5, "three", None, True]
    folder = write_study(
        *(make_result(position=i, cycle=i, point={"testbed.mode": v}) for i, v in enumerate(values, start=1)),
        make_result(position=9, cycle=9, point={"other.key": 1}),
    )
    found = pq.read_table(aggregate(folder))
    texts = found.column("point.testbed.mode").to_pylist()
    assert [None if t is None else json.loads(t) for t in texts] == [*values, None]
    assert found.column("point.other.key").to_pylist() == [None] * 8 + [1]


_VALUE = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
    | st.lists(st.integers(0, 3), max_size=2)
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(_VALUE, min_size=1, max_size=4), min_size=1, max_size=4))
def test_tables_one_below_the_other_hold_what_one_table_of_all_rows_holds(groups: list[list[Any]]) -> None:
    rows = [[{"directory": "d", "point.key": value} for value in group] for group in groups]
    one = rows_table([row for group in rows for row in group])
    several = joined([rows_table(group) for group in rows])
    assert several.column_names == one.column_names
    assert is_json(several.schema.field("point.key")) == is_json(one.schema.field("point.key"))

    def read(found: pa.Table) -> list[Any]:
        column = found.column("point.key").to_pylist()
        if is_json(found.schema.field("point.key")):
            return [None if text is None else json.loads(text) for text in column]
        return column

    assert read(several) == read(one)


def test_parts_without_stamps_are_not_believed(study: Path) -> None:
    file = study / "results.parquet" / "part-000001.parquet"
    old = pq.read_table(file).drop_columns(["result_file.modified_ns", "result_file.size_bytes"])
    pq.write_table(old, file)
    whole = StudyTable(study)
    assert len(whole.missing) == 4
    assert positions(study) == list(range(1, 12))


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(study: Path, make_result: Any) -> None:
    change(study, "0012", make_result(position=12, cycle=12))
    path = study / "results.parquet"
    shutil.rmtree(path)
    path.symlink_to(study / "nowhere" / "else")
    with pytest.raises(ResultError, match="cannot be written"):
        parts.write_part(path, rows_table([{"directory": "d"}]))
