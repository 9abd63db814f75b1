"""A study of loads that is steered: rates above one that saturated are skipped, and a search takes what it can search."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llem.plugin_api import (
    BACKENDS,
    SCENARIOS,
    Composer,
    ConfigError,
    ExperimentConfig,
    ExperimentResult,
    Registry,
    SearchConfig,
    SearchContext,
)
from llem.results.models import Failure
from llem_serving.capacity.rate_search import CapacityGoal, LeastEnergyGoal
from llem_serving.skipping import HigherRates

Configure = Callable[..., ExperimentConfig]
MakeResult = Callable[..., ExperimentResult]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Composes an experiment of the loadbed under a load."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "loadbed")
    names = {"loadbed": "llem_loadbed", "serving": "llem_serving.plugin"}
    registry = Registry(
        entry_points=[importlib.metadata.EntryPoint(name, module, "llem") for name, module in names.items()]
    )
    composer = Composer(registry[BACKENDS], registry[SCENARIOS])

    def make(
        *,
        scenario: str = "server",
        backend: dict[str, Any] | None = None,
        slo: dict[str, Any] | None = None,
        dataset: dict[str, Any] | None = None,
        **load: Any,
    ) -> ExperimentConfig:
        document = {"model": "random:tiny-llama", "backend": "loadbed", "loadbed": backend or {}}
        sections = {"load": load, "slo": slo or {}} if scenario == "server" else {}
        sections |= {"dataset": dataset} if dataset else {}
        return composer.compose({**document, "measurement": {"scenario": scenario}, **sections})

    return make


@pytest.fixture
def saturated(make_result: MakeResult) -> ExperimentResult:
    found = make_result(warnings={"saturated": "more and more"})
    return found.model_copy(update={"scenario_metrics": {"saturation_shortfall": 5.0}})


def test_higher_rates_of_the_same_configuration_are_skipped(configure: Configure, saturated: ExperimentResult) -> None:
    rule = HigherRates()
    assert rule.reason(configure(rate_rps=8.0)) is None
    rule.ended(configure(rate_rps=4.0), saturated)
    reason = rule.reason(configure(rate_rps=8.0))
    assert reason is not None
    assert "saturated at 4 requests/s" in reason
    assert "--run-skipped" in reason
    assert rule.reason(configure(rate_rps=4.0)) is None, "its own cycles are repeated"
    assert rule.reason(configure(rate_rps=2.0)) is None
    assert rule.reason(configure(rate_rps=8.0, duration_s=30.0)) is None, "another load"
    assert rule.reason(configure(rate_rps=8.0, backend={"max_batch": 2})) is None, "another configuration"
    assert rule.reason(configure(rate_rps=None, concurrency=8)) is None


def test_the_lowest_rate_that_saturated_counts(configure: Configure, saturated: ExperimentResult) -> None:
    rule = HigherRates()
    rule.ended(configure(rate_rps=4.0), saturated)
    rule.ended(configure(rate_rps=8.0), saturated)
    assert rule.reason(configure(rate_rps=6.0)) is not None


def test_a_rate_that_kept_up_before_goes_on(
    configure: Configure, saturated: ExperimentResult, make_result: MakeResult
) -> None:
    rule = HigherRates()
    rule.ended(configure(rate_rps=8.0), make_result())
    rule.ended(configure(rate_rps=4.0), saturated)
    assert rule.reason(configure(rate_rps=8.0)) is None
    assert rule.reason(configure(rate_rps=9.0)) is None, "what kept up above contradicts it"
    rule.ended(configure(rate_rps=8.5), saturated)
    assert rule.reason(configure(rate_rps=9.0)) is not None


def test_another_cycle_that_kept_up_contradicts(
    configure: Configure, saturated: ExperimentResult, make_result: MakeResult
) -> None:
    rule = HigherRates()
    rule.ended(configure(rate_rps=4.0), saturated)
    assert rule.reason(configure(rate_rps=8.0)) is not None
    rule.ended(configure(rate_rps=4.0), make_result())
    assert rule.reason(configure(rate_rps=8.0)) is None


def test_a_run_without_a_steady_state_contradicts_nothing(
    configure: Configure, saturated: ExperimentResult, make_result: MakeResult
) -> None:
    rule = HigherRates()
    rule.ended(configure(rate_rps=4.0), saturated)
    rule.ended(configure(rate_rps=4.0), make_result().model_copy(update={"scenario_metrics": {"steady": 0.0}}))
    assert rule.reason(configure(rate_rps=8.0)) is not None


def test_a_trend_alone_skips_nothing_until_a_second_run_has_it(configure: Configure, make_result: MakeResult) -> None:
    rule, trend = HigherRates(), make_result(warnings={"saturated": "more and more"})
    rule.ended(configure(rate_rps=4.0), trend)
    assert rule.reason(configure(rate_rps=8.0)) is None
    rule.ended(configure(rate_rps=6.0), trend)
    assert rule.reason(configure(rate_rps=8.0)) is not None


def test_what_failed_tells_nothing(configure: Configure, saturated: ExperimentResult, make_result: MakeResult) -> None:
    rule = HigherRates()
    failure = Failure(type="Crash", message="gone", phase="window", exit_code=1, signal=None, log_tail="")
    rule.ended(configure(rate_rps=4.0), make_result(failure=failure, warnings={"saturated": "before it crashed"}))
    assert rule.reason(configure(rate_rps=8.0)) is None


def context(*configurations: ExperimentConfig) -> SearchContext:
    labels = [f"n={number}" for number in range(len(configurations))]
    return SearchContext(settings=SearchConfig(goal="capacity"), configurations=configurations, labels=labels)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rate_rps": None, "concurrency": 4}, "load.rate_rps, and the load of n=0 has none"),
        ({"rate_rps": 2.0, "steady_s": 0.0}, "tests for no steady state"),
        ({"rate_rps": 2.0, "slo": {"attainment": 1.0}}, "attainment of 1 cannot be searched for"),
        ({"scenario": "offline"}, "n=0 has the scenario offline"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_what_to_do(
    configure: Configure, given: dict[str, Any], said: str
) -> None:
    for goal in (CapacityGoal, LeastEnergyGoal):
        with pytest.raises(ConfigError, match=said) as refused:
            goal(context(configure(**given)))
        assert refused.value.remedy


def test_each_configuration_is_searched_by_itself(
    configure: Configure, make_result: MakeResult, tmp_path: Path
) -> None:
    search = CapacityGoal(context(configure(rate_rps=2.0), configure(rate_rps=5.0)))
    assert (search.next(0), search.next(1)) == (2.0, 5.0)
    failure = Failure(type="Crash", message="gone", phase="window", exit_code=1, signal=None, log_tail="")
    search.ended(1, 5.0, make_result(failure=failure), tmp_path)
    first, second = search.answer()["configurations"]
    assert (first["runs"], len(second["runs"])) == ([], 1)
    assert [text[:4] for text in search.answer()["said"]] == ["n=0:", "n=1:", "n=1:"]
    assert search.settings(0, 2.0) == {
        "load.duration_s": 500.0,
        "load.steady_s": 1000.0,
        "limits.timeout_s": 4920.0,
    }


def test_rates_of_conversations_are_told_as_such(configure: Configure, saturated: ExperimentResult) -> None:
    chats = {"name": "conversations", "path": "chats.json", "n": 9}
    search = CapacityGoal(context(configure(rate_rps=2.0, dataset=chats)))
    said = "\n".join(search.plan())
    assert "each from 2 conversations/s on" in said
    assert "until 1,000 conversations have come" in said
    assert search.answer()["configurations"][0]["unit"] == "conversations/s"
    rule = HigherRates()
    rule.ended(configure(rate_rps=4.0, dataset=chats), saturated)
    assert "saturated at 4 conversations/s" in (rule.reason(configure(rate_rps=8.0, dataset=chats)) or "")
