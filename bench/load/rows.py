"""A row for each run of a tool, and the file of rows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from bench.load.judging import LATENCIES, Judged, Told, percentile
from bench.load.load import Load
from bench.load.seen import Account

Way = Literal["packets", "http"]

HELD = 0.98
"""A rate is held where requests arrive at this share of it, and none fails."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run. None is what the tool does not tell, or what has no meaning there.

    Attributes:
        tool: who put the load; way: `packets` or `http`.
        arrival, asked_rps: the load that was asked for; repeat: which run of it, from 1; words: of each token's text.
        requests, failed: that arrived, and that failed by the tool's account; rate_rps: at which they arrived.
        release_p50_ms, release_p99_ms, release_max_ms: behind the tool's own schedule, by the receiver's clock.
        grid_p50_ms, grid_p99_ms, grid_max_ms: behind the evenly spaced instants of a constant rate.
        gaps_ks, ks_critical: distance of the gaps from those asked for, and the one that 5 % of true processes exceed.
        ttft_error_p50_ms and so on: distance of the percentile that the tool tells from the true one.
        tpot_ratio: told / true of the median.
        server_sends_late_ms, server_reads_late_ms: of the server itself (p99); server_cpu: cores that it used.
        machine_ms: how late a thread that only sleeps was meanwhile (p99).
        seconds: of the tool's whole run, start and end included.
    """

    tool: str
    way: Way
    arrival: str
    asked_rps: float
    repeat: int
    words: int
    requests: int
    failed: int
    rate_rps: float
    release_p50_ms: float | None
    release_p99_ms: float | None
    release_max_ms: float | None
    grid_p50_ms: float | None
    grid_p99_ms: float | None
    grid_max_ms: float | None
    gaps_ks: float | None
    ks_critical: float | None
    ttft_error_p50_ms: float | None
    ttft_error_p99_ms: float | None
    itl_error_p50_ms: float | None
    itl_error_p99_ms: float | None
    tpot_error_p50_ms: float | None
    tpot_error_p99_ms: float | None
    tpot_ratio: float | None
    server_sends_late_ms: float
    server_reads_late_ms: float
    server_cpu: float
    machine_ms: float | None
    seconds: float

    @property
    def is_held(self) -> bool:
        """The asked rate was reached, and nothing failed."""
        return self.rate_rps >= HELD * self.asked_rps and self.failed == 0


def row_of(
    tool: str,
    way: Way,
    load: Load,
    repeat: int,
    told: Told,
    judged: Judged,
    account: Account,
    seconds: float,
    machine_ms: float | None = None,
) -> Row:
    """The row of a run that was judged."""
    errors = {
        f"{name}_error_p{percent}_ms": judged.error_ms.get(name, {}).get(percent)
        for name in LATENCIES
        for percent in (50, 99)
    }
    return Row(
        tool=tool,
        way=way,
        arrival=load.arrival,
        asked_rps=load.rate_rps,
        repeat=repeat,
        words=load.words,
        requests=judged.requests,
        failed=told.failed,
        rate_rps=judged.rate_rps,
        gaps_ks=judged.gaps_ks,
        ks_critical=judged.ks_critical,
        tpot_ratio=judged.ratio.get("tpot"),
        server_sends_late_ms=judged.server_sends_late_ms,
        server_reads_late_ms=judged.server_reads_late_ms,
        server_cpu=account.cpu_share,
        machine_ms=machine_ms,
        seconds=seconds,
        **_three("release", judged.release_ms),
        **_three("grid", judged.grid_ms),
        **errors,
    )


def _three(name: str, late_ms: Sequence[float] | None) -> dict[str, float | None]:
    return {
        f"{name}_p50_ms": None if late_ms is None else percentile(late_ms, 50),
        f"{name}_p99_ms": None if late_ms is None else percentile(late_ms, 99),
        f"{name}_max_ms": None if late_ms is None else max(late_ms),
    }


def write(file: Path, rows: Sequence[Row]) -> None:
    """Write them as CSV, six digits each."""
    with file.open("w", newline="") as out:
        table = csv.DictWriter(out, [one.name for one in fields(Row)], lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({name: f"{v:.6g}" if isinstance(v, float) else v for name, v in asdict(row).items()})
