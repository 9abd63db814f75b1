"""Streams of llem-openai as a target: recordings of servers' answers, and the reader that a measurement uses."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from llem.errors import LlemError
from llem.results.text import plain
from llem.specs.backend import Request
from llem_openai.chunk import read_chunk, told_error
from llem_openai.refusal import reason
from llem_openai.stream import DocumentReader, answer_limit
from llem_openai.streamed_answer import StreamedAnswer

RECORDINGS = Path(__file__).parents[2] / "plugins" / "llem-openai" / "tests" / "streams"
ASKED = 8


def recordings() -> Mapping[str, bytes]:
    """Each recording by its name."""
    return {path.stem: path.read_bytes() for path in sorted(RECORDINGS.glob("*.sse"))}


def read(data: bytes, seed: int) -> str:
    """Read bytes as an answer, cut on their way by the seed, and check what comes of it.

    Returns:
        `answered`, or `told`: an error of one paragraph. Anything else is raised.
    """
    chance = random.Random(seed)
    answer = StreamedAnswer(Request(0, ASKED, "x", ignore_eos=chance.random() < 0.5), 0)
    kind = chance.choice(("text/event-stream", "text/event-stream", "application/json", ""))
    try:
        _hear(answer, _arriving(data, chance), kind)
        record = answer.record()
    except LlemError as error:
        text = f"{error.what} {error.remedy or ''}"
        if "\n" in text or plain(text) != text or len(text) > 2_000:
            raise AssertionError(f"no paragraph: {text!r}") from error
        return "told"
    times = record.token_ns or record.piece_ns or ()
    counts = 1 <= len(times) <= record.output_tokens <= ASKED and record.input_tokens > 0
    if not counts or list(times) != sorted(times) or (record.token_ns and len(times) != record.output_tokens):
        raise AssertionError(f"no possible record: {record}")
    return "answered"


def _hear(answer: StreamedAnswer, parts: Iterable[bytes], kind: str) -> None:
    reader = DocumentReader(kind, answer_limit(ASKED), "http://127.0.0.1/v1")
    for part in parts:
        _take(answer, reader.feed(part, time.monotonic_ns()))
    _take(answer, reader.close())


def _take(answer: StreamedAnswer, found: Iterable[tuple[Mapping[str, Any] | None, int]]) -> None:
    for document, t_ns in found:
        if document is None:
            answer.closed = True
        elif not answer.closed:
            if told_error(document):
                raise LlemError(reason(str(document)))
            answer.chunks.append(read_chunk(document, t_ns))


def _arriving(data: bytes, chance: random.Random) -> Iterator[bytes]:
    place, most = 0, chance.choice((3, 200, 1 << 16)) if len(data) < 10_000 else 1 << 16
    while place < len(data):
        size = chance.randint(1, most)
        yield data[place : place + size]
        place += size
