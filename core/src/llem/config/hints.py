"""Hints at what a wrong value was meant to be: one sentence, where the mistake is a common one. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

_AMOUNT = re.compile(r"[-+]?\d[\d.,:_ ]*\s*[A-Za-z%µ]{0,5}\Z")
_NO_AXIS = frozenset({"sweep", "experiments", "execution", "runners", "name"})
_RANGES = frozenset({"min", "max", "num", "log", "pow2"})
_BOOLEAN_WORDS = frozenset({"true", "false", "yes", "no", "on", "off"})

UNQUOTE = "In quotes it is text: leave the quotes out."


def hint(key: Sequence[str | int], found: Any, accepted: str | None) -> str | None:
    """The way in which a value came to be of another type than it looks, and what to write instead.

    Args:
        key: path of the key.
        found: the value.
        accepted: what is taken there, in the words of `constraints.accepted`.
    """
    if isinstance(found, (list, dict)):
        return _several(key, found, accepted or "")
    if accepted is None or "mapping" in accepted:
        return None
    if isinstance(found, bool):
        return _of_boolean(accepted)
    if isinstance(found, (int, float)):
        return _of_number(found, accepted)
    return _of_text(found, accepted) if isinstance(found, str) else None


def _several(key: Sequence[str | int], found: Any, accepted: str) -> str | None:
    """Several values where one stands: an axis in the wrong place."""
    is_axis = isinstance(found, list) or (bool(found) and set(found) <= _RANGES)
    if not is_axis or "a list" in accepted or not key or key[0] in _NO_AXIS:
        return None
    if isinstance(found, list) and "mapping" in accepted and len(found) == 1 and isinstance(found[0], dict):
        return "A dash begins a list: leave it out."
    axis, values = ".".join(map(str, key)), _flow(found)
    shown = f"`sweep: {{{axis}: {values}}}`" if len(values) <= 60 else f"`{axis}` under `sweep`"
    return f"To run one experiment for each of several values, write them as an axis: {shown}."


def _flow(value: Any) -> str:
    """Plain data on one line of YAML; simple words without quotes."""
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", value):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _of_boolean(accepted: str) -> str | None:
    wants_text = "text" in accepted or "one of" in accepted
    if wants_text and "true or false" not in accepted:
        return "An unquoted yes, no, on or off is true or false in YAML: put quotes around the word."
    return None


def _of_number(found: float, accepted: str) -> str | None:
    if "text" in accepted and "number" not in accepted:
        return "Digits without quotes are a number: put quotes around them."
    if isinstance(found, float) and found.is_integer() and abs(found) < 1e15 and "a whole number" in accepted:
        return f"Write it without a fraction or exponent: {int(found)}."
    return None


def _of_text(found: str, accepted: str) -> str | None:
    if "true or false" in accepted and found.lower() in _BOOLEAN_WORDS:
        return UNQUOTE
    if "a list" in accepted and found and len(found) <= 60:
        return f"Put brackets around it: [{found}]."
    if "number" in accepted:
        if _is_number(found):
            return UNQUOTE
        if _AMOUNT.match(found):
            return "Write a plain number, without unit, percent sign or separators; the key's name says the unit."
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
