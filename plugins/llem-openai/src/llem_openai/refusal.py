"""Refusals of a server: the sentence in a body of any shape, and the field of the request that it names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llem.plugin_api import plain

BODY_LIMIT = 64 << 10
"""Bytes of an error's body that are read."""

_LENGTH = 300
_SENTENCES = 3
_TEXT_KEYS = (
    "message",
    "msg",
    "error",
    "errors",
    "detail",
    "details",
    "error_message",
    "reason",
    "title",
    "description",
)
_TAG = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>", re.DOTALL | re.IGNORECASE)


def parsed(body: str) -> object:
    """The body's JSON; the text itself where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body


def reason(body: str) -> str:
    """Message of a body, as one sentence: of `error`, `detail` or `message` in it, however deep, else its text."""
    found = parsed(body)
    text = "" if isinstance(found, str) else "; ".join(dict.fromkeys(_sentences(found)))
    if not text:
        text = _TAG.sub(" ", body) if body.lstrip().startswith("<") else body
    return printable(text).rstrip(".") + "." if text.strip() else "it says nothing more."


def printable(text: str, length: int = _LENGTH) -> str:
    """The beginning of a text that somebody else wrote, in one line, without what would move a terminal's cursor."""
    return plain(" ".join(text[: 4 * length].split())[:length])


def named_field(body: str, sent: Iterable[str]) -> str | None:
    """The field of the request that a refusal is about: one that it names, and that was sent."""
    fields = list(sent)
    found = parsed(body)
    for place in _places(found):
        if place in fields:
            return place
    said = " ".join(_sentences(found)) or body
    words = re.findall(r"[A-Za-z_]\w*", said[:4000])
    return next((word for word in words if word in fields), None)


def better_name(body: str, field: str) -> str | None:
    """Another name that a refusal gives for a field: `max_completion_tokens` where `max_tokens` is not taken."""
    known = {"max_tokens": ("max_completion_tokens", "max_new_tokens", "max_output_tokens"), "seed": ("random_seed",)}
    return next((name for name in known.get(field, ()) if name in body), None)


def _sentences(value: object, depth: int = 0) -> Iterator[str]:
    if depth > 5:
        return
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, list):
        for item in value[:_SENTENCES]:
            yield from _sentences(item, depth + 1)
    elif isinstance(value, dict):
        place = value.get("loc")
        if isinstance(place, list) and isinstance(value.get("msg"), str):
            yield f"{'.'.join(str(part)[:60] for part in place[:8])}: {value['msg']}"
            return
        for key in _TEXT_KEYS:
            if value.get(key):
                yield from _sentences(value[key], depth + 1)
                return


def _places(value: object, depth: int = 0) -> Iterator[str]:
    """Names that stand where servers say which field they mean: `param` of OpenAI, `loc` of FastAPI."""
    if depth > 5:
        return
    if isinstance(value, list):
        for item in value[:20]:
            yield from _places(item, depth + 1)
    elif isinstance(value, dict):
        yield from _place(value)
        for key in _TEXT_KEYS:
            yield from _places(value.get(key), depth + 1)


def _place(value: Mapping[str, Any]) -> Iterator[str]:
    param, place = value.get("param"), value.get("loc")
    if isinstance(param, str):
        yield param.partition(".")[0]
    if isinstance(place, list):
        yield from (part for part in place if isinstance(part, str))
