"""Values read from a file, held to the types that a dataclass declares: whoever wrote the file may be a stranger."""

from __future__ import annotations

from pydantic import ConfigDict, ValidationError

EXACT = ConfigDict(strict=True)
"""Of a dataclass whose values are of its very types: `1` is no text, and `true` no number."""


def problem_of(error: Exception) -> str:
    """The matter with what was read, on one line; of several values the first."""
    if not isinstance(error, ValidationError):
        return str(error)
    first, others = error.errors(include_url=False)[0], error.error_count() - 1
    key = ".".join(str(part) for part in first["loc"])
    return f"`{key}`: {first['msg']}{f' (and {others} more)' if others else ''}"
