"""Runs of tools, each at a server of its own, judged and kept."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.load.judging import Told, judge
from bench.load.load import Load
from bench.load.process import ToolFailedError
from bench.load.rows import Row, Way, row_of, write
from bench.load.seen import Account, serving
from bench.load.sleeper import Sleeper

Tool = Callable[[Load, Account, Path], Told]
"""Puts a load to a server, with an empty folder to work in."""

OWN = "llem"
"""The tool whose failure ends the benchmark."""


@dataclass
class Trials:
    """The runs so far.

    Attributes:
        file: where the rows are kept as they come; None: nowhere.
        rows: of the runs that came to an end.
        failures: what ended the others, by tool, arrival and rate.
    """

    file: Path | None = None
    rows: list[Row] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def take(self, name: str, way: Way, tool: Tool, load: Load, repeat: int) -> Row | None:
        """One run; None where the tool failed, which is kept too."""
        what = f"{name} by {way}, {load.arrival} {load.rate_rps:g}/s"
        try:
            row = _taken(name, way, tool, replace(load, seed=repeat), repeat)
        except ToolFailedError as error:
            if name == OWN:
                raise
            self.failures[what] = str(error)
            print(f"{what}: failed: {error}", flush=True)
            return None
        self.rows.append(row)
        if self.file is not None:
            write(self.file, self.rows)
        if load.words > 1:
            what += f", {load.words} words a token"
        late_ms = row.release_p99_ms if row.release_p99_ms is not None else row.grid_p99_ms
        late = "" if late_ms is None else f", p99 {late_ms:.3g} ms late"
        print(
            f"{what}: {row.rate_rps:.4g}/s{late}; a bare sleep {row.machine_ms or 0:.3g} ms ({row.seconds:.0f} s)",
            flush=True,
        )
        return row


def _taken(name: str, way: Way, tool: Tool, load: Load, repeat: int) -> Row:
    with tempfile.TemporaryDirectory(prefix="load") as folder:
        with serving(Path(folder), load.words) as account, Sleeper() as sleeper:
            start = time.monotonic()
            told = tool(load, account, Path(folder))
            seconds = time.monotonic() - start
        judged = judge(account.requests, told, load.arrival, load.rate_rps)
    machine_ms = sleeper.p99_ms(judged.first_ns, judged.last_ns)
    return row_of(name, way, load, repeat, told, judged, account, seconds, machine_ms)
