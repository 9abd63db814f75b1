"""Reading of a recording of each server: its tokens, their times and its words, however its bytes are cut on the way."""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.errors import LlemError
from llem.specs.backend import Request
from llem_openai.chunk import read_chunk
from llem_openai.counting import count
from llem_openai.events import LINE_LIMIT, EventReader, TooLongError
from llem_openai.finish import ending
from llem_openai.stream import DocumentReader, answer_limit
from llem_openai.streamed_answer import StreamedAnswer

sys.path.insert(0, str(Path(__file__).parent))
from replay import STREAMS


@dataclass(frozen=True)
class Right:
    """Truth of a recording.

    Attributes:
        output, input: tokens; pieces: chunks with text; thinking: of them, with thinking alone.
        each: every token has a time; finish; cached and told_thinking: tokens.
    """

    output: int = 8
    input: int = 12
    pieces: int = 8
    thinking: int = 0
    each: bool = True
    finish: str = "length"
    cached: int | None = None
    told_thinking: int | None = None


RIGHT = {
    "vllm": Right(input=10),
    "vllm-chat": Right(thinking=3),
    "sglang": Right(thinking=4, told_thinking=4),
    "tgi": Right(),
    # The seventh token, of the end, came without a text: the six pieces are not one token each.
    "tgi-eos": Right(input=10, output=7, pieces=6, each=False, finish="stop"),
    "llamacpp": Right(),
    "llamacpp-timings": Right(cached=9),
    "ollama": Right(thinking=2),
    "litellm": Right(cached=5),
    "deepseek": Right(thinking=5, cached=0, told_thinking=5),
    "mistral": Right(thinking=3),
    "azure": Right(pieces=3, each=False, cached=0, told_thinking=0),
    "groq": Right(),
    "moonshot": Right(),
    "running-then-null": Right(),
    "zero-again": Right(),
    "zero-until-the-end": Right(input=10),
    "increments": Right(input=10, pieces=7),
    "line-separators": Right(input=10),
    "carriage-returns": Right(input=10),
    "no-blank-lines": Right(input=10),
    "tool-calls": Right(output=7, pieces=7, finish="stop"),
    "refusal": Right(output=5, pieces=5, finish="stop"),
}


def heard(
    parts: Sequence[bytes], *, asked: int = 8, ignore_eos: bool = False, kind: str = "text/event-stream"
) -> StreamedAnswer:
    """An answer as heard from bytes; no two parts have one time."""

    answer = StreamedAnswer(Request(0, asked, "x", ignore_eos=ignore_eos), 0)
    reader = DocumentReader(kind, answer_limit(asked), "there")

    def found() -> Iterator[tuple[Mapping[str, Any] | None, int]]:
        for number, part in enumerate(parts, 1):
            yield from reader.feed(part, number)
        yield from reader.close()

    for document, t_ns in found():
        if document is None:
            answer.closed = True
        elif not answer.closed:
            answer.chunks.append(read_chunk(document, t_ns))
    return answer


