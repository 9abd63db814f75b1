"""Chats are sent whole, or refused by file and line: nothing of one is left out in silence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from llem.config.compose import Composer
from llem.config.experiment import DatasetConfig
from llem.datasets import jsonl
from llem.errors import DatasetError
from llem.plugins import default_registry
from llem.preflight.checks import check_datasets
from llem.specs.check import PreflightContext
from llem.specs.dataset import LoadedDataset, Message
from llem.specs.kinds import BACKENDS, SCENARIOS

HISTORY = [
    {"role": "system", "content": "be short"},
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": "ok"},
    {"role": "user", "content": "last"},
]
WHOLE = tuple(Message(one["role"], one["content"]) for one in HISTORY)


def load(folder: Path, *records: Any, **fields: Any) -> LoadedDataset:
    (folder / "p.jsonl").write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    config = DatasetConfig.model_validate({"name": "jsonl", "path": "p.jsonl", "n": len(records), **fields})
    return jsonl.load(config, str(folder))


@pytest.mark.parametrize("field", ["messages", "prompt"])
def test_a_chat_keeps_its_system_prompt_and_every_turn(tmp_path: Path, field: str) -> None:
    loaded = load(tmp_path, {field: HISTORY})
    assert loaded.prompts[0].messages == WHOLE
    assert loaded.prompts[0].text is None
    assert not loaded.caveats


def test_content_in_parts_of_text_is_one_text(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "one, "}, {"type": "text", "text": "two"}]
    loaded = load(tmp_path, {"messages": [{"role": "user", "content": parts}]})
    assert loaded.prompts[0].messages == (Message("user", "one, two"),)


def test_an_answer_at_the_end_is_the_models_to_write_and_the_result_says_so(tmp_path: Path) -> None:
    loaded = load(tmp_path, {"messages": [*HISTORY, {"role": "assistant", "content": "known"}]}, {"messages": HISTORY})
    assert [prompt.messages for prompt in loaded.prompts] == [WHOLE, WHOLE]
    (caveat,) = loaded.caveats
    assert caveat.code == "chat_answers_left_out"
    assert caveat.message.startswith("1 of 2 chats")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"messages": [*HISTORY, {"role": "tool", "content": "4"}]}, "message 5 of `messages` is of the role 'tool'"),
        ({"messages": [{"role": "user", "content": "a", "tool_calls": [{}]}]}, "message 1 .* has `tool_calls`"),
        ({"messages": HISTORY, "tools": [{"name": "f"}]}, "beside `messages` it holds `tools`"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "content of message 1 .* is no text"),
        ({"messages": [{"role": "user", "content": None}]}, "content of message 1 .* is no text"),
        ({"messages": [*HISTORY, "and more"]}, "message 5 .* is no object"),
        ({"messages": HISTORY[:1]}, "has no message of the user"),
        ({"messages": [{"role": "user", "content": " "}]}, "an empty last message of the user"),
        ({"messages": [{"role": "user", "content": "\ud83d"}]}, "holds half of a character"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_file_and_line(tmp_path: Path, record: Any, message: str) -> None:
    with pytest.raises(DatasetError) as error:
        load(tmp_path, {"messages": HISTORY}, record)
    assert re.search(rf"p\.jsonl:2: .*{message}", str(error.value)), str(error.value)


def test_a_chat_is_never_cut(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="chats are sent whole") as error:
        load(tmp_path, {"messages": HISTORY}, input_tokens=8)
    assert "dataset.input_tokens" in str(error.value.remedy)


def test_a_backend_that_takes_no_chats_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(json.dumps({"messages": HISTORY}), encoding="utf-8")
    dataset = {"name": "jsonl", "path": "p.jsonl", "n": 1}
    document = {"model": "random:tiny-llama", "backend": "testbed", "dataset": dataset}
    config = Composer(default_registry()[BACKENDS], default_registry()[SCENARIOS]).compose(document)
    context = PreflightContext(
        registry=default_registry(), experiments=[config], base_dir=tmp_path, runners={"testbed": "local"}
    )
    (finding,) = check_datasets(context)
    assert finding.level == "error"
    assert "the backend testbed takes single texts only" in finding.message


def test_preflight_says_how_many_prompts_of_how_many_are_sent(tmp_path: Path) -> None:
    lines = [json.dumps({"messages": [*HISTORY, {"role": "assistant", "content": "known"}]})] * 5
    (tmp_path / "p.jsonl").write_text("\n".join(lines), encoding="utf-8")
    registry = default_registry()
    taking = {"openai": registry.find(BACKENDS, "openai")}
    told = []
    for settings in ({"n": 5}, {"n": 2}, {"n": 2, "shuffle": True}):
        dataset = {"name": "jsonl", "path": "p.jsonl", **settings}
        config = Composer(taking, registry[SCENARIOS]).compose(
            {"model": "any", "backend": "openai", "dataset": dataset}
        )
        first, caveat = check_datasets(
            PreflightContext(registry=default_registry(), experiments=[config], base_dir=tmp_path)
        )
        assert "end with an answer" in caveat.message
        told.append(first.message)
    assert "`jsonl`: 5 prompts," in told[0]
    assert "the first 2 of 5 prompts" in told[1]
    assert "2 of 5 prompts drawn at random" in told[2]
