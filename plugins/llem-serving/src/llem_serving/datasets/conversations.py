"""Conversations of a file as sessions: JSON Lines with `messages`, or ShareGPT's `conversations` in an array or in lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import DatasetError
from llem_serving.datasets.json_records import JsonRecords
from llem_serving.datasets.sessions import Session
from llem_serving.datasets.turns import UnusableError, turns_of


@dataclass(frozen=True, kw_only=True)
class Conversations:
    """All conversations of a file.

    Attributes:
        sessions: in the order of the file.
        sha256: of the file.
        notes: sentences on conversations that were left out, with their number.
    """

    sessions: tuple[Session, ...]
    sha256: str
    notes: tuple[str, ...] = ()


def read_conversations(path: Path) -> Conversations:
    """Read every conversation.

    A record that is not of its form is an error. One that is well formed and cannot be replayed (it begins with an answer, two
    answers follow one another, a question is empty), as published sets have thousands of, is left out and told.

    Args:
        path: the file, up to 4 GiB; it is read one record at a time.

    Raises:
        DatasetError: it cannot be read, a record is faulty (named with its line), or none is left.
    """
    records = JsonRecords(path)
    sessions: list[Session] = []
    left_out: Counter[str] = Counter()
    for line, record in records:
        try:
            sessions.append(Session(_id_of(record, line), turns_of(record)))
        except UnusableError as error:
            left_out[str(error)] += 1
        except ValueError as error:
            raise DatasetError(
                f"the record that begins here cannot be used: {error}.",
                where=f"{path}:{line}",
                remedy="Correct it or remove it: none is skipped in silence.",
            ) from error
    if not sessions:
        raise DatasetError(
            "it has no conversation with a question.",
            where=str(path),
            remedy='Give records such as {"messages": [{"role": "user", "content": "…"}, …]}.',
        )
    notes = tuple(
        f"{count:,} conversations of {path.name} {why}; they were left out." for why, count in left_out.items()
    )
    return Conversations(sessions=tuple(sessions), sha256=records.sha256, notes=notes)


def _id_of(record: Any, line: int) -> str:
    found = record.get("id") if isinstance(record, dict) else None
    return found if isinstance(found, str) and found else str(line)
