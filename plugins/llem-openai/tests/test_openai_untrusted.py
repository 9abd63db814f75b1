"""A server is a stranger: whatever it does, there is a right figure or one clear paragraph, soon."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from llem.errors import LlemError, ModelError
from llem.specs.backend import RequestRecord

sys.path.insert(0, str(Path(__file__).parent))
from asking import ask, engine_on
from replay import STREAMS, Behaviour, Replay, replaying

Answer = Callable[[Replay], None]


def answered(answer: Answer, **openai: Any) -> RequestRecord:
    """The record of a request that is answered so, after a probe that went well."""
    probed: list[bool] = []

    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        if not probed:
            probed.append(True)
            replay.begin("text/event-stream")
            replay.send(STREAMS["tgi"])
            return
        answer(replay)

    with (
        replaying(Behaviour(handle={"it": handle})) as base,
        engine_on(f"{base}/it/v1", {"timeout_s": 5, **openai}) as (engine, _),
    ):
        return ask(engine)


def event(document: Any) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def text(reason: str | None = None, **fields: Any) -> bytes:
    return event({"choices": [{"index": 0, "text": " w", "finish_reason": reason}], **fields})


TOTALS = event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})
WHOLE = text() + text("length") + TOTALS + b"data: [DONE]\n\n"


def reset(replay: Replay) -> None:
    """Break the connection as a process that dies does."""
    replay.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    replay.connection.close()


def test_a_connection_that_is_reset_in_an_answer_is_told_with_how_far_it_came() -> None:
    def answer(replay: Replay) -> None:
        replay.begin("text/event-stream")
        replay.send(text())
        time.sleep(0.1)
        replay.send(text())
        time.sleep(0.1)
        reset(replay)

    with pytest.raises(LlemError, match="ended in the middle of an answer, after 2 pieces"):
        answered(answer)


def test_an_answer_that_breaks_off_within_a_line_is_told_by_what_came_before() -> None:
    def answer(replay: Replay) -> None:
        replay.begin("text/event-stream")
        replay.send(text() + b'data: {"choices": [{"te')

    with pytest.raises(LlemError, match="after 1 pieces"):
        answered(answer)


def test_a_reset_after_the_end_loses_nothing() -> None:
    def answer(replay: Replay) -> None:
        replay.begin("text/event-stream")
        replay.send(WHOLE)
        time.sleep(0.2)
        reset(replay)

    assert answered(answer).output_tokens == 2


def test_a_connection_that_stays_open_after_the_end_is_left() -> None:
    def answer(replay: Replay) -> None:
        replay.begin("text/event-stream")
        replay.send(WHOLE)
        time.sleep(3)

    began = time.monotonic()
    assert answered(answer).output_tokens == 2
    assert time.monotonic() - began < 60


def test_text_after_the_end_is_not_the_answer_s() -> None:
    def answer(replay: Replay) -> None:
        replay.begin("text/event-stream")
        replay.send(WHOLE + text() * 3 + event({"error": "late"}))

    record = answered(answer)
    assert (record.output_tokens, len(record.token_ns or record.piece_ns or ())) == (2, 2)


def test_comments_alone_are_no_sign_of_an_answer() -> None:
    def answer(replay: Replay) -> None:
        replay.begin("text/event-stream")
        for _ in range(200):
            replay.send(b": still here\n\n")
            time.sleep(0.02)

    with pytest.raises(ModelError, match=r"nothing of it came for 0\.3 s, after 0 pieces"):
        answered(answer, timeout_s=0.3, connect_timeout_s=0.3)


def test_an_answer_may_take_longer_than_the_longest_silence() -> None:
    def answer(replay: Replay) -> None:
        replay.begin("text/event-stream")
        for _ in range(4):
            time.sleep(1.0)
            replay.send(text())
        usage = {"prompt_tokens": 5, "completion_tokens": 5}
        replay.send(text("length") + event({"choices": [], "usage": usage}) + b"data: [DONE]\n\n")

    assert answered(answer, timeout_s=3).output_tokens == 5


def test_a_stream_without_end_is_left_before_it_fills_memory() -> None:
    def answer(replay: Replay) -> None:
        replay.begin("text/event-stream")
        long = event({"choices": [{"index": 0, "text": "w" * 60_000}]})
        for _ in range(1_000):
            replay.send(long)

    with pytest.raises(LlemError, match="has no end"):
        answered(answer, timeout_s=60)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_named_and_not_followed(status: int) -> None:
    def answer(replay: Replay) -> None:
        replay.send_response(status)
        replay.send_header("Location", "http://somewhere.example/v1")
        replay.send_header("Content-Length", "0")
        replay.end_headers()

    with pytest.raises(LlemError, match=rf"answers {status} and points to http://somewhere\.example/v1"):
        answered(answer)


def test_a_compressed_answer_is_read() -> None:
    def answer(replay: Replay) -> None:
        replay.begin("text/event-stream", Content_Encoding="gzip")
        replay.send(gzip.compress(WHOLE))

    assert answered(answer).output_tokens == 2


def test_what_is_not_compressed_as_it_says_is_told() -> None:
    def answer(replay: Replay) -> None:
        replay.begin("text/event-stream", Content_Encoding="gzip")
        replay.send(WHOLE)

    with pytest.raises(LlemError, match="does not answer"):
        answered(answer)


def test_chunks_of_http_may_cut_events_anywhere() -> None:
    def answer(replay: Replay) -> None:
        replay.send_response(200)
        replay.send_header("Content-Type", "text/event-stream")
        replay.send_header("Transfer-Encoding", "chunked")
        replay.end_headers()
        for place in range(0, len(WHOLE), 7):
            part = WHOLE[place : place + 7]
            replay.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        replay.send(b"0\r\n\r\n")

    assert answered(answer).output_tokens == 2


def test_an_old_server_that_ends_an_answer_by_closing_is_read() -> None:
    def answer(replay: Replay) -> None:
        replay.close_connection = True
        replay.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + WHOLE)

    assert answered(answer).output_tokens == 2


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (text() + event({"error": {"message": "out of memory", "code": 500}}), "after 1 pieces: out of memory"),
        (text() + event({"error": "out of memory"}), "out of memory"),
        (text() + event({"object": "error", "message": "out of memory"}), "out of memory"),
        (b"event: error\ndata: out of memory\n\n", "after 0 pieces: out of memory"),
        (event({"detail": "out of memory"}), "out of memory"),
        (event({"error": {"message": "no seed here", "code": 400}}), r"refuses with 400: no seed here"),
        (event({"choices": [{"index": 1, "text": "x", "finish_reason": "stop"}]}) + TOTALS, "more than one answer"),
        (
            text() * 9 + event({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 9}}),
            "9 tokens in an answer",
        ),
        (text("stop") + b"data: [DONE]\n\n", "does not say how many tokens it wrote"),
        (text("stop", usage={"prompt_tokens": 0, "completion_tokens": 1}), "does not say how many tokens it read"),
    ],
)
def test_what_cannot_be_a_figure_is_told_by_what_was_seen(sent: bytes, said: str) -> None:
    def answer(replay: Replay) -> None:
        replay.begin("text/event-stream")
        replay.send(sent)

    with pytest.raises(LlemError, match=said) as caught:
        answered(answer)
    assert caught.value.remedy
    assert not [word for word in ("report it", "cannot be true", "broken") if word in str(caught.value)]


@pytest.mark.parametrize("nothing", [None, {}, "", False, []])
def test_an_error_that_is_none_is_no_error(nothing: Any) -> None:
    def answer(replay: Replay) -> None:
        replay.begin("text/event-stream")
        replay.send(text(error=nothing) + text("stop", error=nothing) + TOTALS)

    record = answered(answer)
    assert (record.output_tokens, record.finish) == (2, "stop")


@pytest.mark.parametrize("page", ["[1, 2]", "{}", "<html>", "[" * 100_000, '{"data": 7}'])
def test_a_page_of_models_that_holds_none_is_quoted(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Replay, "do_GET", lambda replay: replay.document(200, page))
    with (
        replaying() as base,
        pytest.raises(ModelError, match="holds no list of models; it begins with"),
        engine_on(base),
    ):
        pass


def test_a_server_without_a_list_of_models_is_asked_by_the_name_that_the_study_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Replay, "do_GET", lambda replay: replay.document(404, "{}"))

    with replaying() as base:
        with pytest.raises(ModelError, match="no page /models") as caught, engine_on(f"{base}/tgi/v1"):
            pass
        assert "openai.served_name" in str(caught.value.remedy)

    def answer(replay: Replay) -> None:
        replay.begin("text/event-stream")
        replay.send(text() + text("stop") + TOTALS)

    assert answered(answer, served_name="deployment").output_tokens == 2


def test_caveats_of_the_answers_are_told_once_and_with_their_numbers() -> None:
    def answer(replay: Replay) -> None:
        replay.begin("text/event-stream")
        usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 7}}
        for part in (text(), text(), text("a word of tomorrow"), event({"choices": [], "usage": usage})):
            time.sleep(0.05)
            replay.send(part)

    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        answer(replay)

    with replaying(Behaviour(handle={"it": handle})) as base, engine_on(f"{base}/it/v1") as (engine, _):
        assert engine.caveats() == [], "the probe is no part of the work"
        ask(engine)
        ask(engine)
        told = {caveat.code: caveat.message for caveat in engine.caveats()}
        assert engine.caveats() == []
        assert engine.metrics() == {"cached_input_tokens": 14.0}
    assert set(told) == {"prompt_cached", "server_counts_differ", "unknown_finish_reason"}
    assert "14 of 18 prompt tokens" in told["prompt_cached"]
    assert "2 of 2 answers" in told["server_counts_differ"]
    assert "(6 pieces, 4 tokens)" in told["server_counts_differ"]
    assert "a word of tomorrow (2)" in told["unknown_finish_reason"]


def test_an_answer_that_another_limit_cut_is_a_caveat() -> None:
    def handle(replay: Replay, _: Mapping[str, Any]) -> None:
        replay.begin("text/event-stream")
        replay.send(text())
        time.sleep(0.05)
        replay.send(text("model_length") + TOTALS)

    with replaying(Behaviour(handle={"it": handle})) as base, engine_on(f"{base}/it/v1") as (engine, _):
        assert ask(engine).finish == "length"
        assert [caveat.code for caveat in engine.caveats()] == ["answers_cut"]


def test_thinking_is_told_apart_where_the_server_tells() -> None:
    with replaying() as base:
        with engine_on(f"{base}/deepseek/v1") as (engine, _):
            ask(engine)
            found = engine.metrics(reset=True)
            assert engine.metrics() == {}
        with engine_on(f"{base}/tgi/v1") as (engine, _):
            ask(engine)
            assert engine.metrics() == {}
    assert found == {"cached_input_tokens": 0.0, "thinking_tokens": 5.0, "thinking_pieces": 5.0, "pieces": 8.0}
