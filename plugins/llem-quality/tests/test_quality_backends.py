"""Engines that do otherwise under a load take a quality run for what it is: batches, each prompt once after a warm-up."""

from __future__ import annotations

from typing import Any

import pytest

from llem.config.compose import Composer
from llem.plugins import default_registry
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_engines.passes import has_passes
from llem_pytorch.serving.settings import is_served

EXPERIMENTS: dict[str, dict[str, Any]] = {
    "quality": {"quality": {}},
    "offline": {},
    "single_stream": {},
    "server": {"load": {"rate_rps": 1}},
}


@pytest.mark.parametrize("scenario", EXPERIMENTS)
def test_what_a_scenario_needs_says_how_its_requests_come(scenario: str) -> None:
    registry = default_registry()
    document = {"model": "random:tiny-llama", "backend": "pytorch", "measurement": {"scenario": scenario}}
    config = Composer(registry[BACKENDS], registry[SCENARIOS]).compose(document | EXPERIMENTS[scenario])
    assert config.needs == registry.find(SCENARIOS, scenario).needs
    assert "needs" not in config.document()
    assert is_served(config) == (scenario == "server")
    assert has_passes(config) == (scenario != "server")
    assert ("streaming" in config.needs) == (scenario in ("single_stream", "server"))
