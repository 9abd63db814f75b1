"""Conversations as sessions: OpenAI's messages, ShareGPT's conversations, their turns, and every fault with its line."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llem.plugin_api import DatasetError, Message
from llem_serving.datasets import Session, Turn, json_records, next_prompt, read_conversations

SAID = [
    ("system", "S"),
    ("user", "q1"),
    ("assistant", "a1"),
    ("user", "q2"),
    ("user", "q2b"),
    ("assistant", "a2"),
    ("user", "q3"),
]
TURNS = (
    Turn((Message("system", "S"), Message("user", "q1")), "a1"),
    Turn((Message("user", "q2"), Message("user", "q2b")), "a2"),
    Turn((Message("user", "q3"),), None),
)
SPEAKER = {"user": "human", "assistant": "gpt", "system": "system"}


def openai(said: list[tuple[str, Any]], **more: Any) -> dict[str, Any]:
    return {**more, "messages": [{"role": role, "content": content} for role, content in said]}


def sharegpt(said: list[tuple[str, Any]], **more: Any) -> dict[str, Any]:
    return {**more, "conversations": [{"from": SPEAKER[role], "value": content} for role, content in said]}


def lines(records: list[Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "talk.json"


def fault(path: Path, text: str | bytes) -> str:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DatasetError) as told:
        read_conversations(path)
    return str(told.value)


@pytest.mark.parametrize("form", [openai, sharegpt])
@pytest.mark.parametrize(
    "write", [lines, json.dumps, lambda records: "\ufeff\n " + json.dumps(records, indent=2) + "\n\n"]
)
def test_both_forms_are_read_from_lines_and_arrays(path: Path, form: Any, write: Any) -> None:
    records = [form(SAID, id="x"), form([("user", "ü"), ("assistant", "")])]
    path.write_text(write(records))
    found = read_conversations(path)
    assert found.sessions[0] == Session("x", TURNS)
    assert found.sessions[1].turns == (Turn((Message("user", "ü"),), ""),)
    assert found.sessions[1].id.isdecimal(), "its line"
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.notes == ()


def test_content_may_be_parts_of_text(path: Path) -> None:
    path.write_text(lines([openai([("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])])]))
    assert read_conversations(path).sessions[0].turns[0].messages[0].content == "ab"


def test_the_next_prompt_holds_recorded_answers_or_the_models_own() -> None:
    session = Session("x", TURNS)
    system, first = TURNS[0].messages
    assert next_prompt(session, 0) == (system, first)
    assert next_prompt(session, 1) == (system, first, Message("assistant", "a1"), *TURNS[1].messages)
    own = next_prompt(session, 2, ["mine", "", "more"])
    assert [(message.role, message.content) for message in own] == [
        *SAID[:2], ("assistant", "mine"), *SAID[3:5], ("assistant", ""), SAID[6]
    ]  # fmt: skip
    assert [(message.role, message.content) for message in next_prompt(session, 2)] == SAID


@given(
    st.lists(st.tuples(st.text(min_size=1), st.text()), min_size=1, max_size=6),
    st.lists(st.text(), min_size=6, max_size=6),
)
def test_each_prompt_begins_with_the_one_before_and_its_answer(talk: list[tuple[str, str]], own: list[str]) -> None:
    session = Session("x", tuple(Turn((Message("user", asked),), answer) for asked, answer in talk))
    for answers, said in ((None, [answer for _, answer in talk]), (own, own)):
        prompts = [next_prompt(session, turn, answers) for turn in range(len(talk))]
        for turn in range(1, len(talk)):
            assert prompts[turn] == (
                *prompts[turn - 1],
                Message("assistant", said[turn - 1]),
                *session.turns[turn].messages,
            )


def test_a_turn_needs_the_answers_before_it() -> None:
    session = Session("x", TURNS)
    with pytest.raises(ValueError, match="turn 2 needs an answer to turn 1"):
        next_prompt(session, 2, ["one"])
    for turn in (-1, 3):
        with pytest.raises(IndexError):
            next_prompt(session, turn)


def test_conversations_that_cannot_be_replayed_are_left_out_and_told(path: Path) -> None:
    bad = [
        [("assistant", "a")],
        [("user", "q"), ("assistant", "a"), ("assistant", "b")],
        [("user", "q"), ("assistant", "a"), ("system", "s")],
        [("user", " \n")],
        [],
    ]
    path.write_text(json.dumps([sharegpt(said) for said in bad] + [sharegpt(SAID, id="good")]))
    found = read_conversations(path)
    assert [session.id for session in found.sessions] == ["good"]
    assert len(found.notes) == 3
    assert found.notes[0].startswith("3 conversations of talk.json have an answer without a question before it")
    assert {note[0] for note in found.notes} == {"3", "1"}
    assert "no conversation with a question" in fault(path, lines([openai([])]))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (3, "no JSON object but int"),
        ({"a": 1}, "neither `messages` nor `conversations`"),
        ({"messages": [], "conversations": []}, "both `messages` and `conversations`"),
        ({"messages": None}, "`messages` is no list"),
        ({"messages": "abc"}, "`messages` is no list"),
        ({"messages": ["abc"]}, "message 1 is no object with `role` and `content`"),
        ({"messages": [{"role": "user"}]}, "message 1 is no object"),
        ({"conversations": [{"role": "user", "content": "a"}]}, "no object with `from` and `value`"),
        (openai([("user", "a"), ("tool", "b")]), "message 2 has the `role` 'tool'"),
        (openai([(7, "b")]), "message 1 has the `role` '7'"),  # type: ignore[list-item]
        (openai([("user", None)]), "message 1 is no text"),
        (openai([("user", [{"type": "image_url"}])]), "message 1 is no text"),
        (openai([("user", [{"type": "text"}])]), "message 1 is no text"),
        (openai([("user", "a\ud800")]), "half of a character at place 2"),
        (openai([("user", "a")], tools=[{}]), "the record has `tools`"),
        ({"messages": [{"role": "user", "content": "a", "tool_calls": [1]}]}, "message 1 has `tool_calls`"),
    ],
)
def test_a_faulty_record_is_told_with_its_line(path: Path, record: Any, said: str) -> None:
    good = openai(SAID)
    told = fault(path, lines([good, good, record]))
    assert told.startswith(f"{path}:3: ")
    assert said in told
    told = fault(path, json.dumps([good]).removesuffix("]") + ",\n\n" + json.dumps(record) + "]")
    assert told.startswith(f"{path}:3: ")
    assert said in told


GOOD = json.dumps(openai(SAID))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (GOOD + "\n{", 2),
        (GOOD + "\n\n" + "[" * 100_000, 3),
        (GOOD + GOOD, 1),
        (f"[{GOOD}\n{GOOD}]", 2),
        (f"[{GOOD},\n\n{{]", 3),
        (f"[{GOOD},\n" + "[" * 100_000, 2),
        (f"[{GOOD},\n", 2),
        (f"[\n{GOOD}\n", 3),
        (f"[{GOOD}]\n[]", 2),
        ("[", 1),
    ],
)
def test_what_is_no_json_is_told_with_its_line(path: Path, text: str, line: int) -> None:
    assert fault(path, text).startswith(f"{path}:{line}: ")


def test_bytes_that_are_no_text_and_empty_files_are_told(path: Path) -> None:
    assert "UTF-8" in fault(path, b"[\xff]")
    assert "UTF-8" in fault(path, b"\xff")
    for nothing in ("", "\n\n", "[]", "[\n]"):
        assert "no conversation with a question" in fault(path, nothing)


def test_a_record_without_end_is_not_read_to_its_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_records, "MOST_RECORD", 2**20)
    for text, said in (
        (f"[{GOOD},\n{{", "longer than 1,048,576 characters"),
        (f"{GOOD}\n{{", "more than 1,048,576 bytes"),
    ):
        path.write_bytes(text.encode() + b" " * (48 * 2**20))
        tracemalloc.start()
        try:
            with pytest.raises(DatasetError, match=said):
                read_conversations(path)
            assert tracemalloc.get_traced_memory()[1] < 24 * 2**20
        finally:
            tracemalloc.stop()


def test_a_record_that_is_a_little_too_long_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_records, "MOST_RECORD", 4_000)
    monkeypatch.setattr(json_records, "_CHUNK", 100)
    assert "longer than 4,000 characters" in fault(path, f'[{GOOD},\n{{"id": "' + "x" * 20_000)
    assert "more than 4,000 bytes" in fault(path, GOOD + '\n{"id": "' + "x" * 20_000)


@given(
    st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=8),
    st.integers(1, 64),
    st.sampled_from([None, 1]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_array_is_read_alike_in_pieces_of_any_size(
    path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str], chunk: int, indent: int | None
) -> None:
    monkeypatch.setattr(json_records, "_CHUNK", chunk)
    text = json.dumps([openai([("user", one)]) for one in asked], indent=indent, ensure_ascii=False)
    path.write_text(text, encoding="utf-8", newline="")
    found = read_conversations(path)
    assert [session.turns[0].messages[0].content for session in found.sessions] == asked
    if indent is not None:
        assert [session.id for session in found.sessions] == [
            str(number) for number, line in enumerate(text.split("\n"), 1) if line == " {"
        ]


@given(
    st.one_of(st.binary(max_size=120), st.text(max_size=120).map(lambda text: text.encode(errors="replace"))),
    st.sampled_from(["", "[", GOOD + "\n", f"[{GOOD},"]),
)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_that_stands_in_a_file_gives_another_error(path: Path, tail: bytes, head: str) -> None:
    path.write_bytes(head.encode() + tail)
    with suppress(DatasetError):
        assert read_conversations(path).sessions
