"""Problems with a configuration in words: one line for each key, all at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from llem.config import constraints
from llem.config.hints import hint
from llem.config.introspect import retired_key, schema_of
from llem.config.section import Section
from llem.errors import ConfigError
from llem.spelling import closest, likeness

Key = tuple[str | int, ...]
Locate = Callable[[Sequence[str | int]], str]

MOST_LISTED = 50
_LONGEST_VALUE = 60
_LONGEST_ACCEPTED = 300
_LONGEST_KEY = 200
_LONGEST_LINE = 2_000
_LONGEST_MESSAGE = 10_000
_SURE = 0.7


class _Absent:
    """Stands for a value that is not there; None is a value."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = _Absent()


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        key: path of the key, such as `("dataset", "n")`.
        found: the value, or `ABSENT`.
        message: what is wrong with it, without the value and without a full stop.
        accepted: what is taken there, in words, or None.
        nearest: the dotted key that was probably meant, or None.
    """

    key: Key
    found: Any = ABSENT
    message: str = "is not accepted"
    accepted: str | None = None
    nearest: str | None = None

    @property
    def text(self) -> str:
        """The problem as one line, without its place."""
        found = "" if self.found is ABSENT else f": found {shorten(self.found)}"
        text = f"`{dotted(self.key)}` {self.message}{found}." if self.key else f"{self.message}{found}."
        if self.accepted:
            text += f" Accepted: {_few(self.accepted)}."
        if self.nearest:
            text += f" Did you mean `{shortened(self.nearest)}`?"
        meant = hint(self.key, self.found, self.accepted)
        return f"{text} {meant}" if meant else text


def _few(accepted: str) -> str:
    """Accepted values, cut to a few where hundreds of words are."""
    if len(accepted) <= _LONGEST_ACCEPTED:
        return accepted
    kept = accepted[:_LONGEST_ACCEPTED].rpartition(", ")[0] or accepted[:_LONGEST_ACCEPTED]
    return f"{kept}, … and {accepted[len(kept) :].count(', '):,} more"


def listed(lines: Iterable[tuple[str, str]], more: int = 0) -> list[str]:
    """Lines for a message, each of a place and a text: each once, and no more than fit into one that can be read.

    Args:
        more: how many there are besides.
    """
    shown: list[str] = []
    rest, room = more, _LONGEST_MESSAGE
    for place, text in dict.fromkeys(lines):
        line = f"  {place}: {text}"
        if len(line) > _LONGEST_LINE:
            line = f"{line[:_LONGEST_LINE]}…"
        if len(shown) < MOST_LISTED and room >= len(line):
            shown.append(line)
            room -= len(line)
        else:
            rest, room = rest + 1, 0
    return [*shown, f"  … and {rest:,} more"] if rest else shown


def dotted(key: Sequence[str | int]) -> str:
    """`experiments[0].dataset.n` for `("experiments", 0, "dataset", "n")`."""
    text = ""
    for part in map(_part, key):
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _part(part: str | int) -> str | int:
    return shortened(part) if isinstance(part, str) else part


def shortened(text: str) -> str:
    """A key, cut where nobody would read on."""
    return text if len(text) <= _LONGEST_KEY else f"{text[:_LONGEST_KEY]}…"


def shorten(value: Any) -> str:
    """A value as it would stand in YAML or JSON, cut to a readable length."""
    if isinstance(value, str) and len(value) > _LONGEST_VALUE:
        return f'{json.dumps(value[:40], ensure_ascii=False)[:-1]}…" ({len(value):,} characters)'
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def raise_all(problems: Iterable[Problem], locate: Locate) -> None:
    """Raise one ConfigError that lists them all, each with its place; return where there is none."""
    # Two with the same key and text are one, whatever value they found.
    distinct: dict[tuple[Key, str], Problem] = {}
    for problem in problems:
        distinct.setdefault((problem.key, problem.text), problem)
    if distinct:
        _raise(list(distinct.values()), locate)


def _raise(problems: Sequence[Problem], locate: Locate) -> NoReturn:
    if len(problems) == 1:
        raise ConfigError(problems[0].text, where=locate(problems[0].key))
    lines = listed((locate(p.key), p.text) for p in problems)
    raise ConfigError("\n".join([f"{len(problems):,} problems in the configuration:", *lines]))


def problems_of(error: ValidationError, model: type[Section], prefix: Key = ()) -> list[Problem]:
    """The errors of pydantic, a problem for each key.

    Args:
        error: from validating `model`.
        model: the section.
        prefix: path of the section in the study, such as `("dataset",)`.
    """
    found: dict[Key, Problem] = {}
    for item in error.errors(include_url=False):
        path, schema = _follow(item["loc"], schema_of(model))
        problem = _problem(item, (*prefix, *path), schema, retired_key(model, path))
        # Of a union each branch reports on its own; they are one problem with one key.
        found.setdefault(problem.key, problem)
    return list(found.values())


def _follow(location: Sequence[str | int], schema: Mapping[str, Any]) -> tuple[Key, Mapping[str, Any]]:
    """The part of pydantic's location that a user wrote (branches of unions left out), and the schema it leads to."""
    path: list[str | int] = []
    for place, part in enumerate(location):
        last = place == len(location) - 1
        options = [o for o in constraints.alternatives(schema) if o.get("type") != "null"]
        properties = next((o["properties"] for o in options if "properties" in o), None)
        items = next((o["items"] for o in options if "items" in o), None)
        values = next(
            (o["additionalProperties"] for o in options if isinstance(o.get("additionalProperties"), dict)), None
        )
        if isinstance(part, int) and items is not None:
            schema = items
        elif properties is not None and part in properties:
            schema = properties[part]
        elif properties is not None and last and len(options) == 1:
            path.append(part)  # an unknown key: the schema stays that of the mapping it stands in
            continue
        elif properties is None and values is not None and part != "[key]":
            schema = values
        else:
            continue
        path.append(part)
    return tuple(path), schema


