"""`llem show` of a large study: conditions, order and paging over its table, and what must not be hidden by them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from llem.errors import ConfigError
from llem.results.aggregate import aggregate
from llem.results.table import StudyTable
from llem_analysis.choosing import Chosen, ordered
from llem_analysis.result_table import ParquetTable, ResultTable
from llem_analysis.selection import Selection, select

VOIDING = "averaged_power"


@pytest.fixture
def study(six_batch_sizes: Path) -> Path:
    return six_batch_sizes


def chosen(
    table: ResultTable, where: Sequence[str] = (), sort: str | None = None, limit: int | None = None
) -> Selection:
    found = Chosen(table, where)
    return select(found, first=ordered(found, sort) if sort else (), limit=limit)


def sizes(selection: Selection) -> list[int]:
    return [c.point["testbed.batch_size"] for c in selection.configurations]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (["batch_size>=8"], [16, 8, 32]),
        (["testbed.batch_size<2"], [1]),
        (["point.testbed.batch_size != 4", "batch_size<=8"], [1, 2, 8]),
        (["status=failed"], [32]),
        (["failure.type=OutOfMemory"], [32]),
        (["failure.type=null"], [4, 1, 16, 2, 8]),
        (["failure.type!=null"], [32]),
        (["warnings=thermal_throttle"], [8]),
        (["warnings!=thermal_throttle", "batch_size>4"], [16, 32]),
        (["tokens_per_s>81"], [16, 8]),
        (["energy.headline.unreliable=false", "batch_size=1"], [1]),
        (["dataset.name=synthetic", "batch_size=2"], [2]),
        (["memory.host_peak_rss_mb=null", "batch_size=2"], [2]),
        (["batch_size>1000"], []),
    ],
)
def test_a_condition_chooses(study: Path, where: list[str], expected: list[int]) -> None:
    assert sizes(chosen(StudyTable(study), where=where)) == expected


def test_a_condition_on_a_figure_leaves_out_single_cycles(study: Path) -> None:
    found = chosen(StudyTable(study), where=["tokens_per_s>81"])
    eight = next(c for c in found.configurations if c.point["testbed.batch_size"] == 8)
    assert eight.figures["tokens_per_s"].values == (82.0,)


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("tokens_per_s", [1, 2, 4, 8, 16, 32]),
        ("-tokens_per_s", [16, 8, 4, 2, 1, 32]),
        ("-batch_size", [16, 8, 4, 2, 1, 32]),
        ("failure.type", [32, 4, 1, 16, 2, 8]),
        ("position", [4, 1, 16, 2, 8, 32]),
    ],
)
def test_configurations_come_in_the_order_asked_for_and_those_without_a_value_last(
    study: Path, sort: str, expected: list[int]
) -> None:
    assert sizes(chosen(StudyTable(study), sort=sort)) == expected


def test_an_order_is_by_what_warnings_leave_of_a_figure(make_result: Any, write_study: Any) -> None:
    """Batch 1 would be the best by a run whose energy is void, batch 2 by a throughput that cannot be."""
    results = [
        make_result(
            config_hash=f"{size:064d}",
            point={"testbed.batch_size": size},
            cycle=cycle,
            position=2 * size + cycle,
            j_per_token=joules,
            tokens_per_s=speed,
            warnings={VOIDING: "it stood still"} if voided else None,
        )
        for size, cycle, joules, speed, voided in (
            (1, 1, 0.001, 10.0, True),
            (1, 2, 9.0, 10.0, False),
            (2, 1, 5.0, 0.0, False),
            (2, 2, 5.0, 30.0, False),
            (3, 1, 7.0, 20.0, False),
        )
    ]
    folder = write_study(*results)
    assert sizes(chosen(StudyTable(folder), sort="j_per_output_token")) == [2, 3, 1]
    assert sizes(chosen(StudyTable(folder), sort="-tokens_per_s")) == [2, 3, 1]


def test_the_table_alone_answers_the_same(study: Path) -> None:
    path = aggregate(study)
    wishes: dict[str, Any]
    for wishes in ({}, {"where": ["batch_size>2"], "sort": "-tokens_per_s", "limit": 2}):
        by_file, by_folder = (chosen(s, **wishes) for s in (ParquetTable(path), StudyTable(study)))
        assert [c.document() for c in by_file.configurations] == [c.document() for c in by_folder.configurations]


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("batch_size", "is no condition"),
        ("=3", "is no condition"),
        ("btch_size=3", "Did you mean `batch_size`?"),
        ("batch_size=large", "is a number"),
        ("status<done", "has no order"),
        ("energy.headline.unreliable=perhaps", "is true or false"),
        ("warnings>x", "has no order"),
        ("unreliable=true", "could mean"),
    ],
)
def test_what_cannot_be_looked_for_is_said(study: Path, where: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        chosen(StudyTable(study), where=[where])
    assert says in str(caught.value)


def test_the_command_line_pages_and_names_what_is_out_of_sight(llem: Any, study: Path) -> None:
    shown = llem("show", study, "--limit", "2").stdout
    assert "2 of 6 configurations, in the order in which they ran" in shown
    assert "warning: thermal_throttle: on 2 experiments in all; --where warnings=thermal_throttle lists them" in shown
    assert "failed: 2 experiments in all; --where status=failed lists them" in shown
    chosen = llem("show", study, "--where", "batch_size>=8", "--sort", "-tokens_per_s").stdout.splitlines()
    assert chosen[1] == "where batch_size>=8: 6 experiments of 3 configurations, 4 done, 2 failed"
    assert [line.split()[1] for line in chosen[5:8]] == ["16", "8", "32"]
    document = json.loads(llem("show", study, "--json", "--limit", "1").stdout)
    assert (len(document["experiments"]), document["configurations"]) == (1, 6)
    assert len(json.loads(llem("show", study, "--json").stdout)["experiments"]) == 6
    nothing = llem("show", study, "--where", "batch_size>1000")
    assert "0 experiments of 0 configurations" in nothing.stdout
    wrong = llem("show", study, "--sort", "tokens_per_second")
    assert wrong.returncode == 2
    assert "Did you mean `tokens_per_s`?" in wrong.stderr


def test_results_that_are_not_in_the_table_are_shown_too(llem: Any, study: Path, make_result: Any) -> None:
    aggregate(study)
    job = study / "experiments" / "late"
    job.mkdir()
    late = make_result(config_hash="f" * 64, point={"testbed.batch_size": 64}, position=99)
    (job / "result.json").write_text(late.model_dump_json())
    shown = llem("show", study).stdout
    assert " 64 " in shown
    assert shown.startswith("made-by-hand: 13 experiments, 11 done, 2 failed")
