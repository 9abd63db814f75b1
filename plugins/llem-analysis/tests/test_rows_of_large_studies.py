"""Rows of many results are read and brought together as those of few: only less of them is read, and once."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from llem.errors import ResultError
from llem.plugins import default_registry
from llem.results.aggregate import aggregate
from llem.results.arrow_table import rows_table
from llem.results.models import Failure
from llem.results.table import StudyTable
from llem_analysis import intervals
from llem_analysis import row_environments as environments
from llem_analysis.commands.compare import compare
from llem_analysis.commands.pick import pick
from llem_analysis.design import configured
from llem_analysis.loading import load_rows
from llem_analysis.many_intervals import intervals_of
from llem_analysis.metric_names import MAIN, METRIC_SPECS, metric_specs
from llem_analysis.parquet_rows import parquet_rows
from llem_analysis.study_effects import analyse_rows, analyze
from llem_analysis.weighed_rows import VOIDED, mark_whole, weighed


@given(
    st.lists(
        st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=9),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=25, deadline=None)
def test_many_intervals_are_those_of_each_alone(several: list[list[float]]) -> None:
    for values, found in zip(several, intervals_of(several), strict=True):
        alone = intervals.interval(values)
        if alone is None:
            assert found is None
            continue
        assert found is not None
        assert (found.method, found.resamples, found.seed) == (alone.method, alone.resamples, alone.seed)
        wide = max(values)
        assert [found.low, found.high] == pytest.approx([alone.low, alone.high], rel=1e-9, abs=1e-9 * wide)


@pytest.mark.parametrize("n", [64, 65, 200, 1_001])
def test_many_cycles_have_the_interval_that_they_have_alone(n: int) -> None:
    noise = random.Random(n)
    several = [[noise.lognormvariate(0, 0.1) for _ in range(n)] for _ in range(2)]
    for values, found in zip(several, intervals_of(several), strict=True):
        alone = intervals.interval(values)
        assert found is not None
        assert alone is not None
        assert found.method == alone.method
        assert [found.low, found.high] == pytest.approx([alone.low, alone.high], rel=1e-9)


ROWS: list[dict[str, Any]] = [
    {
        "directory": "a",
        "position": 1,
        "point.x": 1,
        "point.words": "one",
        "warnings": ["w"],
        "throughput.tokens_per_s": 2.5,
    },
    {
        "directory": "b",
        "position": 2,
        "point.x": "1",
        "point.words": None,
        "warnings": [],
        "throughput.tokens_per_s": None,
    },
    {"directory": "c", "position": 3, "config.list": [1, {"k": "é"}], "energy.phases_j": {"load": {"GPU": 1.5}}},
    {"directory": "c", "position": None, "environment.exclusive": False, "config.list": [1, {"k": "é"}]},
]


def plain(table: pa.Table) -> list[dict[str, Any]]:
    """Each value read for itself."""
    import json

    texts = {field.name for field in table.schema if (field.metadata or {}).get(b"encoding") == b"json"}
    return [
        {
            name: json.loads(value) if name in texts and value is not None else value
            for name, value in row.items()
            if value is not None or not name.startswith(("point.", "config."))
        }
        for row in table.to_pylist()
    ]


@pytest.mark.parametrize("cut", [slice(None), slice(1, 3), slice(0, 0), slice(2, None)])
def test_rows_have_every_value_as_it_was_written(cut: slice) -> None:
    table = rows_table(ROWS)
    start, stop, _ = cut.indices(len(ROWS))
    part = table.slice(start, stop - start)
    assert parquet_rows(part) == plain(part)
    twice = pa.concat_tables([part, table])
    assert parquet_rows(twice) == plain(twice)


def test_rows_of_no_columns_are_as_many_as_before() -> None:
    assert parquet_rows(rows_table(ROWS).select([])) == [{}] * len(ROWS)


POINTS = [{"testbed.batch_size": b, "testbed.dtype": d} for b in (1, 2, 4) for d in ("a", "b")]


def a_study(write_design: Any, **more: Any) -> Path:
    folder: Path = write_design(
        POINTS,
        energy=lambda p: 10 / p["testbed.batch_size"],
        speed=lambda p: 50.0 * p["testbed.batch_size"],
        ttft=lambda p: 0.1 * p["testbed.batch_size"],
        cycles=3,
        noise=0.02,
        relative=True,
        **more,
    )
    return folder


def test_an_analysis_of_what_it_takes_is_that_of_everything(write_design: Any) -> None:
    """One run warns of what voids its energy, one has a throughput of 0, one failed, one names another driver."""
    failed = Failure(type="OutOfMemory", message="no room")

    def each(point: dict[str, Any], cycle: int) -> dict[str, Any]:
        key = (point["testbed.batch_size"], point["testbed.dtype"], cycle)
        special: dict[Any, dict[str, Any]] = {
            (1, "a", 1): {"warnings": {"averaged_power": "too short a window", "thermal_throttle": "hot"}},
            (2, "a", 2): {"speed": 0.0},
            (4, "b", 3): {"failure": failed, "energy": None, "speed": None, "ttft": None},
        }
        return special.get(key, {})

    folder = a_study(write_design, each=each)
    everything = load_rows(folder)
    name = folder.name
    for figures in (MAIN, ("j_per_output_token",), ("ttft_p95_s", "ttft_p50_s")):
        assert analyze(folder, figures=figures) == analyse_rows(everything, name, str(folder), figures=figures)


def test_only_what_an_analysis_takes_becomes_rows(write_design: Any) -> None:
    folder = a_study(write_design)
    some = load_rows(folder, metric_specs(["tokens_per_s"]))
    assert len(some) == len(POINTS) * 3
    assert "throughput.tokens_per_s" in some[0]
    assert "energy.headline.j_per_output_token" not in some[0]
    assert "memory.peak_memory_mb" not in some[0]
    more = load_rows(folder, metric_specs(["tokens_per_s"]), ["started_at", "config.dataset.n"])
    assert more[0]["started_at"]
    assert more[0]["config.dataset.n"] == 8
    assert set(load_rows(folder)[0]) >= set(StudyTable(folder).columns) - {
        name for name in StudyTable(folder).columns if name.startswith(("point.", "config."))
    }


def test_a_figure_that_cannot_be_is_told_of_whichever_figure_is_looked_at(write_design: Any) -> None:
    folder = a_study(write_design, each=lambda p, c: {"speed": 0.0} if (p["testbed.batch_size"], c) == (2, 1) else {})
    found = analyze(folder, figures=["ttft_p50_s"])
    assert any("impossible_value" in sentence for sentence in found.caveats)


def test_a_row_of_which_nothing_is_left_out_is_weighed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[dict[str, Any]] = [
        {"status": "done", "throughput.tokens_per_s": 1.0},
        {"status": "done", "throughput.tokens_per_s": 0.0},
    ]
    mark_whole(rows, rows[0])
    assert rows[0][VOIDED] == {}
    assert VOIDED not in rows[1]
    assert weighed(rows[0]) is rows[0]
    assert weighed(rows[1])["throughput.tokens_per_s"] is None


def test_what_rows_tell_alike_of_their_environment_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    of = environments.environment_of
    monkeypatch.setattr(environments, "environment_of", lambda row: read.append(row) or of(row))
    rows = [
        {"status": "done", "config_hash": f"{n % 7}", "position": n, "environment.gpu.models": [f"card {n % 2}"]}
        for n in range(40)
    ]
    found = configured(rows)
    assert len(read) == 2
    assert {one.environment.get("GPU") for one in found} == {"card 0", "card 1"}


def test_every_figure_has_its_column_among_those_that_are_read(write_design: Any) -> None:
    folder = a_study(write_design)
    names = StudyTable(folder).columns
    some = load_rows(folder, METRIC_SPECS.values())
    assert {spec.column for spec in METRIC_SPECS.values()} & set(names) <= some[0].keys()


@pytest.mark.parametrize("command", ["pick", "compare"])
def test_a_table_by_itself_is_answered_with_what_to_give(command: str, write_design: Any, tmp_path: Path) -> None:
    folder = a_study(write_design)
    (tmp_path / "alone").mkdir()
    alone = tmp_path / "alone" / "results.parquet"
    shutil.copy(aggregate(folder), alone)
    done = CliRunner().invoke({"pick": pick, "compare": compare}[command], [str(alone)], obj=default_registry())
    assert isinstance(done.exception, ResultError)
    assert "it is not there: results.parquet has the metrics and no whole results" in str(done.exception)
    assert "Give the study's folder" in str(done.exception)