def _problem(item: Any, key: Key, schema: Mapping[str, Any], instead: str | None) -> Problem:
    kind: str = item["type"]
    if kind == "extra_forbidden":
        options = constraints.alternatives(schema)
        known = next((tuple(o["properties"]) for o in options if "properties" in o), ())
        return unknown_key(key, known, instead=instead)
    if kind == "missing":
        return Problem(key, ABSENT, "is missing", constraints.accepted(schema))
    if kind in {"value_error", "assertion_error"}:
        reason = str(item.get("ctx", {}).get("error", item["msg"])).rstrip(".")
        return Problem(key, item["input"] if _is_leaf(item["input"]) else ABSENT, f"is not accepted: {reason}")
    near = _nearest_choice(item["input"], constraints.choices(schema))
    return Problem(key, item["input"], "is not accepted", constraints.accepted(schema), near)


def _nearest_choice(found: Any, choices: Sequence[Any]) -> str | None:
    if not isinstance(found, str) or len(found) > _LONGEST_VALUE:
        return None
    return closest(found.lower(), [c for c in choices if isinstance(c, str)], 0.5)


def _is_leaf(value: Any) -> bool:
    return not isinstance(value, (dict, list, Section))


def unknown_key(key: Key, known: Sequence[str], nearest: str | None = None, *, instead: str | None = None) -> Problem:
    """The problem of a key that does not exist; `known` are the keys that could stand in its place.

    `instead` says what to do where the section names the key as retired.
    """
    if instead is not None:
        return Problem(key, ABSENT, f"is not accepted: {instead}")
    prefix = "".join(f"{part}." for part in key[:-1] if isinstance(part, str))
    close = closest(str(key[-1]), known, 0.5)
    near = nearest or (prefix + close if close else None)
    # A loose match may be the wrong one: the others are listed beside it.
    last = str(key[-1]).rpartition(".")[2]
    sure = near is not None and likeness(last, near.rpartition(".")[2]) >= _SURE
    listed = ", ".join(known) if known and not sure else None
    message = "is an unknown key"
    if ":" in str(key[-1]):
        message += ": a space is missing after the colon"
    return Problem(key, ABSENT, message, listed, near)
