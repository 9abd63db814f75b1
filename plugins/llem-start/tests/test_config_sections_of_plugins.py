"""The JSON Schema and the commented study of what plugins bring: options of runners, sections of scenarios."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from config_backends import BACKENDS
from jsonschema import Draft202012Validator
from pydantic import Field

from llem.plugin_api import API_VERSION, SCENARIOS, Registry, RunnerSpec, ScenarioSpec, Section
from llem_start.schema import json_schema
from llem_start.template import commented_study


class QueueOptions(Section):
    """The place of jobs in the queue."""

    partition: str | None = Field(None, description="the partition")
    nodes: int = Field(1, ge=1, description="how many nodes")


class Load(Section):
    """The load that arrives."""

    rate_rps: float = Field(gt=0, description="requests per second")


RUNNERS = {
    name: RunnerSpec(name=name, api_version=API_VERSION, summary="a runner", runner="nowhere:Runner", options=options)
    for name, options in (("queue", QueueOptions), ("local", None))
}
LOADED: Mapping[str, ScenarioSpec] = {
    **Registry(entry_points=[])[SCENARIOS],
    "loaded": ScenarioSpec(
        name="loaded",
        api_version=API_VERSION,
        summary="under load",
        generator="nowhere:Generator",
        sections={"load": Load},
    ),
}
STUDY: Mapping[str, Any] = {"model": "random:tiny-llama", "backend": "testbed"}
UNDER_LOAD: Mapping[str, Any] = {**STUDY, "measurement": {"scenario": "loaded"}}


def test_the_schema_and_the_commented_study_know_options_of_runners() -> None:
    schema = Draft202012Validator(json_schema(BACKENDS, RUNNERS))
    queued = {**STUDY, "runners": {"testbed": "queue"}}
    assert schema.is_valid({**queued, "runner_options": {"queue": {"partition": "a", "nodes": 2}}})
    assert not schema.is_valid({**queued, "runner_options": {"queue": {"nodes": 0}}})
    assert not schema.is_valid({**queued, "runner_options": {"local": {}}})
    text = commented_study(BACKENDS, runners=RUNNERS)
    assert "#   queue:  # The place of jobs in the queue." in text
    assert "#     nodes: 1 " in text


def test_the_schema_knows_the_sections_of_a_scenario() -> None:
    schema = Draft202012Validator(json_schema(BACKENDS, scenarios=LOADED))
    assert schema.is_valid({**UNDER_LOAD, "load": {"rate_rps": 4}, "sweep": {"load.rate_rps": [1, 2]}})
    assert not schema.is_valid({**UNDER_LOAD, "load": {"rate": 4}})
    assert not schema.is_valid({**STUDY, "measurement": {"scenario": "unheard-of"}})


@pytest.mark.parametrize(("width", "fits"), [(0.02, True), ("2 %", True), ("two", False), (2, False)])
def test_the_schema_takes_a_width_as_a_share_or_a_percentage(width: object, fits: bool) -> None:
    schema = Draft202012Validator(json_schema({}))
    assert schema.is_valid({"model": "m", "execution": {"until": {"ci_width": width}}}) is fits
