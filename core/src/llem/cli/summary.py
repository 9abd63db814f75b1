"""A study as a whole, in words: how many experiments ended how, what failed, what to do next. Nothing here looks at a figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.cli.next_step import next_step
from llem.errors import FAILED_EXPERIMENTS, ResultError, help_url
from llem.results.store import SEARCH, read_object
from llem.results.text import PARAGRAPH, one_line

MOST_FAILURES = 20
"""Number of failures that are listed before the rest is only counted."""


def study_head(folder: Path, name: str, state: str | None, counts: Mapping[str, int]) -> dict[str, Any]:
    """The study as a whole, as plain data for `--json`.

    Args:
        state: None where its manifest is lost.
        counts: of experiments in all, and by state.
    """
    return {
        "study": name,
        "directory": str(folder),
        "state": state,
        "counts": dict(counts),
        "next": next_step(folder, state, counts),
        "help": help_url(FAILED_EXPERIMENTS) if counts.get("failed") else None,
        "search": _search(folder),
    }


def _search(folder: Path) -> dict[str, Any] | None:
    """The answer of a study that searches; None where there is none, or none that can be read."""
    try:
        return read_object(folder / SEARCH, "answer")
    except ResultError:
        return None


def first_line(head: Mapping[str, Any]) -> str:
    """The study's name and state, and how many of its experiments ended how."""
    counts = dict(head["counts"])
    total = counts.pop("experiments")
    found = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if count)
    state = f", {head['state']}" if head["state"] else ""
    return f"{head['study']}{state}: {total} experiment{'s' * (total != 1)}, {found or 'none has ended'}"


def failure_lines(failures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each failure: its `directory`, `type`, `phase` and `message`."""
    for failure in failures[:MOST_FAILURES]:
        phase = f" in {failure['phase']}" if failure["phase"] else ""
        yield f"failed: {failure['directory']}: {failure['type']}{phase}: {one_line(failure['message'] or '', PARAGRAPH)}"
    if len(failures) > MOST_FAILURES:
        yield f"failed: … and {len(failures) - MOST_FAILURES} more"


def last_lines(head: Mapping[str, Any]) -> list[str]:
    """The answer of a search, and what to do next."""
    lines = []
    said = head["search"].get("said") if head["search"] else None
    if isinstance(said, list):
        lines += ["", *(one_line(str(text), PARAGRAPH) for text in said)]
    if head["next"]:
        lines += ["", f"{'run again what failed' if head['state'] == 'complete' else 'go on'}: {head['next']}"]
    if head["help"]:
        lines += [*([] if head["next"] else [""]), f"why experiments fail: {head['help']}"]
    return lines
