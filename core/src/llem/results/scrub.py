"""Takes secrets out of text and data before they reach a result, a manifest or a log."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
"""What stands where a secret stood."""

_NAME = (
    r"(?:password|passwd|passphrase|secret|credentials?|authorization|(?:api|access|private|secret|signing|encryption)[_-]?key|"
    r"(?:hf|hub|hugging_?face|access|auth|api|bearer|refresh|session|id|github|gitlab|wandb)[_-]?(?:hub[_-]?)?token)"
)

_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\bhf_[A-Za-z0-9]{16,}"
    r"|\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{16,}"
    r"|\bnvapi-[A-Za-z0-9_-]{16,}|\bxox[abeprs]-[A-Za-z0-9-]{10,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bAIza[A-Za-z0-9_-]{30,}|\bpypi-[A-Za-z0-9_-]{32,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    re.DOTALL,
)
"""Keys that give themselves away by how they begin."""

_URL = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)[^\s/@'\"<>?#]+@", re.IGNORECASE)
_BEARER = re.compile(r"(?P<word>\b(?:bearer|basic)\s+)[A-Za-z0-9+/._~=-]{8,}", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"(?P<key>(?:(?<![A-Za-z0-9])|(?<=_)){_NAME}[\"']?\s*[=:]\s*)"
    r"(?!\s*(?:bearer|basic)\b)(?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&\"'}\])]+)",
    re.IGNORECASE,
)
_PLAIN_TOKEN = re.compile(
    r"(?P<key>(?<![A-Za-z0-9_])token[\"']?\s*[=:]\s*[\"']?)(?=[A-Za-z_.-]*\d)(?![\d.]+\b)[A-Za-z0-9_.-]{12,}",
    re.IGNORECASE,
)
"""`token` alone also means a piece of text: its value must look like a key (long, with a digit, no number)."""

_SECRET_KEY = re.compile(rf"(?:^|[_-]){_NAME}$", re.IGNORECASE)
_SECRET_VARIABLE = re.compile(rf"(?:^|_)(?:{_NAME}|TOKEN|KEY|PASS)$", re.IGNORECASE)
_SHORTEST_VALUE = 8
"""An environment variable's value shorter than this is left alone: hiding `1` everywhere would hide figures."""


def tells_a_secret(name: str) -> bool:
    """True for a variable or key whose name says that its value is a secret."""
    return bool(_SECRET_VARIABLE.search(name) or _SECRET_KEY.search(name))


def scrub(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Hide tokens, keys and the passwords of URLs.

    Args:
        text: a log, a message, a command line.
        environ: variables whose names tell of a secret are hidden by value wherever they stand; by default this
            process's own.
    """
    if not text:
        return text
    for name, value in (os.environ if environ is None else environ).items():
        if len(value) >= _SHORTEST_VALUE and _SECRET_VARIABLE.search(name) and value in text:
            text = text.replace(value, HIDDEN)
    text = _SHAPES.sub(HIDDEN, text)
    text = _URL.sub(rf"\g<scheme>{HIDDEN}@", text)
    text = _BEARER.sub(rf"\g<word>{HIDDEN}", text)
    text = _ASSIGNED.sub(rf"\g<key>{HIDDEN}", text)
    return _PLAIN_TOKEN.sub(rf"\g<key>{HIDDEN}", text)


def scrub_data(value: Any, environ: Mapping[str, str] | None = None) -> Any:
    """A copy of plain data (mappings, lists, strings, numbers) with every text scrubbed, and secret keys' values hidden."""
    if isinstance(value, str):
        return scrub(value, environ)
    if isinstance(value, Mapping):
        return {
            key: HIDDEN
            if isinstance(key, str) and _SECRET_KEY.search(key) and isinstance(item, str) and item
            else scrub_data(item, environ)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [scrub_data(item, environ) for item in value]
    return value
