"""Takes secrets out of text and data before they reach a result, a manifest or a log."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from llem.results.secret_names import WORDS, is_secret_key, is_secret_variable

HIDDEN = "***"
"""The text that stands where a secret stood."""

_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
    r"|\b(?:hf_[A-Za-z0-9]{16,}|api_org_[A-Za-z0-9]{16,}"
    r"|(?:sk|pk|rk)[-_](?:live_|test_|proj-|ant-|or-)?[A-Za-z0-9_-]{16,}|whsec_[A-Za-z0-9+/=]{16,}"
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|gl(?:pat|ptt|rt|dt|cbt)-[A-Za-z0-9_-]{16,}"
    r"|nvapi-[A-Za-z0-9_-]{16,}|(?:gsk|r8|npm|dckr_pat|dop_v1|lsv2_pt|lsv2_sk|wandb_v1|tgp_v1)_[A-Za-z0-9_-]{16,}"
    r"|xox[abeprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{16,}|hooks\.slack\.com/[A-Za-z0-9/_-]{16,}"
    r"|discord(?:app)?\.com/api/webhooks/[A-Za-z0-9/_-]{16,}|\d{8,10}:AA[A-Za-z0-9_-]{32,}"
    r"|A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16}\b"
    r"|AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{16,}|GOCSPX-[A-Za-z0-9_-]{16,}"
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|hvs\.[A-Za-z0-9_-]{16,}|pypi-[A-Za-z0-9_-]{32,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)",
    re.DOTALL,
)
"""Keys that give themselves away by how they begin."""

_URL = re.compile(r"(?<=[A-Za-z0-9]):(?://[^\s/@'\"<>?#]+|/[^\s/@:'\"<>?#]+:[^\s/@'\"<>?#]+)@")
"""With one slash where a path was made of an address."""
_QUERY = re.compile(
    r"(?P<key>[?&](?:token|key|sig|signature|auth|code|X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token))=)"
    r"(?=[^\s&#\"']{8})[^\s&#\"']+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<word>\b(?:bearer|basic)\s+)[A-Za-z0-9+/._~=-]{8,}", re.IGNORECASE)
_HEADER = re.compile(
    r"(?P<key>\b(?:authorization[\"']?\s*[:=]\s*[\"']?(?:[A-Za-z][\w-]*\s+(?=\S))?|(?:set-)?cookie[\"']?\s*:\s*[\"']?))"
    r"(?P<value>[^\s\"'][^\n\"']*)",
    re.IGNORECASE,
)
"""A header's value goes on to the end of its line, with a scheme's name before it or without."""

_NETRC = re.compile(
    r"(?P<key>\blogin\s{1,80}\S{1,200}\s{1,80}(?:account\s{1,80}\S{1,200}\s{1,80})?password\s{1,80})\S+", re.IGNORECASE
)
_ASSIGNED = re.compile(
    # Lengths are bounded: a pattern that begins anew at each character would take hours for a long line.
    r"(?P<name>(?:pass|pwd|secret|credential|authorization|token|key)[A-Za-z0-9_-]{0,64})(?P<sign>[\"']?\s{0,80}[=:]\s{0,80})"
    r"(?!(?:bearer|basic)\b)(?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s,;&\"'}\])]+)",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"[A-Za-z0-9_.-]{0,64}\Z")

_OPTION = re.compile(
    r"(?P<key>(?<![\w-])--?(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:[\"']?,\s*[\"']|[\"']?\s+[\"']?))(?P<value>(?!-)[^\s\"',;]+)"
)
"""`--api-key VALUE`, also as a list of arguments is printed."""

_SHORT_OPTION = re.compile(
    r"(?P<key>\b(?:sshpass\s+-p\s*|curl\b[^\n|;&]{0,200}?\s(?:-u|--user)\s+[\"']?[^\s:\"']+:|(?:mysql|mysqldump|mysqladmin)\b[^\n|;&]{0,200}?\s-p(?=\S)))"
    r"[\"']?[^\s\"']+"
)
"""Programs whose short option is known to be a password."""

_PROSE = frozenset(WORDS["prose"])
"""A word that goes on with a sentence about an option, and is not its value."""

_PLAIN_TOKEN = re.compile(
    r"(?P<key>(?<![A-Za-z0-9_])token[\"']?\s*[=:]\s*[\"']?)(?=[A-Za-z_.-]*\d)(?![\d.]+\b)[A-Za-z0-9_.-]{12,}",
    re.IGNORECASE,
)
"""`token` alone also means a piece of text: its value must look like a key (long, with a digit, no number)."""

_NUMBER = re.compile(r"[-+]?[\d.,_]+(?:[eE][-+]?\d+)?")
_SHORTEST_VALUE = 8
"""An environment variable's value shorter than this is left alone: hiding `1` everywhere would hide figures."""


