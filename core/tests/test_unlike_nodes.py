"""Results of nodes that are not alike: told apart, marked, and never averaged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llem.analysis.comparison import compare_configurations
from llem.analysis.nodes import Hardware, are_alike, by_hardware, differences, short_names, unlike
from llem.analysis.selection import select
from llem.analysis.summary import figure_of, summarise
from llem.config.study import UntilConfig
from llem.results.aggregate import aggregate
from llem.results.models import Failure
from llem.results.parts import ParquetTable
from llem.results.rows import study_rows
from llem.results.table import StudyTable
from llem.study.repetition import Repetition

H200 = {"cpu": {"model": "EPYC 9"}, "gpu": {"models": ["NVIDIA H200"], "driver": "550.1"}}
A100 = {"cpu": {"model": "EPYC 7"}, "gpu": {"models": ["NVIDIA A100"], "driver": "550.1"}}
NEWER_DRIVER = {**H200, "gpu": {"models": ["NVIDIA H200"], "driver": "560.2"}}


@pytest.fixture
def on(make_result: Any) -> Any:
    """Makes a result of a node."""

    def make(node: str | None, hardware: Mapping[str, Any], *, exclusive: bool | None = None, **values: Any) -> Any:
        result = make_result(**values)
        told = {} if node is None else {"node": node, "exclusive": exclusive, **hardware}
        return result.model_copy(update={"environment": told})

    return make


@pytest.fixture
def mixed(on: Any, write_study: Any) -> Path:
    """One configuration of four cycles: three on two nodes alike, one on a faster node of another kind."""
    folder: Path = write_study(
        on("n1", A100, cycle=1, position=1, tokens_per_s=100.0, point={"testbed.batch_size": 1}),
        on("n2", A100, cycle=2, position=2, tokens_per_s=102.0, point={"testbed.batch_size": 1}),
        on("n9", H200, cycle=3, position=3, tokens_per_s=300.0, point={"testbed.batch_size": 1}),
        on("n1", A100, cycle=4, position=4, tokens_per_s=104.0, point={"testbed.batch_size": 1}),
    )
    return folder


def test_cycles_on_unlike_nodes_are_apart_and_those_on_nodes_alike_together(mixed: Path) -> None:
    first, second = summarise(study_rows(mixed))
    assert first.config_hash == second.config_hash
    assert (first.is_part, second.is_part) == (True, True)
    assert first.figures["tokens_per_s"].values == (100.0, 102.0, 104.0)
    assert first.nodes == {"n1": 2, "n2": 1}
    assert second.figures["tokens_per_s"].values == (300.0,)
    assert second.hardware == Hardware(("NVIDIA H200",), "550.1", "EPYC 9")
    document = second.document()
    assert document["nodes"] == {"n9": 1}
    assert document["ran_on_unlike_nodes"] is True
    assert document["hardware"] == {"gpus": ("NVIDIA H200",), "driver": "550.1", "cpu": "EPYC 9"}


def test_no_mean_over_unlike_nodes_is_given_however_it_is_asked_for(mixed: Path) -> None:
    rows = list(study_rows(mixed))
    assert figure_of(rows, "tokens_per_s") is None
    assert figure_of(rows, "j_per_output_token") is None
    alike = [row for row in rows if row["environment.node"] != "n9"]
    assert figure_of(alike, "tokens_per_s") is not None


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
    assert by_hardware([]) == []


def test_the_same_is_said_by_the_table(mixed: Path, llem: Any) -> None:
    for source in (StudyTable(mixed), ParquetTable(aggregate(mixed))):
        found = select(source)
        assert [c.figures["tokens_per_s"].n for c in found.configurations] == [3, 1]
        assert [str(kind) for kind in found.kinds] == [
            "NVIDIA A100, driver 550.1, EPYC 7",
            "NVIDIA H200, driver 550.1, EPYC 9",
        ]
        assert found.nodes == {"n1": 2, "n2": 1, "n9": 1}
    shown = llem("show", mixed).stdout
    lines = shown.splitlines()
    assert "nodes" in lines[2]
    assert "NVIDIA A100, EPYC 7" in lines[4]
    assert "102 ± 2" in lines[4]
    assert "NVIDIA H200, EPYC 9" in lines[5]
    assert "cycles of 1 configuration ran on nodes that differ in GPU, CPU" in shown
    assert "never averaged" in shown
    assert len(json.loads(llem("show", mixed, "--json").stdout)["experiments"]) == 2


def test_nodes_alike_are_named_and_not_warned_of(on: Any, write_study: Any, llem: Any) -> None:
    folder = write_study(*(on(f"n{i}", H200, cycle=i, position=i) for i in (1, 2, 3)))
    shown = llem("show", folder).stdout
    assert "ran on 3 nodes, alike in GPUs, driver and CPU model: n1, n2, n3" in shown
    assert "unlike" not in shown


def test_a_comparison_of_configurations_on_unlike_nodes_says_so(on: Any, write_study: Any) -> None:
    folder = write_study(
        *(on("n1", A100, cycle=c, position=c, config_hash="a" * 64, tokens_per_s=100.0 + c) for c in (1, 2, 3)),
        *(on("n9", H200, cycle=c, position=3 + c, config_hash="b" * 64, tokens_per_s=200.0 + 2 * c) for c in (1, 2, 3)),
        *(on("n2", A100, cycle=c, position=6 + c, config_hash="c" * 64, tokens_per_s=150.0 + 3 * c) for c in (1, 2, 3)),
    )
    base, *others = summarise(study_rows(folder))
    apart, alike = compare_configurations(base, others, "tokens_per_s", "interleaved")
    assert apart.unlike_nodes is not None
    assert "differ in GPU and CPU (NVIDIA A100, EPYC 7; NVIDIA H200, EPYC 9)" in apart.unlike_nodes
    assert alike.unlike_nodes is None
    assert alike.p_adjusted is not None
    with pytest.raises(ValueError, match="has no window_s_at_all"):
        compare_configurations(base, others, "window_s_at_all", "interleaved")


def test_an_experiment_whose_cycles_ran_on_unlike_nodes_is_not_repeated_for_an_interval(on: Any) -> None:
    class Run:
        config_hash, directory = "a" * 64, "experiments/1"
        point: Mapping[str, Any] = {"testbed.batch_size": 1}

    run: Any = Run()
    repetition = Repetition(UntilConfig(ci_width=0.02, figure="tokens_per_s"))
    for cycle, hardware in enumerate((A100, H200, A100), 1):
        repetition.add(run, on(f"n{cycle}", hardware, cycle=cycle))
    verdict = repetition.enough(run.config_hash)
    assert verdict is not None
    assert verdict[0] == "warning"
    assert "ran on unlike nodes" in verdict[1]


def test_kinds_are_named_by_what_tells_them_apart() -> None:
    two, one = Hardware(("NVIDIA H200",) * 2, "550.1", "EPYC 9"), Hardware(("NVIDIA H200",), "550.1", "EPYC 9")
    assert short_names([two, one]) == ["2 × NVIDIA H200", "NVIDIA H200"]
    assert unlike(one, one) is None
    assert unlike(one, Hardware()) is None
    assert str(Hardware()) == "unknown"
