"""The core's sections, resolved: presets written out, fields without effect at their default, misfits refused."""

from __future__ import annotations

from typing import Any

import pytest
from config_backends import BACKENDS, SCENARIOS
from field_values import valid_values
from hypothesis import given
from hypothesis import strategies as st

from llem.config.compose import Composer
from llem.config.experiment import SECTIONS, DatasetConfig, ExperimentConfig
from llem.config.introspect import facts_of
from llem.config.resolution import DATASET_FIELDS, PRESETS, resolve_section, section_problems
from llem.errors import ConfigError


def compose(**sections: Any) -> ExperimentConfig:
    return Composer(BACKENDS, SCENARIOS).compose({"model": "random:tiny-llama", "backend": "testbed", **sections})


def test_a_preset_stands_for_its_fields() -> None:
    for name, fields in PRESETS.items():
        spelt_out = {**fields} if fields.get("temperature") else {}
        assert compose(decoding={"preset": name}) == compose(decoding=spelt_out)
        assert compose(decoding={"preset": name}).decoding.preset is None


def test_a_field_beside_a_preset_wins_over_it() -> None:
    decoding = compose(decoding={"preset": "balanced", "top_k": 7, "top_p": None}).decoding
    assert (decoding.temperature, decoding.top_k, decoding.top_p) == (0.7, 7, None)
    assert compose(decoding={"preset": "creative", "temperature": 0}) == compose()


@pytest.mark.parametrize(
    "without_effect",
    [
        {"decoding": {"temperature": 0}},
        {"decoding": {"temperature": 0.0, "top_k": 5, "top_p": 0.5, "min_p": 0.1, "seed": 7}},
        {"decoding": {"preset": "greedy"}},
        {"decoding": {"repetition_penalty": 1}},
        {"dataset": {"seed": 9}},
        {"dataset": "aienergyscore"},
        {"baseline": {"cache": True}},
    ],
)
def test_what_has_no_effect_makes_no_other_experiment(without_effect: dict[str, Any]) -> None:
    assert compose(**without_effect) == compose()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"warmup": {"enabled": False, "batches": 9}}, {"warmup": {"enabled": False}}),
        ({"baseline": {"enabled": False, "duration_s": 9}}, {"baseline": {"enabled": False}}),
        ({"baseline": {"cache": False, "max_age_s": 9}}, {"baseline": {"cache": False}}),
        (
            {"dataset": {"name": "synthetic", "input_tokens": 4, "shuffle": True}},
            {"dataset": {"name": "synthetic", "input_tokens": 4}},
        ),
        ({"decoding": {"temperature": 1, "top_p": 1, "min_p": 0}}, {"decoding": {"temperature": 1}}),
    ],
)
def test_two_ways_to_say_one_thing_are_one_experiment(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert compose(**one) == compose(**other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"decoding": {"temperature": 1, "seed": 7}}, {"decoding": {"temperature": 1}}),
        ({"dataset": {"shuffle": True, "seed": 9}}, {"dataset": {"shuffle": True}}),
        (
            {"dataset": {"name": "synthetic", "input_tokens": 4, "seed": 9}},
            {"dataset": {"name": "synthetic", "input_tokens": 4}},
        ),
        ({"dataset": {"name": "a-plugins", "seed": 9}}, {"dataset": {"name": "a-plugins"}}),
        ({"decoding": {"length": "natural"}}, {}),
        ({"warmup": {"enabled": False}}, {}),
    ],
)
def test_what_has_an_effect_is_kept(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert compose(**one) != compose(**other)


@pytest.mark.parametrize(("name", "key"), [("synthetic", "input_tokens"), ("jsonl", "path"), ("hub", "path")])
def test_a_dataset_says_what_it_needs(name: str, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"`dataset\.{key}` is missing: the dataset {name} needs it"):
        compose(dataset=name)


@pytest.mark.parametrize("name", sorted(DATASET_FIELDS))
@pytest.mark.parametrize("key", ["path", "field", "split", "revision", "chat_template"])
def test_a_field_that_a_dataset_cannot_use_is_refused(name: str, key: str) -> None:
    needs: dict[str, Any] = {"synthetic": {"input_tokens": 4}, "jsonl": {"path": "p"}, "hub": {"path": "p"}}.get(
        name, {}
    )
    section = DatasetConfig.model_validate({"name": name, **needs, key: True if key == "chat_template" else "x"})
    found = [problem.key for problem in section_problems("dataset", section)]
    assert found == ([] if key in DATASET_FIELDS[name] else [("dataset", key)])


def test_a_plugins_dataset_may_use_any_field() -> None:
    section = DatasetConfig(name="a-plugins", path="p", field="f", split="s", revision="r", chat_template=True)
    assert section_problems("dataset", section) == []
    assert resolve_section("dataset", section) == section


@given(st.data())
def test_resolving_twice_changes_nothing_more(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["decoding", "dataset", "warmup", "baseline", "measurement"]))
    facts = facts_of(SECTIONS[name])
    values = data.draw(
        st.fixed_dictionaries({}, optional={key: st.sampled_from(valid_values(f)) for key, f in facts.items()})
    )
    if name == "warmup":
        values = {key: value for key, value in values.items() if "prompts" not in key}
    once = resolve_section(name, SECTIONS[name].model_validate(values))
    assert resolve_section(name, once) == once
    written_out = SECTIONS[name].model_validate(once.model_dump())
    assert resolve_section(name, written_out) == once
