"""The sampler `file-meter`: a file that something else keeps writing, such as the logger of a wall meter.

It holds one line, `WATTS` or `WATTS JOULES`; the joules are the meter's own cumulative count.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from llem.plugin_api import Device, Reading, SamplerUnavailable

FILE = "FILE_METER"
"""The variable that names the file."""
STALE_S = 10.0
"""A file that was not written for so long says nothing about now."""
ID = "file-meter:0"


class FileMeterSampler:
    """See `llem.plugin_api.Sampler` for what each method must hold."""

    _file: Path | None = None

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        """Look at the file once: what it holds is what it measures."""
        named = os.environ.get(FILE)
        if not named:
            raise SamplerUnavailable("no file is named.", remedy=f"Set {FILE} to the file that your meter writes.")
        file = Path(named)
        told = read_line(file)
        if told is None:
            raise SamplerUnavailable(
                f"{file} holds no line `WATTS` or `WATTS JOULES`, or was not written for {STALE_S:g} s.",
                remedy="Start what writes it.",
            )
        self._file = file
        methods = frozenset({"power"} if told[1] is None else {"power", "counter"})
        return [Device(id=ID, name=f"meter behind {file}", scope="host", methods=methods)]  # type: ignore[arg-type]

    def read(self) -> Sequence[Reading]:
        """The file's word now; nothing where it is stale or half written."""
        if self._file is None:
            return []
        before = time.monotonic_ns()
        told = read_line(self._file)
        t_ns = (before + time.monotonic_ns()) // 2
        return [] if told is None else [Reading(ID, t_ns, energy_j=told[1], power_w=told[0])]

    def environment(self) -> Mapping[str, object]:
        """Facts for the result."""
        return {"file": str(self._file)}

    def close(self) -> None:
        """No file stays open."""
        self._file = None


def read_line(file: Path) -> tuple[float, float | None] | None:
    """Watts, and joules where there are any; None where the file says nothing about now."""
    try:
        if time.time() - file.stat().st_mtime > STALE_S:
            return None
        numbers = [float(word) for word in file.read_text(encoding="ascii").split()]
    except (OSError, ValueError):
        return None
    if len(numbers) not in (1, 2) or any(not 0 <= number < float("inf") for number in numbers):
        return None
    return numbers[0], numbers[1] if len(numbers) == 2 else None
