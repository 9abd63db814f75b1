"""Results of environments that are not alike: told apart, marked, and never averaged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.config.study import UntilConfig
from llem.metrics.environments import (
    Environment,
    are_alike,
    by_environment,
    differences,
    differing,
    environment_of,
    named_facts,
    short_names,
    study_kinds,
    together,
)
from llem.metrics.selection import select
from llem.metrics.summary import metric_summary, summarise
from llem.results.aggregate import aggregate
from llem.results.facts import CpuFacts, DeviceFacts, Facts
from llem.results.models import Failure
from llem.results.parts import ParquetTable
from llem.results.rows import result_row, study_rows
from llem.results.table import StudyTable
from llem.study.schedule.stopping import StoppingRule

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
    assert str(second.environment) == "NVIDIA H200, driver 550.1, EPYC 9"
    document = second.document()
    assert document["nodes"] == {"n9": 1}
    assert document["ran_in_unlike_environments"] is True
    assert document["environment"] == {"GPU": "NVIDIA H200", "driver": "550.1", "CPU": "EPYC 9"}


def test_no_mean_over_unlike_nodes_is_given_however_it_is_asked_for(mixed: Path) -> None:
    rows = list(study_rows(mixed))
    assert metric_summary(rows, "tokens_per_s") is None
    assert metric_summary(rows, "j_per_output_token") is None
    alike = [row for row in rows if row["environment.node"] != "n9"]
    assert metric_summary(alike, "tokens_per_s") is not None


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
    assert by_environment([]) == []


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


def test_an_experiment_whose_cycles_ran_on_unlike_nodes_is_not_repeated_for_an_interval(on: Any) -> None:
    class Run:
        config_hash, directory = "a" * 64, "experiments/1"
        point: Mapping[str, Any] = {"testbed.batch_size": 1}

    run: Any = Run()
    repetition = StoppingRule(UntilConfig(ci_width=0.02, figure="tokens_per_s"))
    for cycle, hardware in enumerate((A100, H200, A100), 1):
        repetition.add(run, on(f"n{cycle}", hardware, cycle=cycle))
    verdict = repetition.is_met(run.config_hash)
    assert verdict is not None
    assert verdict[0] == "warning"
    assert "ran in environments that differ in GPU and CPU (NVIDIA A100, EPYC 7; NVIDIA H200, EPYC 9)" in verdict[1]


def test_kinds_are_named_by_what_tells_them_apart() -> None:
    two = Environment((("GPU", "2 × NVIDIA H200"), ("driver", "550.1"), ("CPU", "EPYC 9")))
    one = Environment((("GPU", "NVIDIA H200"), ("driver", "550.1"), ("CPU", "EPYC 9")))
    assert short_names([two, one]) == ["2 × NVIDIA H200", "NVIDIA H200"]
    assert str(Environment()) == "unknown"


GPU = DeviceFacts(
    id="GPU-1",
    model="NVIDIA H100",
    driver="550.1",
    cuda="12.4",
    power_limit_w=700.0,
    gpu_clock_application_mhz=1980.0,
    memory_clock_application_mhz=2619.0,
    persistence_mode=True,
    ecc=True,
    mig=False,
    in_use=True,
)
FACTS = Facts(
    devices=[GPU],
    cpu=CpuFacts(model="EPYC 9", governor="performance", boost=True, simultaneous_multithreading=True),
    versions={"llem": "1.0", "llem-vllm": "1.0", "torch": "2.8", "vllm": "0.9"},
    image="sha256:aa",
    model_revision="main",
    dataset_sha256="d" * 64,
)
CHANGED: list[tuple[str, dict[str, Any]]] = [
    ("GPU", {"devices": [GPU.model_copy(update={"model": "NVIDIA A100"})]}),
    ("GPU", {"devices": [GPU, GPU.model_copy(update={"id": "GPU-2", "in_use": False})]}),
    ("driver", {"devices": [GPU.model_copy(update={"driver": "560.2"})]}),
    ("CUDA", {"devices": [GPU.model_copy(update={"cuda": "12.6"})]}),
    ("power limit", {"devices": [GPU.model_copy(update={"power_limit_w": 400.0})]}),
    ("GPU clock", {"devices": [GPU.model_copy(update={"gpu_clock_application_mhz": 1410.0})]}),
    ("memory clock", {"devices": [GPU.model_copy(update={"memory_clock_application_mhz": 1.0})]}),
    ("persistence mode", {"devices": [GPU.model_copy(update={"persistence_mode": False})]}),
    ("ECC", {"devices": [GPU.model_copy(update={"ecc": False})]}),
    ("MIG", {"devices": [GPU.model_copy(update={"mig": True})]}),
    ("GPUs in use", {"devices": [GPU.model_copy(update={"in_use": False})]}),
    ("CPU", {"cpu": FACTS.cpu.model_copy(update={"model": "EPYC 7"})}),
    ("governor", {"cpu": FACTS.cpu.model_copy(update={"governor": "powersave"})}),
    ("boost", {"cpu": FACTS.cpu.model_copy(update={"boost": False})}),
    ("SMT", {"cpu": FACTS.cpu.model_copy(update={"simultaneous_multithreading": False})}),
    ("torch", {"versions": {**FACTS.versions, "torch": "2.9"}}),
    ("llem", {"versions": {**FACTS.versions, "llem": "1.1"}}),
    ("image", {"image": "sha256:bb"}),
    ("model revision", {"model_revision": "other"}),
    ("dataset", {"dataset_sha256": "e" * 64}),
]


def test_no_fact_is_compared_by_nobody() -> None:
    """A field that is added to the facts has to be among what is changed here, and so be told by its name."""
    fields = {f"device {name}" for name in DeviceFacts.model_fields if name != "id"}
    fields |= {f"cpu {name}" for name in CpuFacts.model_fields} | (set(Facts.model_fields) - {"devices", "cpu"})
    changed = set()
    for _, update in CHANGED:
        after = FACTS.model_copy(update=update)
        changed |= {
            f"device {n}"
            for n in DeviceFacts.model_fields.keys() - {"id"}
            for d in after.devices or ()
            if getattr(d, n) != getattr(GPU, n)
        }
        changed |= {f"cpu {n}" for n in CpuFacts.model_fields if getattr(after.cpu, n) != getattr(FACTS.cpu, n)}
        changed |= {
            n for n in Facts.model_fields if n not in ("devices", "cpu") and getattr(after, n) != getattr(FACTS, n)
        }
    assert changed == fields


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
    assert metric_summary(study_rows(folder), "tokens_per_s") is None
    if name in ("power limit", "torch"):  # through the process that a user starts, once for each kind
        shown = llem("show", folder).stdout
        assert f"differ in {name} ({name} {apart.second}; {name} {apart.first})" in shown


@pytest.mark.parametrize(("name", "update"), CHANGED, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CHANGED)])
def test_until_does_not_stop_on_a_mixture(make_result: Any, name: str, update: dict[str, Any]) -> None:
    class Run:
        config_hash, directory = "a" * 64, "experiments/1"
        point: Mapping[str, Any] = {"testbed.batch_size": 1}

    run: Any = Run()
    repetition = StoppingRule(UntilConfig(ci_width=0.5, figure="tokens_per_s"))
    for cycle, facts in enumerate((FACTS, FACTS.model_copy(update=update), FACTS), 1):
        repetition.add(run, make_result(cycle=cycle).model_copy(update={"facts": facts}))
    verdict = repetition.is_met(run.config_hash)
    assert verdict is not None
    assert verdict[0] == "warning", "identical figures, and yet no interval is told to be narrow enough"
    assert f"ran in environments that differ in {name}" in verdict[1]


def test_what_a_study_varies_between_its_configurations_is_no_parameter_of_its_own() -> None:
    """Another backend brings another image and torch; a second GPU in use; another model: only the machine counts."""
    one = named_facts(FACTS)
    other = named_facts(FACTS.model_copy(update={"image": "sha256:bb", "versions": {"llem": "1.0", "torch": "2.9"}}))
    slow = named_facts(FACTS.model_copy(update={"devices": [GPU.model_copy(update={"power_limit_w": 400.0})]}))
    assert study_kinds([("a", one), ("b", other)]) == [None, None]
    assert study_kinds([("a", one), ("b", slow)]) == ["power limit 700 W", "power limit 400 W"]
    assert study_kinds([("a", one), ("a", other), ("b", one)])[0] is not None, "between cycles nothing was varied"


def test_a_result_of_an_earlier_version_tells_what_its_meters_wrote(make_result: Any) -> None:
    old = make_result().model_copy(
        update={
            "environment": {
                "cpu": {"model": "EPYC 9", "governor": "performance", "boost": True},
                "meters": {
                    "nvml": {
                        "driver": "550.1",
                        "cuda_driver": "12.4",
                        "gpus": [{"uuid": "GPU-1", "name": "NVIDIA H100", "power_limit_w": 700.0, "ecc": True}],
                    }
                },
                "packages": {"llem": "0.9", "numpy": "2"},
                "engine": {"torch": "2.8"},
                "study": {"runner": {"name": "docker", "image_id": "sha256:aa"}},
            }
        }
    )
    told = environment_of(result_row(old, "experiments/1"))
    assert told.get("power limit") == "700 W"
    assert told.get("torch") == "2.8"
    assert told.get("image") == "sha256:aa"
    assert told.get("persistence mode") is None
    assert not differing(told, named_facts(FACTS.model_copy(update={"versions": {"torch": "2.8"}})))


TEXTS = st.dictionaries(st.sampled_from(["GPU", "driver", "torch", "governor"]), st.sampled_from("abc"), max_size=4)


@given(st.lists(TEXTS.map(lambda facts: Environment(tuple(sorted(facts.items())))), max_size=8))
def test_environments_are_brought_together_only_where_nothing_that_is_known_differs(found: list[Environment]) -> None:
    places, kinds = together(found)
    assert len(places) == len(found)
    for place, one in zip(places, found, strict=True):
        assert not differing(kinds[place], one)
        assert set(one.facts) <= set(kinds[place].facts)
    for i, one in enumerate(found):
        for j, other in enumerate(found):
            if differing(one, other):
                assert places[i] != places[j]
    assert sorted(set(places)) == list(range(len(kinds)))


@given(TEXTS, TEXTS)
def test_the_comparison_is_the_same_from_both_sides_and_unknown_is_not_different(
    one: dict[str, str], other: dict[str, str]
) -> None:
    first, second = Environment(tuple(one.items())), Environment(tuple(other.items()))
    assert {d.name for d in differing(first, second)} == {d.name for d in differing(second, first)}
    assert {d.name for d in differing(first, second)} == {n for n in one.keys() & other.keys() if one[n] != other[n]}
