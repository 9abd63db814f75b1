"""The datasets `trace` and `conversations`, as a study names them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llem.config.compose import Composer
from llem.measure.workload import build_requests
from llem.plugin_api import (
    BACKENDS,
    DATASETS,
    SCENARIOS,
    DatasetConfig,
    DatasetError,
    LoadedDataset,
    default_registry,
    load_object,
)
from llem.specs.backend import LoadReport

ROWS = [(0, 1_300, 7, [1, 2, 3]), (10, 600, 2, [1, 4]), (20, 1_300, 9, [1, 2, 5])]


def loaded(folder: Path, **fields: Any) -> LoadedDataset:
    config = DatasetConfig.model_validate(fields)
    found: LoadedDataset = load_object(default_registry().find(DATASETS, config.name).loader)(config, str(folder))
    return found


def requests(folder: Path, length: str = "fixed", **fields: Any) -> list[Any]:
    registry = default_registry()
    config = Composer(registry[BACKENDS], registry[SCENARIOS]).compose(
        {"model": "random:tiny-llama", "backend": "testbed", "dataset": fields, "decoding": {"length": length}}
    )
    report = LoadReport(vocab_size=1_000, special_token_ids=frozenset({0, 1}), devices=["cpu"])
    return build_requests(loaded(folder, **fields).prompts, config, report)


@pytest.fixture
def traced(tmp_path: Path) -> Path:
    lines = [json.dumps({"timestamp": t, "input_length": i, "output_length": o, "hash_ids": h}) for t, i, o, h in ROWS]
    (tmp_path / "t.jsonl").write_text(
        "\n".join([*lines, json.dumps({"timestamp": 1, "input_length": 3, "output_length": 0})])
    )
    return tmp_path


@pytest.mark.parametrize("length", ["fixed", "natural"])
def test_prompts_and_answers_have_the_lengths_of_the_rows(traced: Path, length: str) -> None:
    asked = requests(traced, length, name="trace", path="t.jsonl", n=3, output_tokens=128)
    assert [len(one.prompt_token_ids) for one in asked] == [1_300, 600, 1_300]
    assert [(one.output_tokens, one.ignore_eos) for one in asked] == [(n, length == "fixed") for n in (7, 2, 9)]
    first, _, third = (one.prompt_token_ids for one in asked)
    assert first[:1_024] == third[:1_024]
    assert sum(a == b for a, b in zip(first[1_024:], third[1_024:], strict=True)) < 10


def test_a_trace_tells_what_it_is_and_what_was_left_out(traced: Path) -> None:
    found = loaded(traced, name="trace", path="t.jsonl", n=3)
    assert found.available == 3
    # Of 3,200 tokens the second prompt repeats 512 and the third 1,024.
    assert "48.0% of prompt tokens repeat" in found.provenance
    assert "t.jsonl (mooncake)" in found.provenance
    assert [one.code for one in found.caveats] == ["dataset_changed"]
    assert "1 rows of the trace" in found.caveats[0].message


def test_prompts_of_a_trace_can_be_cut_and_it_is_told(traced: Path) -> None:
    whole, cut = (
        loaded(traced, name="trace", path="t.jsonl", n=3),
        {"name": "trace", "path": "t.jsonl", "n": 3, "input_tokens": 700},
    )
    asked = requests(traced, **cut)
    assert [len(one.prompt_token_ids) for one in asked] == [700, 600, 700]
    full = requests(traced, name="trace", path="t.jsonl", n=3)
    assert [one.prompt_token_ids for one in asked] == [one.prompt_token_ids[:700] for one in full]
    assert "2 of 3 prompts" in loaded(traced, **cut).caveats[0].message
    assert whole.sha256 == loaded(traced, **cut).sha256


def test_rows_are_drawn_by_the_seed_where_they_are_shuffled(traced: Path) -> None:
    fields = {"name": "trace", "path": "t.jsonl", "n": 3, "shuffle": True}
    orders = {tuple(one.output_tokens for one in loaded(traced, **fields, seed=seed).prompts) for seed in range(20)}
    assert all(sorted(order, key=lambda n: n or 0) == [2, 7, 9] for order in orders)
    assert len(orders) > 1
    assert [one.output_tokens for one in loaded(traced, name="trace", path="t.jsonl", n=2).prompts] == [7, 2]


def chat(*said: str) -> dict[str, Any]:
    roles = ["user", "assistant"] * len(said)
    return {"messages": [{"role": role, "content": text} for role, text in zip(roles, said, strict=False)]}


@pytest.fixture
def talked(tmp_path: Path) -> Path:
    records = [
        chat("q1", "a1", "q2", "a2", "q3"),
        chat("r1", "b1"),
        {"messages": [{"role": "assistant", "content": "x"}]},
    ]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, records)))
    return tmp_path


def test_every_turn_is_a_prompt_with_the_chat_so_far(talked: Path) -> None:
    found = loaded(talked, name="conversations", path="c.jsonl", n=4)
    told = [([message.content for message in one.messages or ()], one.session) for one in found.prompts]
    assert told == [(["q1"], 0), (["q1", "a1", "q2"], 0), (["q1", "a1", "q2", "a2", "q3"], 0), (["r1"], 1)]
    assert (found.available, [one.code for one in found.caveats]) == (4, ["dataset_changed"])
    assert "4 turns of 2 of its 2 conversations" in found.provenance
    assert [one.session for one in requests(talked, name="conversations", path="c.jsonl", n=4)] == [0, 0, 0, 1]


def test_the_last_conversation_may_be_cut_short(talked: Path) -> None:
    found = loaded(talked, name="conversations", path="c.jsonl", n=2)
    assert [len(one.messages or ()) for one in found.prompts] == [1, 3]
    assert "2 turns of 1 of its 2" in found.provenance


def test_conversations_are_shuffled_whole(talked: Path) -> None:
    orders = set()
    for seed in range(20):
        prompts = loaded(talked, name="conversations", path="c.jsonl", n=4, shuffle=True, seed=seed).prompts
        orders.add(tuple((one.messages or ())[0].content for one in prompts))
        assert [one.session for one in prompts] in ([0, 0, 0, 1], [0, 1, 1, 1])
    assert orders == {("q1", "q1", "q1", "r1"), ("r1", "q1", "q1", "q1")}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "trace"}, "dataset.path"),
        ({"name": "conversations"}, "dataset.path"),
        ({"name": "trace", "path": "t.jsonl", "n": 4}, "has 3 rows"),
        ({"name": "conversations", "path": "c.jsonl", "n": 5}, "have 4 turns"),
        ({"name": "conversations", "path": "c.jsonl", "n": 1, "input_tokens": 9}, "sent whole"),
        ({"name": "trace", "path": "c.jsonl", "n": 1}, "timestamp is missing"),
        ({"name": "conversations", "path": "t.jsonl", "n": 1}, "neither `messages`"),
        ({"name": "trace", "path": "gone.csv", "n": 1}, "cannot be read"),
    ],
)
def test_what_cannot_be_taken_is_told(traced: Path, talked: Path, fields: dict[str, Any], said: str) -> None:
    assert traced == talked
    with pytest.raises(DatasetError) as told:
        loaded(traced, **fields)
    assert said in str(told.value)
    assert told.value.remedy


def test_a_trace_that_changes_is_read_again(traced: Path) -> None:
    assert len(loaded(traced, name="trace", path="t.jsonl", n=1).prompts) == 1
    first = loaded(traced, name="trace", path="t.jsonl", n=1)
    (traced / "t.jsonl").write_text('{"timestamp": 0, "input_length": 12, "output_length": 34}')
    again = loaded(traced, name="trace", path="t.jsonl", n=1)
    assert (first.prompts[0].output_tokens, again.prompts[0].output_tokens) == (7, 34)
    assert first.sha256 != again.sha256
