"""Raw mappings to one validated, resolved experiment; a composed one composes to itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from config_backends import BACKENDS, SCENARIOS, OtherConfig
from field_values import valid_values
from hypothesis import given
from hypothesis import strategies as st
from llem_testbed import TestbedConfig

from llem.config.compose import Composer
from llem.config.experiment import SECTIONS, ExperimentConfig
from llem.config.identity import config_hash
from llem.config.introspect import facts_of
from llem.config.section import Section
from llem.errors import ConfigError, PluginError

COMPOSER = Composer(BACKENDS, SCENARIOS)
BASE: dict[str, Any] = {"model": "random:tiny-llama", "backend": "testbed"}


def complaint(document: Mapping[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        COMPOSER.compose(document)
    return str(caught.value)


def section_values(model: type[Section]) -> st.SearchStrategy[dict[str, Any]]:
    """Sections of some fields, each with one of its valid test values; rules between fields may still refuse them."""
    fields = {key: st.sampled_from(valid_values(facts)) for key, facts in facts_of(model).items()}
    return st.fixed_dictionaries({}, optional=fields).map(_nested)


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        place = result
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return result


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Experiments as a user may write them."""
    backend = draw(st.sampled_from(sorted(BACKENDS)))
    sections = {**SECTIONS, backend: BACKENDS[backend].config}
    names = draw(st.sets(st.sampled_from(sorted(sections)), max_size=4)) - {"model"}
    return {**BASE, "backend": backend, **{name: draw(section_values(sections[name])) for name in sorted(names)}}


def composed(document: Mapping[str, Any]) -> ExperimentConfig | None:
    try:
        return Composer(BACKENDS, SCENARIOS).compose(document)
    except ConfigError:
        return None


def test_an_experiment_has_every_section_at_its_default() -> None:
    config = COMPOSER.compose(BASE)
    assert config.model.source == "random:tiny-llama"
    assert config.options == TestbedConfig()
    assert config.dataset == SECTIONS["dataset"]()
    assert set(COMPOSER.names) == {*SECTIONS, "options"}


def test_a_section_is_of_its_backends_model() -> None:
    config = COMPOSER.compose({**BASE, "backend": "other", "other": {"compile": {"enabled": True, "mode": "small"}}})
    assert isinstance(config.options, OtherConfig)
    assert config.document()["other"]["compile"] == {"enabled": True, "mode": "small"}
    assert "options" not in config.document()


@given(documents())
def test_a_composed_experiment_composes_to_itself(document: dict[str, Any]) -> None:
    config = composed(document)
    if config is None:
        return
    again = COMPOSER.compose(config.document())
    assert again == config
    assert config_hash(again) == config_hash(config)
    through_a_file = COMPOSER.compose(json.loads(json.dumps(config.document(), allow_nan=False)))
    assert through_a_file == config


@given(documents(), st.randoms())
def test_the_order_of_keys_says_nothing(document: dict[str, Any], random: Any) -> None:
    config = composed(document)
    items = list(document.items())
    random.shuffle(items)
    assert composed(dict(items)) == config


@given(documents())
def test_what_was_composed_before_changes_nothing(document: dict[str, Any]) -> None:
    fresh = composed(document)
    if fresh is not None:
        assert COMPOSER.compose(document) == fresh
        assert COMPOSER.compose(document) == fresh
    else:
        first, second = complaint(document), complaint(document)
        assert first == second


def test_a_section_that_was_seen_is_finished_once() -> None:
    a = COMPOSER.compose({**BASE, "dataset": {"n": 5}, "testbed": {"batch_size": 1}})
    b = COMPOSER.compose({**BASE, "dataset": {"n": 5}, "testbed": {"batch_size": 2}})
    assert a.dataset is b.dataset
    assert a.options != b.options


@pytest.mark.parametrize("wrong", [True, "1", [1], None])
def test_values_that_python_takes_for_equal_are_told_apart(wrong: Any) -> None:
    composer = Composer(BACKENDS, SCENARIOS)
    composer.compose({**BASE, "measurement": {"min_window_s": 1}})
    with pytest.raises(ConfigError):
        composer.compose({**BASE, "measurement": {"min_window_s": wrong}})
    assert composer.compose({**BASE, "measurement": {"min_window_s": 1.0}}).measurement.min_window_s == 1.0


def test_the_backends_own_resolution_is_applied() -> None:
    assert COMPOSER.compose({**BASE, "testbed": {"ignored": 3}}) == COMPOSER.compose(BASE)
    other = {**BASE, "backend": "other"}
    assert COMPOSER.compose({**other, "other": {"compile": {"mode": "small"}}}) == COMPOSER.compose(other)
    assert COMPOSER.compose({**other, "other": {"device": "cuda:0"}}).options.device == "cuda"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"model": "x"}, "backend: `backend` is missing. Accepted: other, testbed."),
        ({"model": "x", "backend": 3}, "backend: `backend` is not the name of a backend: found 3."),
        ({"backend": "testbed"}, "`model.source` is missing"),
        ({**BASE, "datset": {}}, "`datset` is no key of an experiment"),
        ({**BASE, "other": {}}, "is the section of another backend; this experiment's is testbed"),
        ({**BASE, "dataset": None}, "`dataset` is not accepted: found null"),
        ({**BASE, "dataset": {"n": 0}}, "dataset.n: `dataset.n` is not accepted: found 0."),
        ({**BASE, "backend": "other", "other": {"eager": True, "compile": {"enabled": True}}}, "eager contradicts"),
        ({**BASE, "backend": "other", "measurement": {"scenario": "single_stream"}}, "cannot give tokens one by one"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(document: dict[str, Any], expected: str) -> None:
    assert expected in complaint(document)


def test_all_problems_are_told_at_once_and_located() -> None:
    document = {**BASE, "dataset": {"n": 0, "m": 1}, "warmup": {"batches": 1}, "datset": 1}
    with pytest.raises(ConfigError) as caught:
        COMPOSER.compose(document, lambda key: f"at {'/'.join(map(str, key))}")
    lines = str(caught.value).splitlines()
    assert lines[0] == "4 problems in the configuration:"
    assert {line.strip().split(":")[0] for line in lines[1:]} == {
        "at datset",
        "at dataset/n",
        "at dataset/m",
        "at warmup/batches",
    }


def test_a_backend_that_is_not_installed_is_a_plugin_error() -> None:
    with pytest.raises(PluginError, match="Did you mean `testbed`"):
        COMPOSER.compose({**BASE, "backend": "testbad"})


def test_streaming_is_asked_of_backends_that_stream_only() -> None:
    config = COMPOSER.compose({**BASE, "measurement": {"scenario": "single_stream"}})
    assert config.measurement.scenario == "single_stream"
