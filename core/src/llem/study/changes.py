"""Differences between a study and the one that was started: key by key, and in its experiments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llem.config.merging import leaves
from llem.config.problems import shorten

_NOTHING = object()


def key_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each key whose value differs, dotted, and a clause that says what it was and is. Sweeps are compared axis by axis."""
    was, is_ = _flat(before), _flat(now)
    for key in sorted({*was, *is_}):
        old, new = was.get(key, _NOTHING), is_.get(key, _NOTHING)
        if old != new or type(old) is not type(new):
            yield key, f"was {_text(old)}, is {_text(new)}"


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in leaves({key: part for key, part in document.items() if key != "sweep"}):
        found[".".join(path)] = value
    for axis, values in (document.get("sweep") or {}).items():
        found[f"sweep: {axis}"] = values
    return found


def _text(value: Any) -> str:
    if value is _NOTHING:
        return "not given"
    return shorten(value)