def lines(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def test_every_recording_has_its_right_values() -> None:
    assert set(RIGHT) == set(STREAMS)


@pytest.mark.parametrize("name", list(RIGHT))
def test_a_recording_is_read_as_what_it_is(name: str) -> None:
    right, answer = RIGHT[name], heard(lines(STREAMS[name]))
    record = answer.record()
    assert (record.output_tokens, record.input_tokens, record.finish) == (right.output, right.input, right.finish)
    assert (answer.pieces, sum(chunk.thinking for chunk in answer.chunks)) == (right.pieces, right.thinking)
    assert (record.token_ns is not None) == right.each
    times = record.token_ns or record.piece_ns or ()
    assert len(times) == (right.output if right.each else right.pieces)
    assert len(set(times)) == right.pieces, "each piece has a time of its own, and is told by it"
    assert answer.highest("cached_tokens") == right.cached
    assert answer.highest("thinking_tokens") == right.told_thinking
    assert answer.ended


@given(st.sampled_from(list(RIGHT)), st.lists(st.integers(1, 40), min_size=1, max_size=40))
def test_where_bytes_are_cut_on_their_way_changes_no_count(name: str, sizes: list[int]) -> None:
    data, parts, place = STREAMS[name], [], 0
    while place < len(data):
        size = sizes[len(parts) % len(sizes)]
        parts.append(data[place : place + size])
        place += size
    answer, right = heard(parts), RIGHT[name]
    assert answer.record().output_tokens == right.output
    assert (answer.pieces, answer.record().finish) == (right.pieces, right.finish)


def stamped(*parts: bytes) -> list[tuple[bytes, int]]:
    """The data lines that parts hold, each part at the time of its place."""
    reader = EventReader()
    events = [event for t, part in enumerate(parts) for event in reader.feed(part, t)]
    return [line for event in [*events, *reader.close()] for line in event.lines]


def test_a_line_has_the_time_at_which_its_end_arrived() -> None:
    assert stamped(b"data: a", b"b\n", b"\n", b"data: c\n\n") == [(b"ab", 1), (b"c", 3)]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_end_by_the_wire_format_alone(end: bytes) -> None:
    data = "a\u2028b\u2029c\u0085d\x0b\x0c\x1c".encode()
    found = stamped(
        b"\xef\xbb\xbfdata: " + data + end + end + b"data:x" + end + b": no" + end + b"data:  y" + end + end
    )
    assert [line for line, _ in found] == [data, b"x", b" y"]


def test_a_line_end_of_two_bytes_may_come_in_two_parts() -> None:
    assert stamped(b"data: a\r", b"\n\r", b"\ndata: b\r\n\r\n") == [(b"a", 0), (b"b", 2)]


@pytest.mark.parametrize("part", [b"x" * 65536, b"data: " + b"x" * 65536 + b"\n"])
def test_a_line_or_event_without_end_is_given_up_before_it_fills_memory(part: bytes) -> None:
    with pytest.raises(TooLongError):
        stamped(*[part] * (LINE_LIMIT // 65536 + 2))


def texts(*told: int | None, last: int | None = None, choice: bool = False) -> list[Any]:
    """Chunks with a text and these counts, and a last one with totals."""
    document = [
        {"choices": [{"text": " w", "finish_reason": None}]} | ({} if one is None else {"usage": usage(one)})
        for one in told
    ]
    end = {"choices": [{"text": "", "finish_reason": "length"}] if choice else [], "usage": usage(last)} if last else {}
    return [read_chunk(one, t) for t, one in enumerate([*document, end], 1)]


def usage(told: int) -> dict[str, int]:
    return {"prompt_tokens": 5, "completion_tokens": told}


@pytest.mark.parametrize(
    ("chunks", "asked", "total", "token_ns", "piece_ns"),
    [
        (texts(1, 2, 3), 3, 3, (1, 2, 3), None),
        (texts(1, 3, 4, 5, 6), 6, 6, (1, 2, 2, 3, 4, 5), None),
        (texts(1, 2, 3, last=4, choice=True), 8, 4, (1, 2, 3, 4), None),  # the stop token, on the chunk with the reason
        (texts(1, 2, 3, last=4), 8, 4, None, (1, 2, 3)),  # the stop token, and nobody says when
        (texts(1, 2, last=3), 8, 3, None, (1, 2)),  # no counts of each chunk, though 1 + 2 = 3
        (texts(0, 0, 0, last=3), 3, 3, (1, 2, 3), None),
        (texts(0, 0, 0, last=7), 8, 7, None, (1, 2, 3)),
        (texts(0, 3, 3, 6, last=6), 8, 6, None, (1, 2, 3, 4)),  # told late: which token came when is not known
        (texts(1, 2, 3, last=9, choice=True), 9, 9, None, (1, 2, 3)),
        (texts(1, 1, 1, 1), 4, 4, (1, 2, 3, 4), None),  # as a running total: one token for four pieces
        (texts(1, 1, 1, last=3), 8, 3, (1, 2, 3), None),
        (texts(1, 2, 1, 1), 8, 5, (1, 2, 2, 3, 4), None),  # a running total never falls
        (texts(3, 3, 3), 9, 9, (1, 1, 1, 2, 2, 2, 3, 3, 3), None),
        (texts(8), 8, 8, (1,) * 8, None),  # all at one instant, which the core takes for no latency
        (texts(2, 3, last=3), 3, 3, (1, 1, 2), None),
        (texts(None, None, None, last=2), 8, 2, None, (1, 3)),  # more pieces than tokens
        (texts(None, None, last=1), 8, 1, None, (2,)),
        (texts(1, 2, 3, last=0), 3, 3, (1, 2, 3), None),
        (texts(1, 2, 3, last=2), 3, 3, (1, 2, 3), None),  # tokens that were counted once do not go away
        (texts(last=4, choice=True), 8, 4, None, (1,)),  # no text at all: all of it at its end
    ],
)
def test_counts_are_read_as_what_fits_the_whole_answer(
    chunks: Any, asked: int, total: int, token_ns: Any, piece_ns: Any
) -> None:
    found = count(chunks, asked, chunks[-1].t_ns)
    assert found is not None
    assert (found.total, found.token_ns, found.piece_ns) == (total, token_ns, piece_ns)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=30), st.booleans())
def test_running_totals_and_counts_of_each_chunk_tell_the_same(new: list[int], choice: bool) -> None:
    totals = [sum(new[: place + 1]) for place in range(len(new))]
    asked = sum(new)
    running = count(texts(*totals, last=asked, choice=choice), asked, 99)
    each = count(texts(*new, last=asked, choice=choice), asked, 99)
    assert running is not None
    assert running.total == asked
    assert each is not None
    assert each.total == asked
    for found in (running, each):
        assert (found.token_ns is None) != (found.piece_ns is None)
        assert found.token_ns is None or len(found.token_ns) == asked
        assert found.piece_ns is None or 1 <= len(found.piece_ns) <= asked


def test_a_number_of_tokens_that_cannot_be_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        found = count(texts(4 * 10**6, 9 * 10**6), 8, 9)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found is not None
    assert (found.total, found.token_ns) == (9 * 10**6, None)
    assert peak < 1 << 20


def test_an_answer_that_nobody_counts_has_no_figure() -> None:
    assert count(texts(None, None), 8, 9) is None
    assert count(texts(0, 0), 8, 9) is None


@pytest.mark.parametrize(
    ("delta", "kind"),
    [
        ({"content": "x"}, "text"),
        ({"content": [{"type": "text", "text": "x"}]}, "text"),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "x"}]}]}, "thinking"),
        ({"content": "", "reasoning_details": [{"type": "reasoning.text", "text": "x", "format": "y"}]}, "thinking"),
        ({"reasoning_content": "x", "content": None}, "thinking"),
        ({"reasoning": "x", "reasoning_content": "x"}, "thinking"),
        ({"thinking": "x"}, "thinking"),
        ({"thought": "x", "content": "y"}, "text"),
        ({"refusal": "x"}, "text"),
        ({"tool_calls": [{"index": 0, "id": "1", "type": "function", "function": {"arguments": "{"}}]}, "text"),
        (
            {"tool_calls": [{"index": 0, "id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
            "text",
        ),
        ({"function_call": {"name": "f"}}, "text"),
        ({"a_field_of_tomorrow": {"parts": ["x"]}}, "text"),
        ({"role": "assistant", "content": ""}, ""),
        ({"role": "assistant", "content": None, "refusal": None, "tool_calls": []}, ""),
        ({"role": "assistant", "name": "x", "provider_specific_fields": {"a": "b"}, "annotations": ["x"]}, ""),
        ({"tool_calls": [{"index": 0, "id": "1", "type": "function", "function": {"arguments": ""}}]}, ""),
        ({"content": 7}, ""),
        ("x", ""),
        (None, ""),
    ],
)
@pytest.mark.parametrize("place", ["delta", "message"])
def test_text_counts_whatever_its_field_is_called(delta: Any, kind: str, place: str) -> None:
    chunk = read_chunk({"choices": [{"index": 0, place: delta}]}, 1)
    assert (chunk.text, chunk.thinking) == (bool(kind), kind == "thinking")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"choices": None, "usage": None},
        {"choices": {"a": 1}, "usage": [1]},
        {"choices": [None]},
        {"choices": ["x"], "usage": "many"},
        {"choices": [{"delta": [1], "finish_reason": 7, "token_ids": "x", "logprobs": [1]}]},
        {"choices": [{"token_ids": [1, -1]}], "usage": {"completion_tokens": True, "prompt_tokens": "8"}},
        {"choices": [{"token_ids": [2**70]}], "usage": {"completion_tokens": 2**70, "prompt_tokens": float("nan")}},
        {"usage": {"completion_tokens": float("inf"), "prompt_tokens": -1, "prompt_tokens_details": 3}},
        {"usage": {"completion_tokens": 7.5}, "timings": {"prompt_n": {}, "cache_n": 1}},
    ],
)
def test_what_cannot_be_a_count_or_a_text_is_not_there(document: Any) -> None:
    chunk = read_chunk(document, 1)
    assert (chunk.told, chunk.input_tokens, chunk.cached_tokens, chunk.ids, chunk.logprobs, chunk.finish) == (
        *(None, None, None),
        (),
        0,
        None,
    )


