"""The chunks of a response, bounded in size: from events, or from one document where a server does not stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from llem.plugin_api import LlemError
from llem_openai.events import DATA, LINE_LIMIT, Event, EventReader, TooLongError, is_one_event
from llem_openai.refusal import printable

_ANSWER = 4 << 20
_A_TOKEN = 64 << 10

_OBJECT = DATA + b'{"'
_ERROR, _DETAIL = b'"error"', b'"detail"'
"""Keys of what has to be looked at when it comes."""


def answer_limit(output_tokens: int) -> int:
    """Bytes of an answer that are read. A token with twenty log probabilities takes about four thousand."""
    return _ANSWER + _A_TOKEN * output_tokens


class DocumentReader:
    """Takes the bytes of a response, gives each of its JSON objects with the time of its arrival; None for the closing `[DONE]`.

    Args:
        kind: the response's content type.
        limit: bytes that it may have.
        where: for messages.
    """

    def __init__(self, kind: str, limit: int, where: str) -> None:
        self._kind, self._limit, self._where = kind, limit, where
        self._events = EventReader()
        self._size, self._found, self._t_ns = 0, False, 0
        is_whole = "json" in kind.lower() and "ndjson" not in kind.lower()
        self._whole: list[bytes] | None = [] if is_whole else None

    def put_aside(self, part: bytes, t_ns: int) -> bytes | None:
        """The text of the object that these bytes are, where they are one event that can be read later, as nearly all can.

        None: see `feed`. Raises LlemError as that.
        """
        if (
            self._whole is not None
            or not part.startswith(_OBJECT)
            or _ERROR in part
            or _DETAIL in part
            or not self._events.is_between
            or not is_one_event(part)
        ):
            return None
        self._count(part, t_ns)
        self._found = True
        return part[len(DATA) : -2]

    def read(self, text: bytes) -> Mapping[str, Any]:
        """An object that was put aside. Raises LlemError where it is none."""
        try:
            document = json.loads(text.decode(errors="replace"))
        except (ValueError, RecursionError):
            raise self._no_json(text.decode(errors="replace")) from None
        assert isinstance(document, dict)  # it begins as one
        return document

    def feed(self, part: bytes, t_ns: int) -> Iterator[tuple[Mapping[str, Any] | None, int]]:
        """Objects that end in these bytes.

        Raises:
            LlemError: it is no stream of JSON objects, or has no end.
        """
        self._count(part, t_ns)
        if self._whole is not None:
            self._whole.append(part)
            return
        try:
            for event in self._events.feed(part, t_ns):
                yield from self._objects(event)
        except TooLongError:
            raise _endless(f"a line of it is longer than {LINE_LIMIT:,} bytes", self._where) from None

    def close(self) -> Iterator[tuple[Mapping[str, Any] | None, int]]:
        """Remainder when the response has ended.

        Raises:
            LlemError: as above; or nothing at all came.
        """
        if self._whole is not None:
            yield from self._objects(Event(((b"".join(self._whole), self._t_ns),)))
            return
        for event in self._events.close():
            yield from self._objects(event)
        if not self._found:
            begin = printable(self._events.begin.decode(errors="replace"), 80)
            raise LlemError(
                f"the answer is no stream of events: its content type is {printable(self._kind, 60) or 'not told'}, "
                + (f"and it begins with {begin!r}." if begin else "and it is empty."),
                where=self._where,
                remedy="Correct openai.base_url; something in between may have changed the stream.",
            )

    def _count(self, part: bytes, t_ns: int) -> None:
        self._t_ns = t_ns
        self._size += len(part)
        if self._size > self._limit:
            came = f"{self._size:,} bytes came for it, more than the {self._limit:,} that its tokens can take"
            raise _endless(came, self._where)

    def _no_json(self, text: str) -> LlemError:
        return LlemError(
            f"the server sent what is no JSON: {printable(text, 80)!r}.",
            where=self._where,
            remedy="Correct openai.base_url; something in between may have changed the stream.",
        )

    def _objects(self, event: Event) -> Iterator[tuple[Mapping[str, Any] | None, int]]:
        """The objects of an event: one, over all its lines, as the format says; or one in each line, of a server that forgets
        the blank lines between its events."""
        items = event.lines
        if len(items) > 1 and _is_json(joined := b"\n".join(line for line, _ in items)):
            items = ((joined, items[-1][1]),)
        for item, at_ns in items:
            text = item.decode(errors="replace").strip()
            if not text:
                continue
            if text == "[DONE]":
                self._found = True
                yield None, at_ns
                continue
            try:
                document = json.loads(text)
            except (ValueError, RecursionError):
                if event.name == "error":
                    document = {"error": text}
                elif not event.whole:
                    return  # the connection ended within this line: the answer is judged by what came before
                else:
                    raise self._no_json(text) from None
            if isinstance(document, dict):
                self._found = True
                is_error = event.name == "error" and "error" not in document
                yield ({"error": document} if is_error else document), at_ns


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
