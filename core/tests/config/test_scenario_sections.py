"""Sections that a scenario brings: checked by its models, swept like any other, and there only where the scenario is."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from fixtures.two_backends import BACKENDS
from pydantic import Field

from llem.config.compose import Composer
from llem.config.experiment import SECTIONS
from llem.config.identity import config_hash
from llem.config.keys import Vocabulary
from llem.config.layers import LoadedStudy, load_study
from llem.config.section import Section
from llem.errors import ConfigError
from llem.hookspecs import API_VERSION
from llem.plugins import Registry
from llem.specs.kinds import SCENARIOS
from llem.specs.scenario import ScenarioSpec
from llem.sweep import Sweep


class Load(Section):
    """The load that arrives."""

    rate_rps: float = Field(gt=0, description="requests per second")
    seed: int = Field(0, description="of arrivals")


class Objectives(Section):
    """The limits that answers are judged by."""

    identifying: ClassVar[bool] = False

    ttft_s: float | None = Field(None, gt=0, description="longest time to first token")


BUILT_IN = Registry(entry_points=[])[SCENARIOS]
LOADED: Mapping[str, ScenarioSpec] = {
    **BUILT_IN,
    "loaded": ScenarioSpec(
        name="loaded",
        api_version=API_VERSION,
        summary="under load",
        generator="nowhere:Generator",
        sections={"load": Load, "objectives": Objectives},
        defaults={"decoding": {"length": "natural", "repetition_penalty": 1.5}},
    ),
}
STUDY: Mapping[str, Any] = {"model": "random:tiny-llama", "backend": "alpha"}
UNDER_LOAD: Mapping[str, Any] = {"measurement": {"scenario": "loaded"}}


def load(document: Mapping[str, Any], **given: Any) -> LoadedStudy:
    options = {"environ": {"XDG_CONFIG_HOME": "/nowhere"}, "backends": BACKENDS, "scenarios": LOADED} | given
    return load_study(document={**STUDY, **document}, **options)


def points(document: Mapping[str, Any]) -> Sweep:
    loaded = load(document)
    return Sweep(loaded.config, BACKENDS, LOADED, loaded.locate)


def compose(**document: Any) -> Any:
    return Composer(BACKENDS, LOADED).compose({**STUDY, **document})


def test_an_experiment_of_the_scenario_has_its_sections_and_composes_to_itself() -> None:
    config = compose(**UNDER_LOAD, load={"rate_rps": 4})
    assert config.sections == {"load": Load(rate_rps=4), "objectives": Objectives()}
    assert config.document()["load"] == {"rate_rps": 4.0, "seed": 0}
    assert "sections" not in config.document()
    assert compose(**config.document()) == config


def test_an_experiment_of_another_scenario_has_none_of_them_and_the_identity_that_it_always_had() -> None:
    plain = Composer(BACKENDS, BUILT_IN).compose(STUDY)
    config = compose()
    assert config == plain
    assert config_hash(config) == config_hash(plain)
    assert not {"load", "objectives"} & set(config.document())


def test_what_defines_the_work_is_part_of_identity_and_what_judges_it_is_not() -> None:
    base = config_hash(compose(**UNDER_LOAD, load={"rate_rps": 4}))
    assert config_hash(compose(**UNDER_LOAD, load={"rate_rps": 4.0, "seed": 0}, objectives={"ttft_s": 1.0})) == base
    assert config_hash(compose(**UNDER_LOAD, load={"rate_rps": 5})) != base
    assert config_hash(compose(**UNDER_LOAD, load={"rate_rps": 4, "seed": 1})) != base


def test_the_sweep_gives_the_identity_of_the_experiments_that_it_expands_to() -> None:
    study = {"sweep": {"load.rate_rps": [1, 2], "load.seed": [0, 1], "dataset.n": [5, 6]}, **UNDER_LOAD}
    found = list(points(study))
    assert len(found) == 8
    assert [p.config_hash for p in found] == [config_hash(p.config) for p in found]
    assert {(p.config.sections["load"].rate_rps, p.config.dataset.n) for p in found} == {(1, 5), (1, 6), (2, 5), (2, 6)}


def test_points_of_scenarios_that_the_section_means_nothing_to_are_one_experiment() -> None:
    found = points({"sweep": {"measurement.scenario": ["offline", "loaded"], "load.rate_rps": [1, 2, 3]}})
    assert found.size == 6
    assert [(p.config.measurement.scenario, len(p.config.sections)) for p in found] == [
        ("offline", 0),
        ("loaded", 2),
        ("loaded", 2),
        ("loaded", 2),
    ]


def test_a_field_that_has_to_be_given_is_told_where_it_is_missing() -> None:
    with pytest.raises(ConfigError, match=r"load\.rate_rps"):
        list(points({**UNDER_LOAD}))
    with pytest.raises(ConfigError, match=r"load\.rate_rps"):
        list(points({"sweep": {"measurement.scenario": ["offline", "loaded"]}}))


@pytest.mark.parametrize(
    "document",
    [
        {"load": {"rate_rps": 4}},
        {"sweep": {"load.rate_rps": [1, 2]}},
        {"sweep": {"groups": [{"load.rate_rps": 1}]}},
        {"experiments": [{"load.rate_rps": 1}]},
    ],
)
def test_a_section_of_a_scenario_that_no_experiment_has_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"belongs to a scenario that no experiment has.*loaded"):
        load(document)


def test_a_section_of_another_scenario_in_one_experiment_is_refused() -> None:
    with pytest.raises(ConfigError, match="section of another scenario"):
        compose(load={"rate_rps": 4})


def test_a_wrong_value_is_told_where_it_stands() -> None:
    with pytest.raises(ConfigError, match=r"load\.rate_rps.*a number above 0"):
        list(points({**UNDER_LOAD, "sweep": {"load.rate_rps": [1, 0]}}))
    with pytest.raises(ConfigError, match=r"rate_rps"):
        load({**UNDER_LOAD, "load": {"rate": 4}})


def test_its_keys_come_from_every_layer() -> None:
    environ = {"XDG_CONFIG_HOME": "/nowhere", "LLEM_LOAD_RATE_RPS": "7"}
    assert load({**UNDER_LOAD}, environ=environ).config.base["load"] == {"rate_rps": 7}
    assert load({**UNDER_LOAD}, settings=["load.rate_rps=8"]).config.base["load"] == {"rate_rps": 8}
    assert "load.rate_rps" in Vocabulary(BACKENDS, scenarios=LOADED).settings
    assert set(Vocabulary(BACKENDS, scenarios=BUILT_IN).sections) == {*SECTIONS, *BACKENDS}


def test_a_scenario_has_defaults_of_its_own_which_a_study_overrides() -> None:
    natural = compose(**UNDER_LOAD, load={"rate_rps": 4})
    assert (natural.decoding.length, natural.decoding.repetition_penalty) == ("natural", 1.5)
    assert compose(**UNDER_LOAD, load={"rate_rps": 4}, decoding={"length": "fixed"}).decoding.length == "fixed"
    assert compose().decoding.length == "fixed"
    assert compose(**natural.document()) == natural


def test_the_defaults_follow_the_scenario_when_that_is_swept_and_give_the_identity_of_what_runs() -> None:
    swept = points(
        {
            "load": {"rate_rps": 4},
            "sweep": {"measurement.scenario": ["offline", "loaded"], "decoding.repetition_penalty": [1.1, 1.2]},
        }
    )
    configs = [point.config for point in swept]
    assert [one.decoding.length for one in configs] == ["fixed", "fixed", "natural", "natural"]
    written = compose(**UNDER_LOAD, load={"rate_rps": 4}, decoding={"length": "natural", "repetition_penalty": 1.2})
    assert config_hash(configs[3]) == config_hash(written)


def test_a_load_may_have_more_under_way_than_the_dataset_has_prompts(fitting: Mapping[str, Any]) -> None:
    def batch_size(at_once: float | None) -> Any:
        scenarios = {**LOADED, "loaded": dataclasses.replace(LOADED["loaded"], at_once=at_once)}
        document = {**STUDY, **UNDER_LOAD, "load": {"rate_rps": 4}, "dataset": {"n": 8}, "alpha": {"batch_size": 64}}
        return Composer(fitting, scenarios).compose(document).options.batch_size  # type: ignore[attr-defined]

    assert batch_size(None) < 64
    assert batch_size(1) == 1
    assert batch_size(math.inf) == 64
