"""The bundled schema is what the installed SGLang says of itself, every option is judged, and every difference shows."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from typing import Any

import pytest

from llem_engines.review import FILE, Review, differences, judged, unreviewed
from llem_sglang.schema import DEFAULT, GROUPS, SCHEMAS, load, versions
from llem_sglang.schema.__main__ import main

REVIEW = """
[[engine]]
energy = true
why.dtype = "number format"

[[engine]]
energy = false
set_by = "write `model.source`"
why.name = "a name"
"""
RAW: dict[str, Any] = {
    "sglang": "9.9",
    "engine": [
        {"name": "dtype", "type": "str", "default": "auto", "value": {"type": "string"}, "description": "Their words."},
        {"name": "name", "type": "str", "default": None, "description": ""},
    ],
    "sampling": [],
}
INTROSPECT = """
import json, sys
from llem_sglang.schema import __main__ as command
raw = command._read()
command._read = lambda: raw
code = command.main(["--check"])
print("RAW" + json.dumps(raw))
sys.exit(code)
"""
FACTS = {"name", "type", "value", "default", "choices", "energy", "why", "set_by"}


def runs_of_words(text: str, length: int) -> set[tuple[str, ...]]:
    """Every run of so many words."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}


@pytest.mark.parametrize("version", versions())
def test_a_schema_holds_facts_and_our_judgement_and_no_text_of_sglangs(version: str) -> None:
    schema = load(version)
    assert unreviewed(schema, Review((SCHEMAS.folder / FILE).read_text(encoding="utf-8"))) == []
    for group in GROUPS:
        names = [field["name"] for field in schema[group]]
        assert len(set(names)) == len(names)
        assert all(field.keys() <= FACTS for field in schema[group])
    assert len(schema["engine"]) > 500
    assert len(schema["sampling"]) > 25


def test_an_option_without_a_judgement_or_with_another_one_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["--judged"]) == 0
    assert f"SGLang {DEFAULT} are judged" in capsys.readouterr().out
    changed = copy.deepcopy(dict(load(DEFAULT)))
    changed["engine"] = [*changed["engine"], {"name": "something_new", "energy": True, "why": "nobody said"}]
    changed["sampling"][0] = {**changed["sampling"][0], "why": "another reason"}
    monkeypatch.setattr(SCHEMAS, "load", lambda version: changed)
    assert main(["--judged"]) == 1
    said = capsys.readouterr().out
    assert "engine: something_new" in said
    assert f"sampling: {changed['sampling'][0]['name']}" in said


def test_no_schema_is_made_with_an_option_that_is_not_judged() -> None:
    review = Review(REVIEW)
    schema, missing = judged(RAW, review)
    assert missing == []
    assert schema["engine"][0] == {
        "name": "dtype",
        "type": "str",
        "default": "auto",
        "value": {"type": "string"},
        "energy": True,
        "why": "number format",
    }
    assert schema["engine"][1]["set_by"] == "write `model.source`"
    more = {**RAW, "engine": [*RAW["engine"], {"name": "x", "type": "int", "default": 1, "description": ""}]}
    schema, missing = judged(more, review)
    assert missing == ["engine: x"]
    with pytest.raises(ValueError, match="judged twice"):
        Review(REVIEW + '[[engine]]\nenergy = true\nwhy.dtype = "again"\n')


def test_every_difference_between_two_versions_is_a_line() -> None:
    old, _ = judged(RAW, Review(REVIEW))
    new = copy.deepcopy(old)
    new["engine"][0]["default"] = "float16"
    new["engine"][1]["name"] = "other"
    assert differences(old, new) == [
        "engine: dtype: default was 'auto', is 'float16'",
        "engine: name was dropped",
        "engine: other is new",
    ]
    assert differences(old, old) == []


@pytest.fixture(scope="module")
def introspected() -> subprocess.CompletedProcess[str]:
    """The outcome of `python -m llem_sglang.schema --check`, and behind it what it read: SGLang is imported once for both."""
    return subprocess.run([sys.executable, "-c", INTROSPECT], capture_output=True, text=True, check=False)


@pytest.mark.sglang
@pytest.mark.timeout(300)
def test_the_schema_is_what_sglang_says_of_itself(introspected: subprocess.CompletedProcess[str]) -> None:
    assert introspected.returncode == 0, introspected.stdout + introspected.stderr


@pytest.mark.sglang
@pytest.mark.timeout(300)
def test_our_words_are_none_of_sglangs(introspected: subprocess.CompletedProcess[str]) -> None:
    """No run of seven words of a judgement stands in the help text of any option."""
    raw = json.loads(introspected.stdout.partition("RAW")[2])
    texts = [field["description"] for group in GROUPS for field in raw[group] if field["description"]]
    assert len(texts) > 300
    theirs = set().union(*(runs_of_words(text, 7) for text in texts))
    for version in versions():
        for group in GROUPS:
            for field in load(version)[group]:
                assert not runs_of_words(field["why"], 7) & theirs, field["name"]
