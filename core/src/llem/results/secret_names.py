"""Names that say their value is a secret: of variables, keys, headers and options, in any spelling."""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

WORDS: dict[str, list[str]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
"""Lists of words, each explained in `secret_names.toml`."""

_ENDS = tuple(WORDS["ends"])
_GROWN = frozenset(WORDS["grown_together"])
_BEFORE_KEY = frozenset(WORDS["before_key"])
_BESIDE_TOKEN = frozenset(WORDS["beside_token"])
_PLACES = frozenset(WORDS["of_no_secret"])

_COMMON = re.compile(r"pass|pwd|passwd|secret|credential|authorization|token|key", re.IGNORECASE)
"""Every such name has one of these; most names have none."""


def words_of(name: str) -> list[str]:
    """The words of a name in lower case: `api`, `key` for API_KEY, api-key and apiKey alike."""
    return [word.lower() for word in _WORD.findall(name)]


@lru_cache(4096)
def is_secret_key(name: str) -> bool:
    """True where a key of data, a header or an option names a secret. `token` alone is a piece of text, `key` alone any key."""
    if not _COMMON.search(name):
        return False
    words = words_of(name)
    if not words or words[-1] in _PLACES:
        return False
    if any(word.endswith(_ENDS) or word in _GROWN for word in words):
        return True
    pairs = list(pairwise(words))
    if any(second == "key" and first in _BEFORE_KEY for first, second in pairs) or ("key", "base") in pairs:
        return True
    if any({"token"} < {*pair} and {*pair} & _BESIDE_TOKEN for pair in pairs):
        return words[-1] == "token" or words[0] == "token"
    return len(words) > 1 and words[-1] in ("pwd", "pass") and words[0] not in ("old", "first", "second")


@lru_cache(4096)
def is_secret_variable(name: str) -> bool:
    """True where an environment variable names a secret: those of `is_secret_key`, and every …_TOKEN, TOKEN_…, …_KEY and …PASS."""
    if is_secret_key(name):
        return True
    words = words_of(name) if _COMMON.search(name) else []
    if not words or words[-1] in _PLACES:
        return False
    return words[-1] in ("token", "key", "pass") or (words[0] == "token" and len(words) == 2)
