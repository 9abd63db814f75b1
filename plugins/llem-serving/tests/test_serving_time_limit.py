"""The time after which an experiment is given up, against what its load takes: told before it runs, and longer for long runs of a search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llem.config.compose import Composer
from llem.config.layers import load_study
from llem.plan import make_plan
from llem.plugin_api import BACKENDS, SCENARIOS, Finding, PreflightContext, default_registry, installed_parts
from llem_serving.time_limit import check_time_limit


def document_of(load: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return {
        "model": "random:tiny-llama",
        "backend": "openai",
        "openai": {"base_url": "http://127.0.0.1:9/v1"},
        "measurement": {"scenario": "server"},
        "load": load,
        **sections,
    }


def found(load: dict[str, Any], **sections: Any) -> list[Finding]:
    registry = default_registry()
    experiment = Composer(registry[BACKENDS], registry[SCENARIOS]).compose(document_of(load, **sections))
    return list(check_time_limit(PreflightContext(registry=registry, experiments=[experiment] * 2, base_dir=Path())))


@pytest.mark.parametrize(
    ("load", "level"),
    [
        ({"rate_rps": 1}, "ok"),
        ({"rate_rps": 1, "duration_s": 1_000, "steady_s": 3_000}, "warning"),
        ({"rate_rps": 1, "duration_s": 3_000}, "error"),
    ],
)
def test_a_load_that_its_experiment_has_no_time_for_is_told_once(load: dict[str, Any], level: str) -> None:
    (one,) = found(load)
    assert one.level == level
    assert not one.message.endswith(".")
    if level != "ok":
        assert "given up after 1 h" in one.message
        assert one.remedy is not None
        assert "execution.timeout_s" in one.remedy


def test_a_limit_that_is_high_enough_is_well() -> None:
    (one,) = found({"rate_rps": 1, "duration_s": 3_000}, limits={"timeout_s": 20_000})
    assert one.level == "ok"


def test_another_scenario_has_no_load() -> None:
    registry = default_registry()
    document = document_of({}, measurement={"scenario": "offline"})
    del document["load"]
    experiment = Composer(registry[BACKENDS], registry[SCENARIOS]).compose(document)
    assert not list(check_time_limit(PreflightContext(registry=registry, experiments=[experiment])))


@pytest.mark.parametrize(("rate_rps", "takes_s"), [(2.0, 10 + 1_000 + 500 + 30), (0.1, 10 + 20_000 + 10_000 + 30)])
def test_a_run_that_a_search_makes_longer_has_as_much_more_time(rate_rps: float, takes_s: float) -> None:
    registry = default_registry()
    search = {"slo": {"ttft_s": 1, "attainment": 0.9}, "execution": {"search": {"goal": "capacity"}, "timeout_s": 900}}
    study = load_study(document=document_of({"rate_rps": 1}, **search), environ={}, **installed_parts(registry))
    plan = make_plan(study, registry)
    assert plan.search is not None
    config = plan.search.run(0, rate_rps, 1).config
    as_given_s = 10 + 120 + 60 + 30
    assert config.limits.timeout_s == pytest.approx(900 + takes_s - as_given_s)


def test_a_run_of_a_length_that_the_study_gives_keeps_its_limit() -> None:
    registry = default_registry()
    search = {"slo": {"ttft_s": 1}, "execution": {"search": {"goal": "capacity"}}}
    study = load_study(
        document=document_of({"rate_rps": 1, "duration_s": 20}, **search), environ={}, **installed_parts(registry)
    )
    plan = make_plan(study, registry)
    assert plan.search is not None
    assert plan.search.run(0, 0.1, 1).config.limits.timeout_s == 3_600