def test_json_has_one_kind_of_number() -> None:
    assert read_chunk({"usage": {"completion_tokens": 7.0}}, 1).told == 7


def test_log_probabilities_count_tokens() -> None:
    def chunk(n: int, t: int) -> Any:
        return read_chunk({"choices": [{"text": "ab", "logprobs": {"tokens": ["a"] * n}}]}, t)

    chunks = [chunk(1, 1), chunk(2, 2), chunk(1, 3), *texts(last=4)[-1:]]
    found = count(chunks, 4, 4)
    assert found is not None
    assert found.token_ns == (1, 2, 2, 3)


@pytest.mark.parametrize(
    ("reason", "tokens", "finish"),
    [
        *[(word, 8, "stop") for word in ("stop", "eos_token", "eos", "end_turn", "stop_sequence", "tool_calls", "EOS")],
        *[(word, 5, "length") for word in ("length", "max_tokens", "model_length", "MAX-TOKENS")],
        *[(word, 8, "length") for word in ("a word of tomorrow", None)],
        *[(word, 5, "stop") for word in ("a word of tomorrow", None)],
    ],
)
def test_a_reason_is_taken_at_its_word_and_an_unknown_one_by_counting(
    reason: str | None, tokens: int, finish: str
) -> None:
    assert ending(reason, tokens, 8) == finish


