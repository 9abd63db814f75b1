"""Results of environments that are not alike: told apart, and never averaged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unlike_facts import A100, CHANGED, FACTS, GPU, H200

from llem.config.study import UntilConfig
from llem.results.environments import Environment, differing, named_facts
from llem.results.facts import CpuFacts, DeviceFacts, Facts
from llem.results.rows import result_row, study_rows
from llem_analysis.metric_summary import METRIC_COLUMNS, MetricSummary, column_summary, is_energy
from llem_analysis.row_environments import by_environment, environment_of, short_names, together
from llem_analysis.stopping import NarrowInterval


def _mean(rows: Iterable[Mapping[str, Any]], figure: str) -> MetricSummary | None:
    return column_summary(rows, METRIC_COLUMNS[figure], energy=is_energy(figure))


def test_no_mean_over_unlike_nodes_is_given_however_it_is_asked_for(mixed: Path) -> None:
    rows = list(study_rows(mixed))
    assert _mean(rows, "tokens_per_s") is None
    assert _mean(rows, "j_per_output_token") is None
    alike = [row for row in rows if row["environment.node"] != "n9"]
    assert _mean(alike, "tokens_per_s") is not None


def test_no_rows_are_of_no_environment() -> None:
    assert by_environment([]) == []


def test_an_experiment_whose_cycles_ran_on_unlike_nodes_is_not_repeated_for_an_interval(on: Any) -> None:
    repetition = NarrowInterval(UntilConfig(ci_width=0.02, figure="tokens_per_s"))
    for cycle, hardware in enumerate((A100, H200, A100), 1):
        repetition.add("a", "testbed.batch_size=1", on(f"n{cycle}", hardware, cycle=cycle))
    verdict = repetition.is_met("a")
    assert verdict is not None
    assert verdict[0] == "warning"
    assert "ran in environments that differ in GPU and CPU (NVIDIA A100, EPYC 7; NVIDIA H200, EPYC 9)" in verdict[1]


def test_kinds_are_named_by_what_tells_them_apart() -> None:
    two = Environment((("GPU", "2 × NVIDIA H200"), ("driver", "550.1"), ("CPU", "EPYC 9")))
    one = Environment((("GPU", "NVIDIA H200"), ("driver", "550.1"), ("CPU", "EPYC 9")))
    assert short_names([two, one]) == ["2 × NVIDIA H200", "NVIDIA H200"]
    assert str(Environment()) == "unknown"


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
def test_cycles_that_differ_in_any_fact_have_no_mean(
    make_result: Any, write_study: Any, name: str, update: dict[str, Any]
) -> None:
    results = [make_result(cycle=cycle, position=cycle, tokens_per_s=100.0 + cycle) for cycle in (1, 2, 3)]
    facts = [FACTS.model_copy(update=update), FACTS, FACTS]
    told = [one.model_copy(update={"facts": found}) for one, found in zip(results, facts, strict=True)]
    assert [apart.name for apart in differing(named_facts(facts[1]), named_facts(facts[0]))] == [name]
    assert _mean(study_rows(write_study(*told)), "tokens_per_s") is None


@pytest.mark.parametrize(("name", "update"), CHANGED, ids=[f"{name}-{i}" for i, (name, _) in enumerate(CHANGED)])
def test_until_does_not_stop_on_a_mixture(make_result: Any, name: str, update: dict[str, Any]) -> None:
    repetition = NarrowInterval(UntilConfig(ci_width=0.5, figure="tokens_per_s"))
    for cycle, facts in enumerate((FACTS, FACTS.model_copy(update=update), FACTS), 1):
        repetition.add("a", "testbed.batch_size=1", make_result(cycle=cycle).model_copy(update={"facts": facts}))
    verdict = repetition.is_met("a")
    assert verdict is not None
    assert verdict[0] == "warning", "identical figures, and yet no interval is told to be narrow enough"
    assert f"ran in environments that differ in {name}" in verdict[1]


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
