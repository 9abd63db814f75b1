"""The meaning of a plain YAML scalar: the core schema of YAML 1.2, and `yes`, `no`, `on`, `off` as booleans.

Differences from PyYAML's own (YAML 1.1) reading are deliberate: `1e-3` is a number, `1:30` and `2024-01-01` are text,
and a number that two versions of YAML read differently (`010`) is refused instead of guessed.
"""

from __future__ import annotations

import math
import re

_INT = re.compile(r"[-+]?(?:0o[0-7]+|0x[0-9a-fA-F]+|[0-9]+(?:_[0-9]+)*)\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+(?:_[0-9]+)*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_NUMBER_STARTS = frozenset("+-.0123456789")
_LONGEST_NUMBER = 64

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)
_YES_NO = dict.fromkeys(("yes", "Yes", "YES", "on", "On", "ON"), True) | dict.fromkeys(
    ("no", "No", "NO", "off", "Off", "OFF"), False
)

Scalar = str | int | float | bool | None


class ScalarError(ValueError):
    """A scalar that has no usable value; the message says what it is and what to write."""


def is_yes_or_no(text: str) -> bool:
    """Tell whether this word is a boolean in YAML 1.1 and text in YAML 1.2."""
    return text in _YES_NO


def plain_value(text: str) -> Scalar:
    """The value of an unquoted scalar. Raises ScalarError for NaN, infinities and numbers that are not clear."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text in _YES_NO:
        return _YES_NO[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    return _number(text)


def _number(text: str) -> Scalar:
    if _NOT_FINITE.match(text):
        raise ScalarError(f"`{text}` is not a finite number. Write a finite one, or null where that is allowed.")
    is_int = _INT.match(text) is not None
    if not is_int and not _FLOAT.match(text):
        return text
    if len(text) > _LONGEST_NUMBER:
        raise ScalarError(f"a number of {len(text)} characters. Put quotes around it if it is text.")
    digits = text.lstrip("+-").replace("_", "")
    if not is_int:
        value = float(text.replace("_", ""))
        if not math.isfinite(value):
            raise ScalarError(f"`{text}` is too large for a number. Put quotes around it if it is text.")
        return value
    sign = -1 if text.startswith("-") else 1
    if digits[:2] in {"0o", "0x"}:
        return sign * int(digits[2:], 8 if digits[1] == "o" else 16)
    if len(digits) > 1 and digits.startswith("0"):
        raise ScalarError(
            f"the number `{text}` starts with 0, which YAML 1.1 reads as octal and YAML 1.2 does not. "
            "Leave the zeros out, or put quotes around it if it is text."
        )
    return sign * int(digits)
