"""Output that comes from a node while an experiment runs, written into its job directory."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path

from llem.plugin_api import EVENTS, LOG
from llem_ray.mailbox import Parcel
from llem_ray.messages import MOST_OUTPUT

_NAMES = {"events": EVENTS, "log": LOG}


class Outbox:
    """Appends output of the attempt that counts.

    Args:
        directory: the job directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._offsets = {"events": 0, "log": 0}

    def write(self, parcel: Parcel) -> None:
        """Append a piece of events or log. Raises OSError where the folder cannot be written."""
        kind = parcel.kind
        if kind not in _NAMES or self._offsets[kind] + len(parcel.data) > MOST_OUTPUT:
            return
        missed = parcel.offset - self._offsets[kind]
        if missed < 0:
            return  # repeated
        with (self._directory / _NAMES[kind]).open("ab") as stream:
            if missed and kind == "log":
                stream.write(f"\nllem: {missed} bytes of output were lost on the way\n".encode())
            stream.write(parcel.data)
        self._offsets[kind] = parcel.offset + len(parcel.data)

    def begin_anew(self, number: int, why: str) -> None:
        """Another attempt begins: its events replace those of the lost one, whose log is kept under another name.

        Args:
            number: of the attempt that was lost, from 1.
            why: what became of it, a sentence.
        """
        self._offsets = {"events": 0, "log": 0}
        event = {
            "t_ns": time.monotonic_ns(),
            "event": "message",
            "level": "warning",
            "code": "attempt_lost",
            "text": why,
        }
        # Another file under the same name, so that whoever reads along sees that it is another.
        fresh = self._directory / f".{EVENTS}.part"
        fresh.write_text(json.dumps(event) + "\n", encoding="utf-8")
        fresh.replace(self._directory / EVENTS)
        with suppress(FileNotFoundError):
            (self._directory / LOG).replace(self._directory / f"worker.attempt-{number}.log")
