"""One chunk of an answer, as typed facts: which counts it tells, and whether it carries generated text.

Servers agree on the outline and on little else, so that nothing here relies on a type: what is not what it should be is not
there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

LARGEST_COUNT = 10**9
_LARGEST_ID = 2**32

_NO_TEXT = frozenset(
    {
        *(
            "role",
            "id",
            "object",
            "type",
            "index",
            "name",
            "status",
            "model",
            "format",
            "signature",
            "provider",
            "phase",
        ),
        *(
            "finish_reason",
            "stop_reason",
            "annotations",
            "citations",
            "provider_specific_fields",
            "metadata",
            "recipient",
        ),
        *("channel", "logprobs", "token_ids", "tool_call_id", "created", "usage", "content_filter_results"),
    }
)
"""Keys of a delta whose text is the server's own. Every other key counts: servers invent new ones for generated text."""

_OF_A_CHOICE = frozenset({"text", "content", "reasoning_content", "reasoning", "thinking", "refusal"})
_CALLS = ("tool_calls", "function_call")
_THINKING = ("reasoning", "thinking", "thought", "cot")
_ONLY_THINKING = {"thinking"}
_NONE: Mapping[str, Any] = {}


class Chunk(NamedTuple):
    """Content of one chunk. None is what it does not say. Many thousands of them are made while a load runs.

    Attributes:
        t_ns: when it arrived.
        choice: it is of the answer itself, and not only of its totals.
        text: it carries generated text, whatever the field is called; thinking: and nothing but text of the model's thinking.
        told: output tokens so far, or of this chunk: servers mean one or the other.
        input_tokens, cached_tokens, thinking_tokens: of the prompt, of it from a cache, of the output spent on thinking.
        ids: token ids; logprobs: of so many tokens.
        finish: why the answer ended.
        another: text of a second answer to the same request.
        said: the answer's text in it, thinking left out.
    """

    t_ns: int
    choice: bool = False
    text: bool = False
    thinking: bool = False
    told: int | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    thinking_tokens: int | None = None
    ids: tuple[int, ...] = ()
    logprobs: int = 0
    finish: str | None = None
    another: bool = False
    said: str = ""


def read_chunk(document: Mapping[str, Any], t_ns: int) -> Chunk:
    """The facts of a chunk's JSON object."""
    choices = _list(document.get("choices"))
    choice = _mapping(choices[0]) if choices else {}
    kinds = _kinds(choice)
    usage = _usage(document, choice)
    details, prompt = _NONE, _NONE
    if usage:
        details = _mapping(usage.get("completion_tokens_details")) or _mapping(usage.get("output_tokens_details"))
        prompt = _mapping(usage.get("prompt_tokens_details")) or _mapping(usage.get("input_tokens_details"))
    finish = choice.get("finish_reason")
    return Chunk(
        t_ns,
        choice=bool(choice),
        text=bool(kinds),
        thinking=kinds == _ONLY_THINKING,
        told=_first(usage, "completion_tokens", "output_tokens"),
        input_tokens=_first(usage, "prompt_tokens", "input_tokens"),
        cached_tokens=_count(prompt.get("cached_tokens")) if prompt else _first(usage, "prompt_cache_hit_tokens"),
        thinking_tokens=_count(details.get("reasoning_tokens")) if details else _first(usage, "reasoning_tokens"),
        ids=_ids(choice.get("token_ids")),
        logprobs=_in_logprobs(choice.get("logprobs")),
        finish=finish if isinstance(finish, str) and finish else None,
        another=len(choices) > 1 or _count(choice.get("index")) not in (None, 0),
        said=_said(choice),
    )


def told_error(document: Mapping[str, Any]) -> bool:
    """True where a chunk reports an error. `error: null`, which some servers send with each chunk, is none."""
    if document.get("error"):
        return True
    return not document.get("choices") and (document.get("object") == "error" or bool(document.get("detail")))


def _usage(document: Mapping[str, Any], choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """The counts, from wherever a server puts them: beside the choices, in one, in a section of its own (Groq), or in
    llama.cpp's `timings`, where the prompt is counted without what came from the cache."""
    for place in (document, choice, _mapping(document.get("x_groq"))):
        if usage := _mapping(place.get("usage")):
            return usage
    if "timings" not in document:
        return {}
    timings = _mapping(document.get("timings"))
    new, cached = _count(timings.get("prompt_n")), _count(timings.get("cache_n"))
    if new is None or cached is None:
        return {}
    return {
        "completion_tokens": timings.get("predicted_n"),
        "prompt_tokens": new + cached,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _said(choice: Mapping[str, Any]) -> str:
    """The answer's text, from wherever a completion or a chat has it."""
    text = (
        choice.get("text")
        or _mapping(choice.get("delta")).get("content")
        or _mapping(choice.get("message")).get("content")
    )
    return text if isinstance(text, str) else ""


def _kinds(choice: Mapping[str, Any]) -> set[str]:
    """`answer` and `thinking`, as far as a choice has text of them."""
    found: set[str] = set()
    for key in choice.keys() & _OF_A_CHOICE:
        if value := choice[key]:
            found.update(_texts(key, value))
    for place in ("delta", "message"):
        if place in choice:
            for key, value in _mapping(choice[place]).items():
                if value and key not in _NO_TEXT:
                    found.update(_texts(key, value))
    return found


def _texts(key: str, value: object, kind: str = "answer", depth: int = 0, named: bool = False) -> Iterator[str]:
    """The kind of each text that is not empty. A function's name is generated too; other names are the server's."""
    kind = "thinking" if key.lower().startswith(_THINKING) else kind
    if isinstance(value, str):
        if value:
            yield kind
    elif depth < 6 and isinstance(value, list):
        for item in value:
            yield from _texts(key, item, kind, depth + 1, named or key in _CALLS)
    elif depth < 6 and isinstance(value, dict):
        part = value.get("type")
        kind = "thinking" if isinstance(part, str) and part.lower().startswith(_THINKING) else kind
        for inner, item in value.items():
            if inner not in _NO_TEXT or (inner == "name" and (named or key in _CALLS)):
                yield from _texts(inner, item, kind, depth + 1, named or key in _CALLS)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _NONE


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _first(usage: Mapping[str, Any], *keys: str) -> int | None:
    for key in keys:
        if (value := usage.get(key)) is not None and (found := _count(value)) is not None:
            return found
    return None


def _count(value: object) -> int | None:
    """A number of tokens; None for what cannot be one. JSON has one kind of number, so that 7.0 is 7."""
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= LARGEST_COUNT else None


def _ids(value: object) -> tuple[int, ...]:
    found = _list(value)
    if not found:
        return ()
    good = all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one < _LARGEST_ID for one in found)
    return tuple(found) if good else ()


def _in_logprobs(value: object) -> int:
    """Number of tokens that a chunk has log probabilities of."""
    if not value:
        return 0
    logprobs = _mapping(value)
    return len(_list(logprobs.get("content"))) or len(_list(logprobs.get("tokens")))
