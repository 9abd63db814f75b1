"""The mock server's answers: their delays, drawn before, and the bytes of each part over HTTP and over a socket of packets."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PACKET = struct.Struct("<II")
"""Over packets: a request is its number and its tokens, a part of an answer its number and its place from 0."""

FIRST_MS = (30.0, 70.0)
"""Between these the delay of an answer's first token is drawn, evenly."""

GAP_MS = (4.0, 16.0)
"""Between these the gap before each further token is."""

_DRAWN = 4096
_WORD = " word"


@dataclass(frozen=True)
class Delays:
    """Delays of tokens from the arrival of a request, the same for the same place in the order of arrival."""

    first_ns: tuple[int, ...]
    gap_ns: tuple[int, ...]

    @classmethod
    def drawn(cls, seed: int = 1) -> Delays:
        """Drawn once, so that nothing is drawn while requests wait."""
        rng = random.Random(seed)
        first, gap = ([round(rng.uniform(*ms) * 1e6) for _ in range(_DRAWN)] for ms in (FIRST_MS, GAP_MS))
        return cls(tuple(first), tuple(gap))

    def of(self, number: int, tokens: int) -> list[int]:
        """The delays of a request's tokens (ns)."""
        found = [self.first_ns[number % _DRAWN]]
        for place in range(1, tokens):
            found.append(found[-1] + self.gap_ns[(number * 31 + place) % _DRAWN])
        return found


@dataclass(frozen=True)
class Asked:
    """A request over HTTP, as far as the answer depends on it.

    Attributes:
        mark: the first word of the prompt, by which a request is found again.
        tokens: of the answer.
        chat: it is of chat completions.
        stream: part by part.
        usage: counts at the end; counting: with each part; ids: token ids with each part.
    """

    mark: str
    tokens: int
    chat: bool
    stream: bool
    usage: bool
    counting: bool
    ids: bool


def asked(path: str, body: Mapping[str, Any]) -> Asked:
    """The request that a body is. Raises KeyError, TypeError or ValueError where it is no request."""
    chat = path.endswith("/chat/completions")
    prompt = body["messages"][-1]["content"] if chat else body["prompt"]
    if isinstance(prompt, list) and prompt:
        prompt = prompt[0]
    if isinstance(prompt, dict):
        prompt = prompt.get("text", "")
    options = body.get("stream_options") or {}
    return Asked(
        mark=str(prompt).split(maxsplit=1)[0] if str(prompt).strip() else "",
        tokens=max(1, int(body.get("max_completion_tokens") or body.get("max_tokens") or 16)),
        chat=chat,
        stream=bool(body.get("stream")),
        usage=bool(options.get("include_usage")),
        counting=bool(options.get("continuous_usage_stats")),
        ids=bool(body.get("return_token_ids")),
    )


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"


def part(request: Asked, place: int, words: int = 1) -> bytes:
    """The event of one token, as one chunk of HTTP; the first begins the response and the last ends it.

    Args:
        request: that is answered.
        place: of the token, from 0.
        words: of its text.
    """
    last = place == request.tokens - 1
    said = _WORD * words
    text: dict[str, Any] = {"delta": {"role": "assistant", "content": said}} if request.chat else {"text": said}
    choice = {"index": 0, **text, "finish_reason": "length" if last else None}
    if request.ids:
        choice["token_ids"] = [place % 1000]
    usage = {"usage": _usage(place + 1)} if request.counting else {}
    events = _event({**_frame(request), "choices": [choice], **usage})
    data = _chunk(events)
    if last:
        end = _event({**_frame(request), "choices": [], "usage": _usage(request.tokens)}) if request.usage else b""
        data += _chunk(end + b"data: [DONE]\n\n") + b"0\r\n\r\n"
    return HEAD + data if place == 0 else data


def whole(request: Asked) -> bytes:
    """The response to a request that does not ask for a stream."""
    text = _WORD * request.tokens
    said: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if request.chat else {"text": text}
    choice = {"index": 0, **said, "finish_reason": "length"}
    return document({**_frame(request), "choices": [choice], "usage": _usage(request.tokens)})


def document(content: Mapping[str, Any], status: str = "200 OK") -> bytes:
    """A response of one JSON object."""
    data = json.dumps(content).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def _frame(request: Asked) -> dict[str, Any]:
    kind = (
        "chat.completion.chunk"
        if request.chat and request.stream
        else "chat.completion"
        if request.chat
        else "text_completion"
    )
    return {"id": "cmpl-1", "object": kind, "created": 1, "model": "mock"}


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 8, "completion_tokens": tokens, "total_tokens": 8 + tokens}


def _event(content: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
