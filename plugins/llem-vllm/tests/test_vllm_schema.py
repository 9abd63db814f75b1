"""The bundled schema is what the installed vLLM says of itself, and every difference shows."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from llem_engines.review import FILE, Review, differences, judged
from llem_vllm import options
from llem_vllm.config import SCHEMA_VERSION
from llem_vllm.schema import DEFAULT, GROUPS, SCHEMAS, installed, load, versions

REVIEW = """
[[engine]]
energy = true
why.dtype = "number format"
why.parts = "what is computed"
why."VLLM_CPU_*" = "threads"

[[engine]]
energy = false
set_by = "write `model.source`"
why.name = "a name"
why."parts.label" = "a label"
why.VLLM_CPU_LOG = "a log"
"""
FACTS = {"name", "type", "value", "default", "choices", "energy", "why", "set_by", "fields"}


def everything(fields: Any, prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every option and every part of one, by its dotted name."""
    for field in fields:
        yield f"{prefix}{field['name']}", field
        yield from everything(field.get("fields", ()), f"{prefix}{field['name']}.")


def runs_of_words(text: str, length: int) -> set[tuple[str, ...]]:
    """Every run of so many words."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}


@pytest.mark.parametrize("version", versions())
def test_a_schema_holds_facts_and_our_judgement_and_no_text_of_vllms(version: str) -> None:
    review = Review((SCHEMAS.folder / FILE).read_text(encoding="utf-8"))
    for group in GROUPS:
        for name, field in everything(load(version)[group]):
            assert field.keys() <= FACTS, name
            judgement = review.of(group, name)
            assert judgement is not None, name
            assert (field["why"], field.get("set_by")) == (judgement.why, judgement.set_by), name
            assert not isinstance(field["default"], str) or not re.search(r"\(| [*+] ", field["default"]), name


@pytest.mark.vllm
@pytest.mark.timeout(300)
def test_our_words_are_none_of_vllms() -> None:
    """No run of seven words of a judgement stands in the help text of its option, or of any other."""
    code = "import json, llem_vllm.options as o; print('TEXTS' + json.dumps(dict(o.help_texts())))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    texts = json.loads(done.stdout.partition("TEXTS")[2])
    assert len(texts) > 300
    theirs = set().union(*(runs_of_words(text, 7) for text in texts.values()))
    for version in versions():
        for group in GROUPS:
            for name, field in everything(load(version)[group]):
                assert not runs_of_words(field["why"], 7) & theirs, name


@pytest.mark.vllm
@pytest.mark.timeout(300)
def test_vllms_own_help_is_read_where_it_is_installed() -> None:
    command = [sys.executable, "-m", "llem_vllm.options", "max_num_seqs", "compilation_config.mode"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count(f"vLLM {installed()} says:") == 2


def test_options_are_told_in_our_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert options.main([]) == 0
    listed = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    given = {name: field["why"] for name, field in options.fields_of(SCHEMA_VERSION) if "set_by" not in field}
    assert listed.items() <= given.items()
    assert {"max_num_seqs", "sampling.stop", "environment.VLLM_CPU_KVCACHE_SPACE"} <= listed.keys()
    assert "model" not in listed


def test_an_option_that_is_settled_elsewhere_says_where(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SCHEMAS, "installed", lambda: None)
    assert options.main(["sampling.temperature", "max_num_seqs"]) == 0
    told = capsys.readouterr().out
    assert "no key of a study: write `decoding.temperature`" in told
    assert "changes energy: yes" in told
    assert "is installed, its own help stands here too" in told


def test_an_option_that_there_is_not_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert options.main(["max_num_seq"]) == 2
    assert "has no option `max_num_seq`. Did you mean `max_num_seqs`?" in capsys.readouterr().err


def test_without_vllm_a_study_is_checked_against_the_version_that_the_image_brings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SCHEMAS, "installed", lambda: None)
    assert SCHEMAS.chosen() == DEFAULT
    monkeypatch.setattr(SCHEMAS, "installed", lambda: "9.9.9")
    assert SCHEMAS.chosen() == DEFAULT
    for version in versions():
        monkeypatch.setattr(SCHEMAS, "installed", lambda found=version: found)
        assert SCHEMAS.chosen() == version


@pytest.mark.vllm
@pytest.mark.timeout(300)
def test_the_installed_vllm_and_its_schema_agree() -> None:
    command = [sys.executable, "-m", "llem_vllm.schema", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_difference_is_named() -> None:
    old = load(versions()[-1])
    new = copy.deepcopy(dict(old))
    dropped = new["engine"].pop(3)["name"]
    new["sampling"].append({"name": "brand_new", "type": "int", "default": 1, "energy": None, "why": ""})
    changed = next(f for f in new["engine"] if f["name"] == "block_size")
    changed["default"] = 99
    lines = differences(old, new)
    assert f"engine: {dropped} was dropped" in lines
    assert "sampling: brand_new is new" in lines
    assert any(line.startswith("engine: block_size: default was") and line.endswith("is 99") for line in lines)
    assert differences(old, copy.deepcopy(dict(old))) == []


def test_an_option_that_nobody_judged_is_named() -> None:
    raw = {"vllm": "9", "engine": [{"name": "dtype"}, {"name": "fresh"}], "sampling": [], "environment": []}
    _, missing = judged(raw, Review(REVIEW))
    assert missing == ["engine: fresh"]


def test_a_judgement_replaces_vllms_help_text() -> None:
    raw = {"vllm": "9", "engine": [{"name": "dtype", "description": "Theirs."}], "sampling": [], "environment": []}
    found, _ = judged(raw, Review(REVIEW))
    assert found["engine"] == [{"name": "dtype", "energy": True, "why": "number format"}]


def test_a_part_is_judged_like_its_whole_unless_it_is_named() -> None:
    review = Review(REVIEW)
    whole, label = review.of("engine", "parts.size"), review.of("engine", "parts.label")
    assert whole is not None
    assert whole.energy
    assert label is not None
    assert not label.energy
    assert label.set_by == "write `model.source`"


def test_the_longest_name_decides() -> None:
    review = Review(REVIEW)
    threads, log = review.of("engine", "VLLM_CPU_THREADS"), review.of("engine", "VLLM_CPU_LOG")
    assert threads is not None
    assert threads.energy
    assert log is not None
    assert not log.energy
    assert review.of("engine", "VLLM_GPU") is None


def test_an_option_judged_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="dtype is judged twice"):
        Review(REVIEW + '\n[[engine]]\nenergy = true\nwhy.dtype = "x"\n')
