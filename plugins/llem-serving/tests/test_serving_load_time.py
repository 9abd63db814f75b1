"""The time of a load in the plan: what the ramp, the wait for a steady state and the window take at the least."""

from __future__ import annotations

from typing import Any

import pytest

from llem.config.layers import load_study
from llem.plan import make_plan
from llem.plugins import default_registry
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_serving.config import LoadConfig, SloConfig
from llem_serving.load_time import least_s


@pytest.mark.parametrize(
    ("load", "seconds"),
    [
        ({"rate_rps": 1}, 10 + 60 + 60),
        ({"rate_rps": 1, "ramp_s": 0, "duration_s": 30, "parts": 6}, 15 + 30),
        ({"concurrency": 4, "ramp_s": 2, "steady_s": 0}, 2 + 60),
        ({"stages": [{"duration_s": 5, "rate_rps": 1}], "ramp_s": 1, "duration_s": 5}, 1 + 5),
        ({"arrival": "trace", "ramp_s": 0, "duration_s": 7}, 7),
    ],
)
def test_a_run_takes_its_ramp_three_steady_parts_and_its_window(load: dict[str, Any], seconds: float) -> None:
    assert least_s({"load": LoadConfig.model_validate(load), "slo": SloConfig()}) == pytest.approx(seconds)


def document_of(load: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return {
        "model": "random:tiny-llama",
        "backend": "openai",
        "openai": {"base_url": "http://127.0.0.1:9/v1"},
        "measurement": {"scenario": "server", "min_window_s": 500},
        "load": load,
        **sections,
    }


def estimate_s(document: dict[str, Any]) -> float:
    registry = default_registry()
    found = load_study(document=document, environ={}, backends=registry[BACKENDS], scenarios=registry[SCENARIOS])
    return make_plan(found, registry).estimate_s


def test_a_plan_of_a_search_has_runs_as_long_as_the_search_makes_them() -> None:
    search: dict[str, Any] = {"slo": {"ttft_s": 1}, "execution": {"search": {"goal": "capacity"}}}
    one, searched = estimate_s(document_of({"rate_rps": 2})), estimate_s(document_of({"rate_rps": 2}, **search))
    assert searched - one == pytest.approx(2 * (500 - 60)), (
        "1,000 requests at 2 a second, and as long until it is steady"
    )
    given = {"rate_rps": 2, "duration_s": 90}
    assert estimate_s(document_of(given, **search)) == pytest.approx(estimate_s(document_of(given)))
    two = {**search, "sweep": {"dataset.output_tokens": [8, 9]}}
    assert estimate_s(document_of({"rate_rps": 2}, **two)) > 2 * (500 + 500)


def test_a_plan_counts_the_load_and_not_the_least_window_of_other_scenarios() -> None:
    def estimate(duration_s: int) -> float:
        return estimate_s(document_of({"rate_rps": 1, "duration_s": duration_s}))

    assert estimate(90) - estimate(60) == pytest.approx(30 + 30), "as long a wait for a steady state, and the window"
    assert estimate(60) < 500