tells_a_secret = is_secret_variable
"""True for a variable or key whose name says that its value is a secret."""


def scrub(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Hide tokens, keys and the passwords of URLs.

    Args:
        text: a log, a message, a command line.
        environ: variables whose names tell of a secret are hidden by value wherever they stand; by default this
            process's own.
    """
    return _scrubbed(text, _secrets(environ)) if text else text


def _secrets(environ: Mapping[str, str] | None) -> list[str]:
    """The values to hide: all variables are looked through once for a whole result, and not for each of its texts."""
    variables = (os.environ if environ is None else environ).items()
    return [value for name, value in variables if len(value) >= _SHORTEST_VALUE and is_secret_variable(name)]


def _scrubbed(text: str, secrets: Sequence[str]) -> str:
    for value in secrets:
        text = text.replace(value, HIDDEN)
    text = _SHAPES.sub(HIDDEN, text)
    text = _URL.sub(f"://{HIDDEN}@", text)
    text = _QUERY.sub(rf"\g<key>{HIDDEN}", text)
    text = _HEADER.sub(rf"\g<key>{HIDDEN}", text)
    text = _BEARER.sub(rf"\g<word>{HIDDEN}", text)
    text = _NETRC.sub(rf"\g<key>{HIDDEN}", text)
    text = _ASSIGNED.sub(_without_value, text)
    text = _OPTION.sub(_without_argument, text)
    text = _SHORT_OPTION.sub(rf"\g<key>{HIDDEN}", text)
    return _PLAIN_TOKEN.sub(rf"\g<key>{HIDDEN}", text)


def _without_value(match: re.Match[str]) -> str:
    value = match["value"]
    # The name goes on to the left: a search for it would begin anew at every word.
    before = _BEFORE.search(match.string[max(0, match.start() - 64) : match.start()])
    name = (before[0] if before else "") + match["name"]
    hidden = f"{match['name']}{match['sign']}{HIDDEN}"
    if is_secret_key(name):
        return hidden
    # TOKEN_X=… and X_KEY=… are variables only where they are written as such, and hold no figure.
    looks_so = name.isupper() and "=" in match["sign"] and len(value) >= _SHORTEST_VALUE
    if looks_so and is_secret_variable(name) and not _NUMBER.fullmatch(value.strip("\"'")):
        return hidden
    return match[0]


def _without_argument(match: re.Match[str]) -> str:
    if not _takes_a_secret(match["name"]) or match["value"].lower().rstrip(".:)") in _PROSE:
        return match[0]
    return f"{match['key']}{HIDDEN}"


def _takes_a_secret(option: str) -> bool:
    return is_secret_key(option) or option.lower() in ("token", "pass")


def scrub_data(value: Any, environ: Mapping[str, str] | None = None) -> Any:
    """A copy of plain data (mappings, lists, strings, numbers) with every text scrubbed, and secret keys' values hidden."""
    return _scrubbed_data(value, _secrets(environ))


def _scrubbed_data(value: Any, secrets: Sequence[str]) -> Any:
    if isinstance(value, str):
        return _scrubbed(value, secrets) if value else value
    if isinstance(value, Mapping):
        return {
            key: HIDDEN
            if isinstance(key, str) and isinstance(item, str) and item and is_secret_key(key)
            else _scrubbed_data(item, secrets)
            for key, item in value.items()
        }
    return _scrubbed_arguments(value, secrets) if isinstance(value, list | tuple) else value


def _scrubbed_arguments(items: Sequence[Any], secrets: Sequence[str]) -> list[Any]:
    """A list may be a command line: what follows an option that takes a secret is hidden."""
    found: list[Any] = []
    for number, item in enumerate(items):
        before = items[number - 1] if number else ""
        follows = isinstance(before, str) and before.startswith("--") and isinstance(item, str) and item[:1] != "-"
        is_value = follows and _takes_a_secret(before.lstrip("-"))
        found.append(HIDDEN if is_value else _scrubbed_data(item, secrets))
    return found
