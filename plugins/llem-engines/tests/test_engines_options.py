"""Options of an engine: from annotations to a schema, judged, and from a schema to a section."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

import pytest
from pydantic import ValidationError

from llem.config.section import Section
from llem.errors import ConfigError
from llem_engines import option_types
from llem_engines.names import EngineNames
from llem_engines.review import FILE, Review, judged, unknown, unreviewed
from llem_engines.review_command import run
from llem_engines.schemas import OptionSchemas, dotted
from llem_engines.section import given, section_model, without_empty_parts

NAMES = EngineNames("Mill", "mill", ("mill-cpu-of-nobody", "pytest"), "mill.log", "flour cache", "mill.sack")
REVIEW = """
[[engine]]
energy = false
why.name = "a label"
why.parts = "the stones"

[[engine]]
energy = true
why."parts.size" = "how much is ground at once"
why.speed = "turns"

[[engine]]
energy = true
set_by = "write `model.source`"
why.grain = "what is ground"
"""
RAW: dict[str, Any] = {
    "mill": "1.2",
    "engine": [
        {"name": "name", "type": "str", "default": "auto", "value": {"type": "string"}, "description": "Theirs."},
        {
            "name": "parts",
            "type": "Parts",
            "default": None,
            "value": {"type": "object"},
            "fields": [
                {"name": "size", "type": "int", "default": 2, "value": {"type": "integer", "minimum": 1}},
                {"name": "json", "type": "bool", "default": False, "value": {"type": "boolean"}},
            ],
        },
        {"name": "speed", "type": "float", "default": 1.0, "value": {"anyOf": [{"type": "number"}, {"type": "null"}]}},
        {"name": "grain", "type": "str", "default": "", "value": {"type": "string"}},
        {"name": "hook", "type": "Callable", "default": None},
    ],
}


class Grind(enum.Enum):
    """Named values of an engine."""

    COARSE = 1
    FINE = 2


class Opaque:
    """A class that no study can write down."""


@pytest.mark.parametrize(
    ("hint", "found"),
    [
        (int, {"type": "integer"}),
        (Path, {"type": "string"}),
        (Optional[bool], {"anyOf": [{"type": "boolean"}, {"type": "null"}]}),  # noqa: UP045 - engines write it so
        (Union[None, str, Opaque], {"anyOf": [{"type": "string"}, {"type": "null"}]}),  # noqa: UP007
        (Literal[None, "a", 2], {"enum": ["a", 2]}),
        (Grind, {"enum": ["COARSE", "FINE"]}),
        (Annotated[int, "words"] | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Sequence[str], {"type": "array", "items": {"type": "string"}}),
        (set, {"type": "array", "items": {}}),
        (dict[str, float], {"type": "object", "additionalProperties": {"type": "number"}}),
        (Mapping[str, Opaque], {"type": "object"}),
        (Any, {}),
        (Opaque, None),
        (list[Opaque], None),
        (None, None),
    ],
    ids=str,
)
def test_a_type_becomes_the_values_that_a_study_may_write(hint: Any, found: Any) -> None:
    assert option_types.values(hint) == found


def test_a_default_of_null_is_taken_also_where_the_type_does_not_say_so() -> None:
    assert option_types.with_default({"type": "integer"}, 3) == {"type": "integer"}
    nullable = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert option_types.with_default({"type": "integer"}, None) == nullable
    assert option_types.with_default(nullable, None) == nullable
    assert option_types.with_default({}, None) == {}


def test_a_default_is_told_as_plain_data_and_as_text_where_it_is_none() -> None:
    assert option_types.plain({3, 1}) == [1, 3]
    assert option_types.plain(Grind.FINE) == "FINE"
    assert option_types.plain(float("inf")) == "inf"
    assert option_types.plain((1, "a")) == [1, "a"]


def test_an_annotation_is_the_same_text_in_every_process() -> None:
    assert option_types.written(Optional[dict[str, Any]]) == "Optional[dict[str, Any]]"  # noqa: UP045
    assert " at 0x" not in option_types.written(Annotated[int, Opaque()])


def test_parts_are_judged_like_their_whole_unless_they_are_named() -> None:
    review = Review(REVIEW)
    schema, missing = judged(RAW, review)
    assert missing == ["engine: hook"]
    told = dict(dotted(schema["engine"]))
    assert (told["parts"]["energy"], told["parts.size"]["energy"], told["parts.json"]["energy"]) == (None, True, False)
    assert told["parts.json"]["why"] == "the stones"
    assert "description" not in told["name"]
    assert unknown(RAW, Review(REVIEW + '[[engine]]\nenergy = true\nwhy.gone = "x"\n')) == ["engine: gone"]


def test_a_judgement_that_is_another_than_the_reviews_is_named() -> None:
    review = Review(REVIEW + '[[engine]]\nenergy = false\nwhy.hook = "calls back"\n')
    schema, missing = judged(RAW, review)
    assert missing == []
    assert unreviewed(schema, review) == []
    schema["engine"][1]["fields"][0]["energy"] = False
    schema["engine"][2]["energy"] = None
    assert unreviewed(schema, review) == ["engine: parts.size", "engine: speed"]


@pytest.fixture
def schemas(tmp_path: Path) -> OptionSchemas:
    """Two versions of an engine, of which the newer one is read by `run`."""
    (tmp_path / FILE).write_text(REVIEW)
    (tmp_path / "0.9.json").write_text(json.dumps({"mill": "0.9", "engine": []}))
    return OptionSchemas(tmp_path, "1.2", ("engine",), NAMES)


def test_no_schema_is_written_with_an_option_that_nobody_judged(
    schemas: OptionSchemas, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(schemas, lambda: RAW, "pip install mill.", []) == 1
    assert "1 options of Mill 1.2 are not judged in review.toml:\n  engine: hook" in capsys.readouterr().out
    assert schemas.versions() == ["0.9"]


def test_a_schema_is_written_once_all_is_judged_and_told_against_the_one_before(
    schemas: OptionSchemas, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = {**RAW, "engine": RAW["engine"][:-1]}
    assert run(schemas, lambda: raw, "", []) == 0
    assert "since Mill 0.9:\n  engine: grain is new\n" in capsys.readouterr().out
    assert run(schemas, lambda: raw, "", ["--check"]) == 0
    assert run(schemas, lambda: {**raw, "engine": raw["engine"][:-1]}, "", ["--check"]) == 1
    assert "engine: grain was dropped" in capsys.readouterr().out
    assert run(schemas, lambda: raw, "", ["--judged"]) == 0
    assert "all 4 options of Mill 0.9, 1.2 are judged." in capsys.readouterr().out
    (schemas.folder / FILE).write_text(REVIEW.replace("turns", "rounds"))
    assert run(schemas, lambda: raw, "", ["--judged"]) == 1
    assert "1.2: engine: speed" in capsys.readouterr().out


def test_an_engine_that_cannot_be_imported_is_told_with_how_to_install_it(
    schemas: OptionSchemas, capsys: pytest.CaptureFixture[str]
) -> None:
    def read() -> Mapping[str, Any]:
        raise ImportError("no stones")

    assert run(schemas, read, "pip install mill.", []) == 2
    assert capsys.readouterr().err == "Mill cannot be imported here: no stones. pip install mill.\n"


def test_versions_are_in_order_and_an_unknown_one_is_checked_against_the_default(
    schemas: OptionSchemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("0.10", "1.2"):
        (schemas.folder / f"{version}.json").write_text("{}")
    assert schemas.versions() == ["0.9", "0.10", "1.2"]
    assert schemas.installed() == pytest.__version__, "the first of its distributions that is installed"
    assert schemas.chosen() == "1.2"
    monkeypatch.setattr(schemas, "installed", lambda: "0.10")
    assert schemas.chosen() == "0.10"


@pytest.fixture(scope="module")
def mill() -> type[Section]:
    """The section of the schema above."""
    schema, _ = judged(RAW, Review(REVIEW))
    retired = {"stones": "write `mill.parts`", "parts.count": "leave it out"}
    return section_model(schema, NAMES, {}, {"own": (bool, False)}, retired)


def test_every_option_is_a_key_or_is_refused_with_what_to_write(mill: type[Section]) -> None:
    assert mill.__name__ == "MillConfig"
    assert set(mill.model_fields) == {"name", "parts", "speed", "own"}
    assert mill.retired == {"grain": "write `model.source`", "stones": "write `mill.parts`"}
    (part,) = [one for one in mill.model_fields["parts"].annotation.__args__ if one is not type(None)]  # type: ignore[union-attr]
    assert part.retired == {"count": "leave it out"}
    for wrong in ({"parts": {"size": 0}}, {"speed": "fast"}, {"hook": 1}):
        with pytest.raises(ValidationError):
            mill.model_validate(wrong)


def test_what_was_given_leaves_for_the_engine_and_nothing_else(mill: type[Section]) -> None:
    section = mill.model_validate({"name": "auto", "speed": None, "own": True, "parts": {"json": True}})
    assert given(section) == {"speed": None, "own": True, "parts": {"json": True}}
    assert given(section, {"own", "parts"}) == {"speed": None}
    nothing = mill.model_validate({"parts": {"size": 2}})
    assert given(nothing) == {}
    assert without_empty_parts(nothing).model_dump() == mill().model_dump()
    assert without_empty_parts(section) is section


def test_a_stop_word_and_a_fixed_length_contradict_each_other() -> None:
    from llem.config.compose import Composer
    from llem.plugins import default_registry
    from llem.specs.kinds import BACKENDS, SCENARIOS
    from llem_engines.decoding import check_lengths, sampling_arguments

    registry = default_registry()
    document = {"model": "random:smollm2-135m", "backend": "vllm", "vllm": {"sampling": {"stop": ["."], "seed": 3}}}
    composer = Composer(registry[BACKENDS], registry[SCENARIOS])
    fixed = composer.compose({**document, "vllm": {"sampling": {"stop": ["."]}}})
    with pytest.raises(ConfigError, match=r"`vllm\.sampling\.stop` ends answers early"):
        check_lengths(fixed, ("stop",))
    check_lengths(fixed, ("stop_token_ids",))
    natural = composer.compose({**document, "vllm": {"sampling": {"stop": ["."]}}, "decoding": {"length": "natural"}})
    check_lengths(natural, ("stop",))
    assert sampling_arguments(natural.options, natural.decoding) == {"temperature": 0.0, "stop": ["."]}
