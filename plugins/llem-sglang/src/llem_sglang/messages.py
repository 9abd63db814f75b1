"""Messages between the worker and the process that hosts SGLang. Plain data; nothing of SGLang is imported.

Each side sends pickles over one socket, which nobody else holds: the worker single messages, the host lists of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llem_engines import facts

Method = Literal["forget", "settle", "close"]
"""Calls that the host answers: empty the radix cache; return when nothing is computed any more; end SGLang's processes."""


class Facts(facts.Facts):
    """All that SGLang tells once it has loaded a model, with the tokens of prompt and answer together that one request may have."""

    context: int


@dataclass(frozen=True, slots=True)
class Item:
    """One request for SGLang.

    Attributes:
        name: unique.
        prompt: token ids.
        sampling: keywords of SGLang's SamplingParams.
    """

    name: str
    prompt: Sequence[int]
    sampling: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Begin:
    """Requests to be answered beside one another."""

    items: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Abort:
    """Requests whose answers nobody takes any more, by name."""

    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Call:
    """A question, with a number that its `Answer` carries."""

    number: int
    method: Method


@dataclass(frozen=True, slots=True)
class Arrived:
    """Tokens of one request that left the engine together.

    Attributes:
        name: of the request.
        tokens: that are new; none where only the end is told.
        t_ns: when they left it, `time.monotonic_ns()` of the host: one clock for all processes of a machine.
        cached: prompt tokens out of the radix cache, where SGLang tells.
        retractions: number of times that the request lost its place in the cache and was computed again.
        finish: SGLang's word for the end, or None while it goes on.
    """

    name: str
    tokens: Sequence[int]
    t_ns: int
    cached: int | None = None
    retractions: int = 0
    finish: str | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """A request that has no answer.

    Attributes:
        name: of the request.
        reason: in SGLang's words.
        is_refused: SGLang does not take it as it is; else it failed on the way.
    """

    name: str
    reason: str
    is_refused: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call: False, or a reason, where it could not be done."""

    number: int
    done: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """SGLang answers requests from now on."""

    facts: Facts


@dataclass(frozen=True, slots=True)
class NotLoaded:
    """SGLang refused the model or the options."""

    reason: str


Event = Arrived | Broken
FromHost = Arrived | Broken | Answer | Loaded | NotLoaded
ToHost = Begin | Abort | Call