@pytest.mark.parametrize(
    "reason", ["content_filter", "abort", "error", "insufficient_system_resource", "SAFETY", "cancelled"]
)
def test_work_that_the_server_cut_is_no_answer(reason: str) -> None:
    data = json.dumps({"choices": [{"text": "x", "finish_reason": reason}], "usage": usage(1)})
    with pytest.raises(LlemError, match="before the model did") as caught:
        heard([f"data: {data}\n\n".encode()]).record()
    assert reason in str(caught.value)


def documents_of(*found: Any) -> Iterator[bytes]:
    yield from (f"data: {json.dumps(one)}\n\n".encode() for one in found)


@pytest.mark.parametrize(
    ("parts", "right"),
    [
        ([b"data: 1\nd", b"ata: 2\n\n"], [[b"1", b"2"]]),
        ([b"data: a", b"data: b\n\n"], [[b"adata: b"]]),
        ([b"data: a\n", b"data: b\n\n"], [[b"a", b"b"]]),
        ([b"data: a\n\n", b"data: b\n\n", b"data: c\n\ndata: d\n\n"], [[b"a"], [b"b"], [b"c"], [b"d"]]),
        ([b"data: a\r\n\r\n", b"data: b\n\n"], [[b"a"], [b"b"]]),
    ],
)
def test_an_event_that_arrives_whole_is_told_from_one_that_looks_so(
    parts: list[bytes], right: list[list[bytes]]
) -> None:
    reader = EventReader()
    assert [*reader.feed(b": " + b"x" * 200 + b"\n\n", 0)] == []
    found = [event for number, part in enumerate(parts) for event in reader.feed(part, number)]
    assert [[line for line, _ in event.lines] for event in found] == right


