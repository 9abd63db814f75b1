"""A field that a server refuses is named with the way to leave it out or to rename it, and that way works."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from llem.errors import LlemError
from llem.specs.dataset import Message
from llem_openai.config import OpenaiConfig
from llem_openai.refusal import named_field, printable, reason

sys.path.insert(0, str(Path(__file__).parent))
from asking import ask, engine_on
from replay import Behaviour, replaying

EXTRA = {"detail": "extra field not permitted: seed"}
OPENAI = {
    "error": {
        "message": "Unsupported parameter: 'max_tokens' is not taken by this model. Use 'max_completion_tokens' instead.",
        "type": "invalid_request_error",
        "param": "max_tokens",
        "code": "unsupported_parameter",
    }
}
FASTAPI = {
    "detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]
}
MISTRAL = {"object": "error", "message": {"detail": [{"loc": ["body", "seed"], "msg": "not permitted", "input": 1}]}}


@pytest.mark.parametrize(
    ("refuse", "fields", "said", "remedy"),
    [
        (
            {"seed": (422, EXTRA)},
            {"seed": None},
            "422: extra field not permitted: seed",
            "request_fields: {seed: null}",
        ),
        ({"seed": (422, MISTRAL)}, {"seed": "random_seed"}, "body.seed: not permitted", "request_fields: {seed: null}"),
        (
            {"max_tokens": (400, OPENAI)},
            {"max_tokens": "max_completion_tokens"},
            "Use 'max_completion_tokens' instead",
            "request_fields: {max_tokens: max_completion_tokens}",
        ),
        (
            {"temperature": (400, "no temperature, please")},
            {"temperature": None},
            "no temperature",
            "{temperature: null}",
        ),
        ({"top_p": (422, {"errors": ["top_p"]})}, {"top_p": None}, "422: top_p", "{top_p: null}"),
        (
            {"ignore_eos": (422, [{"error": {"message": "what is ignore_eos?"}}])},
            {"ignore_eos": None},
            "what is",
            "ignore_eos",
        ),
    ],
)
def test_a_refused_field_is_named_and_can_be_left_out_or_renamed(
    refuse: dict[str, Any], fields: dict[str, str | None], said: str, remedy: str
) -> None:
    behaviour = Behaviour(refuse=refuse)
    with replaying(behaviour) as base:
        address = f"{base}/tgi/v1"
        decoding = {"temperature": 0.5, "top_p": 0.9}
        with pytest.raises(LlemError) as caught, engine_on(address, decoding=decoding) as (engine, _):
            ask(engine, ignore_eos=True)
        assert said in str(caught.value)
        assert remedy in str(caught.value.remedy)
        with engine_on(address, {"request_fields": fields}, decoding=decoding) as (engine, report):
            assert ask(engine, ignore_eos=True).output_tokens == 8
            assert report.effective["request_fields"] == fields
    (old, new), (_, body) = next(iter(fields.items())), behaviour.asked[-1]
    assert old not in body
    assert new is None or new in body


def test_counts_that_a_server_refuses_to_be_asked_for_are_not_asked_for() -> None:
    behaviour = Behaviour(refuse={"stream_options": (422, FASTAPI)})
    with replaying(behaviour) as base, engine_on(f"{base}/mistral/v1") as (engine, _):
        assert ask(engine).output_tokens == 8
    assert [("stream_options" in body, "return_token_ids" in body) for _, body in behaviour.asked] == [
        *((True, True), (True, False)),
        *((False, False), (False, False)),
    ]


def test_a_field_of_the_study_s_own_is_taken_out_where_it_was_put_in() -> None:
    behaviour = Behaviour(refuse={"top_k": (400, {"error": "top_k is unknown"})})
    with (
        replaying(behaviour) as base,
        pytest.raises(LlemError, match=r"take it out of openai\.extra"),
        engine_on(f"{base}/tgi/v1", {"extra": {"top_k": 5}}),
    ):
        pass


def test_a_refusal_that_names_no_field_lists_those_that_were_sent() -> None:
    behaviour = Behaviour(refuse={"model": (400, {"message": "no"})})
    with replaying(behaviour) as base, pytest.raises(LlemError) as caught, engine_on(f"{base}/tgi/v1"):
        pass
    assert "max_tokens, stream, temperature, seed, prompt" in str(caught.value.remedy)


def test_a_setting_that_is_not_sent_is_a_caveat_where_it_has_an_effect() -> None:
    def codes(fields: dict[str, str | None], **decoding: Any) -> list[str]:
        with engine_on(f"{base}/tgi/v1", {"request_fields": fields}, decoding=decoding) as (engine, _):
            return [caveat.code for caveat in engine.caveats()]

    with replaying() as base:
        assert codes({"seed": None}, temperature=0.7) == ["setting_not_sent"]
        assert codes({"seed": None}) == [], "without drawing a seed has no effect"
        assert codes({"temperature": None}) == ["setting_not_sent"]
        assert codes({"ignore_eos": None}, length="fixed") == ["setting_not_sent"]
        assert codes({"seed": "random_seed"}, temperature=0.7) == []


@pytest.mark.parametrize(
    "section",
    [
        {"request_fields": {"sede": None}},
        {"request_fields": {"prompt": None}},
        {"request_fields": {"max_tokens": None}},
        {"request_fields": {"seed": "prompt"}},
        {"request_fields": {"seed": "temperature"}},
        {"request_fields": {"seed": "x", "top_p": "x"}},
        {"request_fields": {"seed": "a b"}},
        {"request_fields": {"seed": "random_seed"}, "extra": {"random_seed": 4}},
    ],
)
def test_a_name_that_cannot_be_meant_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OpenaiConfig.model_validate(section)


def test_a_whole_chat_is_sent_with_every_turn() -> None:
    chat = (
        Message("system", "Be brief."),
        Message("user", "One?"),
        Message("assistant", "Two."),
        Message("user", "Three?"),
    )
    behaviour = Behaviour()
    with replaying(behaviour) as base, engine_on(f"{base}/tgi/v1") as (engine, _):
        ask(engine, prompt=None, messages=chat, max_input_tokens=3)
    _, body = behaviour.asked[-1]
    assert body["messages"] == [{"role": one.role, "content": one.content} for one in chat]
    assert "prompt" not in body


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"error": {"message": "too busy"}}', "too busy."),
        ('{"error": "too busy"}', "too busy."),
        ('{"error": ["a", {"msg": "b"}]}', "a; b."),
        ('{"detail": "too busy"}', "too busy."),
        ('{"detail": [{"loc": ["body", 3], "msg": "odd"}]}', "body.3: odd."),
        ('{"detail": {"error": {"message": "deep"}}}', "deep."),
        ('[{"error": {"message": "in a list"}}]', "in a list."),
        ('{"errors": [{"message": "a"}, {"message": "a"}]}', "a."),
        ('{"code": 7}', '{"code": 7}.'),
        ("plain words\n\nof a proxy", "plain words of a proxy."),
        ("<html><style>p{}</style><h1>502 Bad Gateway</h1></html>", "502 Bad Gateway."),
        ("", "it says nothing more."),
        ("\x1b[31mred\x07", "\\u001b[31mred\\u0007."),
        ("x" * 900, "x" * 300 + "."),
        ("[" * 100_000, "[" * 300 + "."),
    ],
)
def test_a_body_of_any_shape_is_told_in_one_sentence(body: str, said: str) -> None:
    assert reason(body) == said


def test_a_text_of_somebody_else_has_one_line_and_moves_no_cursor() -> None:
    assert printable("a\u202eb\ud800\nc") == "a\\u202eb\\ud800 c"


def test_only_a_field_that_was_sent_is_named() -> None:
    sent = ("seed", "max_tokens")
    assert named_field('{"error": {"param": "max_tokens", "message": "seed"}}', sent) == "max_tokens"
    assert named_field('{"detail": [{"loc": ["body", "seed"], "msg": "max_tokens"}]}', sent) == "seed"
    assert named_field('{"detail": "the prompt is too long"}', sent) is None
