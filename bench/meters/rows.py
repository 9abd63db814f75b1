"""Rows of the table: for each scenario and length of window, the worst error of each tool over the repetitions."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.meters.measuring import TOOLS, Error

LONG_PERIODS = 50
GOAL = 0.005
WARN_FROM = 0.02
RESOLUTION = 0.0001
"""Errors are told to 0.01 %; within that two tools are equal."""

COLUMNS = (
    "load",
    "counter_period_s",
    "gpus",
    "window_s",
    "windows",
    *(f"{tool}_error_pct" for tool in TOOLS),
    "llem_warnings",
)


@dataclass(frozen=True)
class Row:
    """One row. Errors are shares of the true energy; `warned`: llem warned about each window that was off by 2 %."""

    load: str
    period_s: float
    gpus: int
    window_s: float
    windows: int
    errors: dict[str, float]
    warnings: tuple[str, ...]
    warned: bool = True

    @property
    def long(self) -> bool:
        """The window is at least 50 counter periods long."""
        return self.window_s >= LONG_PERIODS * self.period_s * (1 - 1e-9)

    @property
    def behind(self) -> float:
        """By how much llem's error is above the better of the other two; negative where it is below."""
        return self.errors["llem"] - min(self.errors[tool] for tool in TOOLS[1:])


def rows_of(errors: Sequence[Error]) -> list[Row]:
    """The rows of one scenario."""
    found = []
    for length_s in dict.fromkeys(e.window.length_s for e in errors):
        here = [e for e in errors if e.window.length_s == length_s]
        ours = [e for e in here if e.tool == "llem"]
        found.append(
            Row(
                load=here[0].scenario.load,
                period_s=here[0].scenario.period_s,
                gpus=here[0].scenario.gpus,
                window_s=length_s,
                windows=len(ours),
                errors={tool: max(e.error for e in here if e.tool == tool) for tool in TOOLS},
                warnings=tuple(sorted({code for e in ours for code in e.warnings})),
                warned=all(e.warnings for e in ours if e.error > WARN_FROM),
            )
        )
    return found


def append(file: Path, rows: Iterable[Row]) -> None:
    """Add rows to a CSV file as they come, so that a run that is stopped keeps what it had."""
    new = not file.exists()
    with file.open("a", newline="") as stream:
        writer = csv.writer(stream)
        if new:
            writer.writerow(COLUMNS)
        for row in rows:
            errors = [f"{row.errors[tool] * 100:.4f}" for tool in TOOLS]
            writer.writerow(
                [row.load, row.period_s, row.gpus, row.window_s, row.windows, *errors, " ".join(row.warnings)]
            )


def read(file: Path) -> list[Row]:
    """Rows that `append` wrote."""
    with file.open(newline="") as stream:
        return [
            Row(
                load=line["load"],
                period_s=float(line["counter_period_s"]),
                gpus=int(line["gpus"]),
                window_s=float(line["window_s"]),
                windows=int(line["windows"]),
                errors={tool: float(line[f"{tool}_error_pct"]) / 100 for tool in TOOLS},
                warnings=tuple(line["llem_warnings"].split()),
            )
            for line in csv.DictReader(stream)
        ]
