"""Facts about every field, from the model alone: test values that hold, words, defaults."""

from __future__ import annotations

import math
from typing import Any

import pytest
from config_backends import BACKENDS, OtherConfig
from field_values import invalid_values, valid_values
from pydantic import ValidationError

from llem.config.experiment import SECTIONS
from llem.config.introspect import FieldFacts, facts_of, from_text, nested_section, takes_text
from llem.config.section import Section
from llem.config.study import ExecutionConfig

MODELS: dict[str, type[Section]] = {
    **SECTIONS,
    "execution": ExecutionConfig,
    **{name: spec.config for name, spec in BACKENDS.items()},
}
FIELDS = [(section, facts) for section, model in MODELS.items() for facts in facts_of(model).values()]
IDS = [f"{section}.{facts.key}" for section, facts in FIELDS]


def errors_at(section: str, key: str, value: Any) -> list[Any]:
    """Validation's word on this one field; rules between fields are left aside."""
    path = key.split(".")
    document: Any = value
    for part in reversed(path):
        document = {part: document}
    if section == "model" and key != "source":
        document["source"] = "x"
    try:
        MODELS[section].model_validate(document)
    except ValidationError as error:
        return [
            e for e in error.errors() if tuple(p for p in e["loc"] if isinstance(p, str))[: len(path)] == tuple(path)
        ]
    return []


@pytest.mark.parametrize(("section", "facts"), FIELDS, ids=IDS)
def test_valid_test_values_validate_and_invalid_ones_do_not(section: str, facts: FieldFacts) -> None:
    assert valid_values(facts), "every field has a value to test with"
    assert len(invalid_values(facts)) >= 3
    for value in valid_values(facts):
        assert not errors_at(section, facts.key, value), f"{value!r} is taken"
    for value in invalid_values(facts):
        assert errors_at(section, facts.key, value), f"{value!r} is refused"


@pytest.mark.parametrize(("section", "facts"), FIELDS, ids=IDS)
def test_every_field_is_described_in_words_and_takes_its_default(section: str, facts: FieldFacts) -> None:
    assert facts.description
    assert facts.accepted
    assert "any value" not in facts.accepted
    assert facts.required or not errors_at(section, facts.key, facts.default)


def test_test_values_stand_at_and_around_every_bound() -> None:
    facts = facts_of(ExecutionConfig)["cycles"]
    assert {1, 2, 100_000, 99_999} <= set(valid_values(facts))
    assert {0, 100_001} <= {v for v in invalid_values(facts) if isinstance(v, int)}
    share = facts_of(OtherConfig)["share"]
    assert 1 in valid_values(share)
    assert 0 in invalid_values(share)
    assert any(isinstance(v, float) and math.isnan(v) for v in invalid_values(share))


def test_choices_are_all_tested() -> None:
    facts = facts_of(OtherConfig)["dtype"]
    assert facts.choices == ("auto", "float32", "float16", "bfloat16")
    assert valid_values(facts)[:4] == list(facts.choices)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("dtype", "one of auto, float32, float16, bfloat16"),
        ("share", "a number above 0 and at most 1"),
        ("blocks", "a whole number from 16 to 4,096 in steps of 16, or null"),
        ("compile.enabled", "true or false"),
        ("flags", "a list, each text"),
        ("environment", "a mapping to a whole number"),
        ("device", "text that matches ^(cpu|cuda(:[0-9])?)$"),
    ],
)
def test_what_a_field_takes_is_said_in_words(key: str, words: str) -> None:
    assert facts_of(OtherConfig)[key].accepted == words


def test_nested_sections_are_flattened_and_lists_are_not() -> None:
    assert "compile.mode" in facts_of(OtherConfig)
    assert "compile" not in facts_of(OtherConfig)
    assert nested_section(OtherConfig.model_fields["flags"]) is None


def test_only_sections_with_a_short_form_take_text() -> None:
    assert [name for name, model in SECTIONS.items() if takes_text(model)] == ["model", "dataset"]
    assert from_text(SECTIONS["model"], "a/b") == {"source": "a/b"}
    assert from_text(SECTIONS["dataset"], "synthetic") == {"name": "synthetic"}
    assert from_text(SECTIONS["dataset"], "p.jsonl") == {"name": "jsonl", "path": "p.jsonl"}


def test_sections_are_strict_frozen_and_closed() -> None:
    for model in MODELS.values():
        assert model.model_config["extra"] == "forbid"
        assert model.model_config["frozen"]
        assert model.model_config["strict"]
    with pytest.raises(ValidationError):
        OtherConfig.model_validate({"share": math.nan})
    with pytest.raises(ValidationError):
        OtherConfig().share = 0.5  # type: ignore[misc]
