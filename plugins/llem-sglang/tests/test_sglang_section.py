"""The section `sglang:`: an option for every one of SGLang's, and a reason for every other name. Nothing here needs SGLang."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from llem.config.compose import Composer
from llem.config.experiment import ExperimentConfig
from llem.errors import ConfigError
from llem.plugins import default_registry
from llem.specs.kinds import BACKENDS, SCENARIOS
from llem_engines.decoding import sampling_arguments
from llem_engines.passes import Passes
from llem_engines.section import given
from llem_sglang.arguments import check_options, engine_arguments, environment, needs_text
from llem_sglang.cache_treatment import radix_cache
from llem_sglang.config import SCHEMA_VERSION, SglangConfig, batch_size, gpus, resolve
from llem_sglang.schema import load


def experiment(sglang: dict[str, Any], **sections: Any) -> ExperimentConfig:
    """A composed experiment."""
    registry = default_registry()
    document = {"model": "random:smollm2-135m", "backend": "sglang", "sglang": sglang, **sections}
    return Composer(registry[BACKENDS], registry[SCENARIOS]).compose(document)


def test_every_option_of_the_schema_is_a_key_or_says_what_to_write_instead() -> None:
    fields = load(SCHEMA_VERSION)["engine"]
    for field in fields:
        is_key = field["name"] in SglangConfig.model_fields
        assert is_key != (field["name"] in SglangConfig.retired or "value" not in field), field["name"]
    assert len(SglangConfig.model_fields) > 300
    assert "keep_cache" in SglangConfig.model_fields


def test_an_option_that_is_settled_elsewhere_is_refused_with_what_to_write() -> None:
    for key, said in (("model_path", "model.source"), ("random_seed", "decoding.seed"), ("host", "server")):
        with pytest.raises(ConfigError, match=said):
            experiment({key: 1})
    with pytest.raises(ConfigError, match=r"dataset\.output_tokens"):
        experiment({"sampling": {"max_new_tokens": 4}})


def test_a_value_that_sglang_does_not_know_is_refused() -> None:
    with pytest.raises(ValidationError):
        SglangConfig.model_validate({"schedule_policy": "alphabetical"})
    with pytest.raises(ValidationError):
        SglangConfig.model_validate({"max_running_requests": "many"})
    with pytest.raises(ValidationError):
        SglangConfig.model_validate({"schedule_polices": "lpm"})


def test_sglang_gets_what_is_given_and_decides_the_rest_itself() -> None:
    config = experiment({"schedule_policy": "lpm", "keep_cache": True, "sampling": {"presence_penalty": 0.5}})
    found = engine_arguments(config.options, config.decoding)
    assert found == {
        "schedule_policy": "lpm",
        "random_seed": config.decoding.seed,
        "incremental_streaming_output": True,
        "log_level": "warning",
    }
    assert sampling_arguments(config.options, config.decoding) == {"temperature": 0.0, "presence_penalty": 0.5}


def test_a_cpu_is_told_to_sglang_before_it_is_imported() -> None:
    assert environment(SglangConfig.model_validate({"device": "cpu"}))["SGLANG_USE_CPU_ENGINE"] == "1"
    assert "SGLANG_USE_CPU_ENGINE" not in environment(SglangConfig())


@pytest.mark.parametrize(
    ("options", "cards"),
    [
        ({}, 1),
        ({"device": "cpu", "tp_size": 2}, 0),
        ({"tp_size": 2, "pp_size": 2}, 4),
        ({"tp_size": 2, "dp_size": 2}, 4),
        ({"tp_size": 2, "dp_size": 2, "enable_dp_attention": True}, 2),
    ],
)
def test_it_takes_a_card_for_each_part_and_each_replica(options: dict[str, Any], cards: int) -> None:
    assert gpus(SglangConfig.model_validate(options)) == cards


def test_the_size_asked_for_is_the_most_requests_and_two_of_them_are_two_experiments() -> None:
    assert batch_size(SglangConfig.model_validate({"max_running_requests": 64})) == 64
    assert batch_size(SglangConfig()) is None
    assert default_registry().find(BACKENDS, "sglang").fit is None


def test_what_says_nothing_makes_no_experiment_of_its_own() -> None:
    nothing = SglangConfig.model_validate({"sampling": {"presence_penalty": 0.0}, "keep_cache": False})
    assert given(resolve(nothing)) == {}
    assert resolve(nothing) == resolve(SglangConfig.model_validate({"keep_cache": False}))


@pytest.mark.parametrize(
    ("options", "sections", "said"),
    [
        ({"sampling": {"stop": ["."]}}, {"model": {"source": "x"}}, "ends answers early"),
        ({"sampling": {"stop_token_ids": [3]}}, {}, "ends answers early"),
        ({"sampling": {"min_new_tokens": 3}}, {}, "has no tokenizer"),
        ({"keep_cache": True, "disable_radix_cache": True}, {}, "switches it off"),
        ({"keep_cache": True}, {"measurement": {"scenario": "server"}, "load": {"rate_rps": 1}}, "has none"),
    ],
)
def test_options_that_contradict_one_another_are_refused(
    options: dict[str, Any], sections: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        check_options(experiment(options, **sections))


def test_text_is_made_only_for_those_who_look_into_it() -> None:
    assert not needs_text(SglangConfig())
    assert not needs_text(SglangConfig.model_validate({"sampling": {"stop_token_ids": [3]}}))
    assert needs_text(SglangConfig.model_validate({"sampling": {"stop": "."}}))


def test_the_result_says_what_became_of_the_radix_cache() -> None:
    load_section = {"measurement": {"scenario": "server"}, "load": {"rate_rps": 1}}
    assert radix_cache(experiment({}), {}) == "emptied between passes"
    assert radix_cache(experiment({"keep_cache": True}), {}) == "kept between passes"
    assert radix_cache(experiment({}), {"disable_radix_cache": True}) == "off"
    assert radix_cache(experiment({}, **load_section), {}) == "kept, as a server keeps it"


def test_the_cache_is_emptied_before_prompts_come_again_and_only_there() -> None:
    from llem.specs.backend import Request

    asked = [Request(id=i, output_tokens=1, prompt="x") for i in range(3)]
    emptied: list[int] = []

    def forget() -> bool:
        emptied.append(1)
        return len(emptied) > 1

    passes = Passes(True, forget)
    passes.before(asked[:2])
    passes.before(asked[2:])
    assert not emptied
    passes.before(asked)
    passes.before(asked)
    assert len(emptied) == 2
    assert (passes.kept(), passes.kept()) == (1, 0)
    for others in (Passes(False, forget), Passes(True, None)):
        others.before(asked)
        others.before(asked)
        assert not others.are_emptied
    assert len(emptied) == 2
