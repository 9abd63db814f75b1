"""Many rows as a small document: each column once, what repeats once, numbers with as many digits as they carry.

Ten thousand experiments share most of what they are: a column whose rows are all alike is one value, one of few values is a
dictionary with places in it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

DIGITS = 7
"""Significant digits that a figure keeps; more than any meter has."""


def packed(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`{"n", "columns": {key: {"same"} | {"values", "of"} | {"list"}}}`; a key that a row lacks is null there."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {"n": len(rows), "columns": {key: _column([row.get(key) for row in rows]) for key in keys}}


_AS_THEY_ARE = frozenset({str, int, bool, type(None)})
"""Types whose values JSON holds as they are."""


def _column(values: list[Any]) -> dict[str, Any]:
    kinds = set(map(type, values))
    if not kinds <= _AS_THEY_ARE:
        values = [plain(value) for value in values]
    # Values of one type are told apart by themselves; of several 1 and true would be one.
    keys = values if len(kinds - {type(None)}) == 1 and kinds <= {*_AS_THEY_ARE, float} else map(_key, values)
    places: dict[object, int] = {}
    of = [places.setdefault(key, len(places)) for key in keys]
    if len(places) == 1:
        return {"same": values[0]}
    if len(places) * 2 <= len(values):
        first = dict(zip(reversed(of), reversed(values), strict=True))
        return {"values": [first[place] for place in range(len(places))], "of": of}
    return {"list": values}


def _key(value: Any) -> object:
    """Key that is equal for values that JSON writes alike."""
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else (type(value), value)


def plain(value: Any) -> Any:
    """The value as JSON can hold it: tuples as lists, sets in order, no NaN, floats rounded to `DIGITS`."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain(inner) for inner in value)
    if isinstance(value, Sequence):
        return [plain(inner) for inner in value]
    return str(value)


def as_json(document: Any) -> str:
    """The shortest JSON of it, in UTF-8."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def script_json(document: Any) -> str:
    """JSON that may stand in a `<script>`: nothing in it can end the element or open a comment."""
    text = as_json(document)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