def test_an_object_that_came_without_a_stream_is_one_piece() -> None:
    whole = {"choices": [{"message": {"content": "a b c"}, "finish_reason": "stop"}], "usage": usage(3)}
    record = heard([json.dumps(whole)[:20].encode(), json.dumps(whole)[20:].encode()], kind="application/json").record()
    assert record.output_tokens == 3
    assert len({*(record.token_ns or ()), *(record.piece_ns or ())}) == 1


def test_events_are_read_whatever_the_content_type_says() -> None:
    parts = [*documents_of({"choices": [{"text": "x", "finish_reason": "stop"}], "usage": usage(1)})]
    assert heard(parts, kind="text/plain").record().output_tokens == 1


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([b"<html><body>Sign in</body></html>"], "no stream of events.*text/html.*<html>"),
        ([], "no stream of events.*empty"),
        ([b"data: {'a': 1}\n\n"], "what is no JSON: \"{'a': 1}\""),
        ([b"data: \x1b[2J\xff\n\n"], r"no JSON: '\\\\u001b\[2J"),
        ([b"data: " + b"[" * 200_000 + b"\n\n"], "no JSON"),
        ([b": x\n" * 20_000] * 100, "has no end"),
    ],
)
def test_what_is_no_stream_is_quoted_and_nobody_accused(parts: list[bytes], said: str) -> None:
    with pytest.raises(LlemError, match=said) as caught:
        heard(parts, kind="text/html")
    assert "\n" not in str(caught.value).partition("\nSee")[0]
    assert str(caught.value).isprintable()


def test_what_is_put_aside_is_read_later_as_it_would_have_been_at_once() -> None:
    first = b'data: {"choices": [{"text": "first, and long enough that the stream is known to be one of events, of JSON each"}]}\n\n'
    plain = [b'data: {"choices": [{"text": "\xe2\x80\xa8 %d"}]}\n\n' % number for number in range(4)]
    news = [
        b'data: {"error": {"message": "no"}}\n\n',
        b'data: {"detail": "no"}\n\n',
        b"data: [DONE]\n\n",
        b'data: {"a": 1}\n\ndata: {"a": 2}\n\n',
        b'data: {"a": 1',
    ]
    at_once, later = (DocumentReader("text/event-stream", answer_limit(8), "there") for _ in range(2))
    for reader in (at_once, later):
        assert reader.put_aside(first, 1) is None  # the stream may begin with a mark of its encoding
        assert len(list(reader.feed(first, 1))) == 1
    for number, part in enumerate(plain, 2):
        text = later.put_aside(part, number)
        assert text is not None
        assert [(later.read(text), number)] == list(at_once.feed(part, number))
    for part in news:
        assert later.put_aside(part, 9) is None
    list(later.feed(news[-1], 9))
    assert later.put_aside(plain[0], 10) is None  # it ends a line that has begun


def test_what_is_put_aside_counts_and_is_no_answer_where_it_is_no_json() -> None:
    reader = DocumentReader("text/event-stream", 200, "there")
    list(reader.feed(b'data: {"choices": []}\n\n', 1))
    text = reader.put_aside(b'data: {"choices": nothing}\n\n', 2)
    assert text is not None
    with pytest.raises(LlemError, match="no JSON"):
        reader.read(text)
    with pytest.raises(LlemError, match="has no end"):
        reader.put_aside(b'data: {"%s": 1}\n\n' % (b"x" * 200), 3)
