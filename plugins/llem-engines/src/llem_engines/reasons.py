"""The reason out of an engine's error, short enough for one paragraph."""

from __future__ import annotations


def reason_of(error: BaseException) -> str:
    """The first line of an error's text that says something; pydantic's errors begin with a count."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and "validation error" in lines[0] and len(lines) > 1:
        lines = lines[1:]
    return (lines[0] if lines else type(error).__name__).partition(" [type=")[0].rstrip(".")
