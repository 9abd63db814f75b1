"""Configurations whose cycles ran in environments that are not alike: told apart, marked, and never averaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from unlike_facts import A100, CHANGED, FACTS, GPU, H200, NEWER_DRIVER

from llem.results.aggregate import aggregate
from llem.results.environments import differing, named_facts
from llem.results.models import Failure
from llem.results.rows import study_rows
from llem.results.table import StudyTable
from llem_analysis.configurations import summarise
from llem_analysis.result_table import ParquetTable
from llem_analysis.row_environments import are_alike, differences
from llem_analysis.selection import select
from llem_analysis.study_kinds import study_kinds


def test_cycles_on_unlike_nodes_are_apart_and_those_on_nodes_alike_together(mixed: Path) -> None:
    first, second = summarise(study_rows(mixed))
    assert first.config_hash == second.config_hash
    assert (first.is_part, second.is_part) == (True, True)
    assert first.figures["tokens_per_s"].values == (100.0, 102.0, 104.0)
    assert first.nodes == {"n1": 2, "n2": 1}
    assert second.figures["tokens_per_s"].values == (300.0,)
    assert str(second.environment) == "NVIDIA H200, driver 550.1, EPYC 9"
    document = second.document()
    assert document["nodes"] == {"n9": 1}
    assert document["ran_in_unlike_environments"] is True
    assert document["environment"] == {"GPU": "NVIDIA H200", "driver": "550.1", "CPU": "EPYC 9"}


@pytest.mark.parametrize(("other", "apart"), [(A100, ["GPU", "CPU"]), (NEWER_DRIVER, ["driver"])])
def test_another_gpu_driver_or_cpu_makes_a_node_unlike(on: Any, write_study: Any, other: Any, apart: list[str]) -> None:
    folder = write_study(on("n1", H200, cycle=1), on("n2", other, cycle=2, position=2))
    found = select(StudyTable(folder))
    assert len(found.configurations) == 2
    assert differences(found.kinds) == apart


def test_results_that_tell_nothing_of_their_node_stay_with_the_others(on: Any, write_study: Any) -> None:
    gone = Failure(type="NodeFailed", message="gone", phase=None, exit_code=None, signal=None, log_tail="")
    folder = write_study(
        on("n1", H200, cycle=1), on(None, {}, cycle=2, position=2, failure=gone), on(None, {}, cycle=3, position=3)
    )
    (only,) = summarise(study_rows(folder))
    assert only.statuses == {"done": 2, "failed": 1}
    assert not only.is_part
    assert are_alike(study_rows(folder))


def test_the_same_is_said_by_the_table(mixed: Path, llem_here: Any) -> None:
    for source in (StudyTable(mixed), ParquetTable(aggregate(mixed))):
        found = select(source)
        assert [c.figures["tokens_per_s"].n for c in found.configurations] == [3, 1]
        assert [str(kind) for kind in found.kinds] == [
            "NVIDIA A100, driver 550.1, EPYC 7",
            "NVIDIA H200, driver 550.1, EPYC 9",
        ]
        assert found.nodes == {"n1": 2, "n2": 1, "n9": 1}
    shown = llem_here("show", mixed).stdout
    lines = shown.splitlines()
    assert "environment" in lines[2]
    assert "NVIDIA A100, EPYC 7" in lines[4]
    assert "102 ± 2" in lines[4]
    assert "NVIDIA H200, EPYC 9" in lines[5]
    assert "cycles of 1 configuration ran in environments that differ in GPU, CPU" in shown
    assert "never averaged" in shown
    assert len(json.loads(llem_here("show", mixed, "--json").stdout)["experiments"]) == 2


def test_nodes_alike_are_named_and_not_warned_of(on: Any, write_study: Any, llem_here: Any) -> None:
    folder = write_study(*(on(f"n{i}", H200, cycle=i, position=i) for i in (1, 2, 3)))
    shown = llem_here("show", folder).stdout
    assert "ran on 3 nodes, alike in all that they tell: n1, n2, n3" in shown
    assert "unlike" not in shown


@pytest.mark.parametrize(("name", "update"), CHANGED, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CHANGED)])
def test_cycles_that_differ_in_any_fact_are_never_averaged_and_it_is_told_with_both_values(
    make_result: Any, write_study: Any, llem: Any, name: str, update: dict[str, Any]
) -> None:
    other = FACTS.model_copy(update=update)
    folder = write_study(
        *(
            make_result(cycle=c, position=c, tokens_per_s=100.0 + c).model_copy(
                update={"facts": FACTS if c > 1 else other}
            )
            for c in (1, 2, 3)
        )
    )
    (apart,) = differing(named_facts(FACTS), named_facts(other))
    assert apart.name == name
    found = select(StudyTable(folder)).configurations
    assert sorted(c.figures["tokens_per_s"].n for c in found) == [1, 2]
    if name in ("power limit", "torch"):  # through the process that a user starts, once for each kind
        shown = llem("show", folder).stdout
        assert f"differ in {name} ({name} {apart.second}; {name} {apart.first})" in shown


def test_what_a_study_varies_between_its_configurations_is_no_parameter_of_its_own() -> None:
    """Another backend brings another image and torch; a second GPU in use; another model: only the machine counts."""
    one = named_facts(FACTS)
    other = named_facts(FACTS.model_copy(update={"image": "sha256:bb", "versions": {"llem": "1.0", "torch": "2.9"}}))
    slow = named_facts(FACTS.model_copy(update={"devices": [GPU.model_copy(update={"power_limit_w": 400.0})]}))
    assert study_kinds([("a", one), ("b", other)]) == [None, None]
    assert study_kinds([("a", one), ("b", slow)]) == ["power limit 700 W", "power limit 400 W"]
    assert study_kinds([("a", one), ("a", other), ("b", one)])[0] is not None, "between cycles nothing was varied"
