"""The chunks of a response, bounded in size: from events, or from one document where a server does not stream."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from llem.plugin_api import LlemError
from llem_openai.events import LINE_LIMIT, Event, EventReader, TooLongError
from llem_openai.refusal import printable

_ANSWER = 4 << 20
_A_TOKEN = 64 << 10


def answer_limit(output_tokens: int) -> int:
    """Bytes of an answer that are read. A token with twenty log probabilities takes about four thousand."""
    return _ANSWER + _A_TOKEN * output_tokens


async def documents(
    parts: AsyncIterator[bytes], kind: str, limit: int, where: str
) -> AsyncIterator[tuple[Mapping[str, Any] | None, int]]:
    """Each JSON object of a response with the time of its arrival; None for the closing `[DONE]`.

    Args:
        parts: the response's bytes as they arrive.
        kind: its content type.
        limit: bytes that it may have.
        where: for messages.

    Raises:
        LlemError: it is no stream of JSON objects, or has no end.
    """
    reader, size, found, t_ns = EventReader(), 0, False, 0
    whole: list[bytes] | None = [] if "json" in kind.lower() and "ndjson" not in kind.lower() else None
    try:
        async for part in parts:
            t_ns = time.monotonic_ns()
            size += len(part)
            if size > limit:
                raise _endless(f"{size:,} bytes came for it, more than the {limit:,} that its tokens can take", where)
            if whole is not None:
                whole.append(part)
                continue
            for event in reader.feed(part, t_ns):
                for item in _objects(event, where):
                    found = True
                    yield item
        if whole is not None:
            for item in _objects(Event(((b"".join(whole), t_ns),)), where):
                yield item
            return
        for event in reader.close():
            for item in _objects(event, where):
                found = True
                yield item
    except TooLongError:
        raise _endless(f"a line of it is longer than {LINE_LIMIT:,} bytes", where) from None
    if not found:
        begin = printable(reader.begin.decode(errors="replace"), 80)
        raise LlemError(
            f"the answer is no stream of events: its content type is {printable(kind, 60) or 'not told'}, "
            + (f"and it begins with {begin!r}." if begin else "and it is empty."),
            where=where,
            remedy="Correct openai.base_url; something in between may have changed the stream.",
        )


def _objects(event: Event, where: str) -> Iterator[tuple[Mapping[str, Any] | None, int]]:
    """The objects of an event: one, over all its lines, as the format says; or one in each line, of a server that forgets
    the blank lines between its events."""
    data, t_ns = b"\n".join(line for line, _ in event.lines), event.lines[-1][1]
    items = [(data, t_ns)]
    if len(event.lines) > 1 and not _is_json(data):
        items = list(event.lines)
    for item, at in items:
        text = item.decode(errors="replace").strip()
        if not text:
            continue
        if text == "[DONE]":
            yield None, at
            continue
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            if event.name == "error":
                document = {"error": text}
            elif not event.whole:
                return  # the connection ended within this line: the answer is judged by what came before
            else:
                raise LlemError(
                    f"the server sent what is no JSON: {printable(text, 80)!r}.",
                    where=where,
                    remedy="Correct openai.base_url; something in between may have changed the stream.",
                ) from None
        if isinstance(document, dict):
            yield ({"error": document} if event.name == "error" and "error" not in document else document), at


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data.decode(errors="replace"))
    except (ValueError, RecursionError):
        return False
    return True


def _endless(what: str, where: str) -> LlemError:
    return LlemError(
        f"the answer has no end: {what}.",
        where=where,
        remedy="Look at what answers at openai.base_url.",
    )
