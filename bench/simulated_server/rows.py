"""Rows of the comparison: one figure at one load, with its errors against both truths."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

Truth = Literal["server", "path"]
TRUTHS: Sequence[Truth] = ("server", "path")

OF_OBJECTIVES = ("good_tokens", "j_per_good_token")
"""Figures that rest on which requests keep the objectives, each told by itself."""

GROUPS = ("energy", "throughput", "goodput", *OF_OBJECTIVES, "ttft", "tpot", "itl", "e2e")
"""Figures that are told together: worst and median error of each."""

NOT_JUDGED = frozenset({"goodput", *OF_OBJECTIVES})
"""One request of a few hundred that passes a limit by a hair is more than any goal."""

GOAL_SHARE: Mapping[str, float] = {"energy": 0.005}
"""Relative error that is aimed at; of the others 1 %."""

GOAL_S = 0.002
"""Latencies may be off by so much where that is more than 1 %."""


@dataclass(frozen=True)
class Row:
    """One figure of one run.

    Attributes:
        where: `sockets` or `in_process`.
        rate_rps: requests per second that were asked for.
        name: such as `energy_j` or `ttft_p90`.
        llem: what the result has.
        server: what follows from the server's own journal: arrivals as drawn, tokens as they were sent.
        path: what follows from the arrivals alone, through the server in virtual time.
        others_share: of the machine's processor time, used by others meanwhile.
    """

    where: str
    rate_rps: float
    name: str
    llem: float
    server: float
    path: float
    others_share: float = 0.0

    @property
    def group(self) -> str:
        """One of `GROUPS`."""
        if self.name in OF_OBJECTIVES:
            return self.name
        if self.name in ("energy_j", "goodput_rps"):
            return self.name.partition("_")[0]
        return "throughput" if self.name.endswith("_s") or self.name.endswith("_rps") else self.name.partition("_")[0]

    @property
    def is_latency(self) -> bool:
        """True where it is in seconds."""
        return self.group in ("ttft", "tpot", "itl", "e2e")

    def off(self, truth: Truth) -> float:
        """Distance from the truth, in the figure's unit."""
        return abs(self.llem - self._true(truth))

    def error(self, truth: Truth) -> float:
        """Relative error; 0 where both are 0."""
        true = self._true(truth)
        return self.off(truth) / true if true else float(self.llem != 0)

    def keeps_goal(self, truth: Truth) -> bool:
        """True where the error is no larger than what is aimed at."""
        return self.error(truth) <= GOAL_SHARE.get(self.group, 0.01) or (self.is_latency and self.off(truth) <= GOAL_S)

    def _true(self, truth: Truth) -> float:
        return self.server if truth == "server" else self.path


def rows_of(
    where: str,
    rate_rps: float,
    told: Mapping[str, float | None],
    server: Mapping[str, float],
    path: Mapping[str, float],
    others_share: float = 0.0,
) -> list[Row]:
    """A row for each figure that llem gives."""
    return [
        Row(where, rate_rps, name, value, server[name], path[name], others_share)
        for name, value in told.items()
        if value is not None
    ]


def write(rows: Sequence[Row], file: Path) -> None:
    """All rows as CSV."""
    with file.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(field.name for field in fields(Row))
        writer.writerows(astuple(row) for row in rows)
