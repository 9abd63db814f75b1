"""Names out of a study where another place allows fewer: as folders, and as parameters of a tracking store.

A text that is such a name stays as it is. Of another one what can be kept is kept, with the beginning of its hash behind it, so
that two texts never share a name.
"""

from __future__ import annotations

import hashlib
import re

_LONGEST_FOLDER, _LONGEST_PARAMETER = 80, 240
_NO_FOLDER = re.compile(r"[^A-Za-z0-9._=,@ -]")
_NO_PARAMETER = re.compile(r"[^\w. :/-]")


def folder_name(text: str) -> str:
    """A name that is one folder below another: no separator, no `..`, no control character, nothing hidden."""
    return _distinct(text, _NO_FOLDER.sub("_", text)[:_LONGEST_FOLDER].strip(" ."))


def parameter_name(text: str) -> str:
    """A name that MLflow takes for a parameter, a metric or a tag: letters, digits, `_-. :/`, and no path that leads anywhere else."""
    parts = _NO_PARAMETER.sub("_", text)[:_LONGEST_PARAMETER].split("/")
    return _distinct(text, "/".join(part for part in parts if part not in ("", ".", "..")))


def _distinct(text: str, kept: str) -> str:
    if kept and kept == text:
        return text
    return f"{kept or '_'}-{hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()[:8]}"
