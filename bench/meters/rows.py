"""Rows of the table: for each scenario and length of window, how the tools stand by both rules."""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bench.meters.measuring import TOOLS, Measured
from bench.meters.scenarios import Scenario
from bench.report import Figure

LONG_PERIODS = 50
GOAL = 0.001
"""Between its own edges llem is to be no further off, in windows of so many counter periods and more."""

WARN_FROM = 0.02
RESOLUTION = 0.0001
"""Errors are told to 0.01 %; within that two tools are equal."""

POLL_S = 0.0001
"""A tick is seen between two readings of the counter; no tool here reads it more often."""

POWER_EVERY_S = 0.001
"""No tool here reads power more often around an instant."""


@dataclass(frozen=True)
class Row:
    """One line of the file. Errors are shares of the true energy, by tool.

    Attributes:
        windows: how many there were; none is left out.
        own: the worst error between the tool's own edges.
        asked: the median error between the instants that were asked for; `asked_worst`: the worst.
        excess: median over the windows of llem's error there less the smaller one of the others.
        excess_half: half-width of the 95 % interval of that median.
        bound: what no tool can be held to between ticks, see `bound_of`.
        late_ms: the worst delay of a call at an instant, by the busy machine, of any tool.
        moved_ms: how far llem's own edges lie from the instants, at most.
        warnings: codes that llem warned about; `warned`: it did so in each window whose own error is above 2 %.
    """

    load: str
    period_s: float
    gpus: int
    window_s: float
    windows: int
    own: dict[str, float]
    asked: dict[str, float]
    asked_worst: dict[str, float]
    excess: float
    excess_half: float
    bound: float
    late_ms: float
    moved_ms: float
    warnings: tuple[str, ...] = ()
    warned: bool = True

    @property
    def long(self) -> bool:
        """The window is at least 50 counter periods long."""
        return self.window_s >= LONG_PERIODS * self.period_s * (1 - 1e-9)

    @property
    def at_bound(self) -> bool:
        """All tools are as near as anybody can be: nothing is to be compared."""
        return all(self.asked[tool] <= self.bound for tool in TOOLS)

    @property
    def behind(self) -> bool:
        """Between the instants that were asked for llem is further off than the better of the others."""
        return not self.at_bound and self.excess > max(RESOLUTION, self.excess_half)


def median_half_width(values: Sequence[float]) -> float:
    """Half-width of the median's 95 % interval; infinite where there are too few values for one."""
    half = Figure.of(values, "1").spread
    return math.inf if half is None else half


def bound_of(scenario: Scenario, joules: float) -> float:
    """Largest error that a figure can have, for all that is known between ticks, as a share of these true joules.

    At each edge the tick is known to half a pause between readings of the counter, and each jump of power until that
    tick to half a pause between readings of power.
    """
    highest_w, jump_w, apart_s = scenario.steps()
    jumps = 1 + scenario.period_s // apart_s if jump_w else 0
    edge_j = highest_w * POLL_S / 2 + jumps * jump_w * POWER_EVERY_S / 2
    return 2 * edge_j * scenario.gpus / joules


def rows_of(measured: Sequence[Measured]) -> list[Row]:
    """The rows of one scenario."""
    return [
        _row([m for m in measured if m.window.length_s == length_s])
        for length_s in sorted({m.window.length_s for m in measured})
    ]


def _row(here: Sequence[Measured]) -> Row:
    by_tool = {tool: [m for m in here if m.tool == tool] for tool in TOOLS}
    ours, scenario = by_tool["llem"], here[0].scenario
    asked = {tool: [m.asked_error for m in found] for tool, found in by_tool.items()}
    rivals = [min(others) for others in zip(*(asked[tool] for tool in TOOLS[1:]), strict=True)]
    excess = [mine - better for mine, better in zip(asked["llem"], rivals, strict=True)]
    return Row(
        load=scenario.load,
        period_s=scenario.period_s,
        gpus=scenario.gpus,
        window_s=here[0].window.length_s,
        windows=len(ours),
        own={tool: max(m.own_error for m in found) for tool, found in by_tool.items()},
        asked={tool: statistics.median(errors) for tool, errors in asked.items()},
        asked_worst={tool: max(errors) for tool, errors in asked.items()},
        excess=statistics.median(excess),
        excess_half=median_half_width(excess),
        bound=bound_of(scenario, statistics.median(m.true_j for m in ours)),
        late_ms=max(late for m in here for late in m.late_ms),
        moved_ms=max(moved for m in ours for moved in m.moved_ms or ()),
        warnings=tuple(sorted({code for m in ours for code in m.warnings})),
        warned=all(m.warnings for m in ours if m.own_error > WARN_FROM),
    )


def append(file: Path, rows: Iterable[Row]) -> None:
    """Add rows to a CSV file as they come, so that a run that is stopped keeps what it had. Errors are in percent there."""
    lines = [_line(row) for row in rows]
    new = not file.exists()
    with file.open("a", newline="") as stream:
        for line in lines:
            writer = csv.DictWriter(stream, list(line))
            if new:
                writer.writeheader()
                new = False
            writer.writerow(line)


_BY_TOOL = ("own", "asked", "asked_worst")
_SHARES = ("excess", "excess_half", "bound")


def _line(row: Row) -> dict[str, object]:
    line: dict[str, object] = {}
    for field in fields(row):
        value = getattr(row, field.name)
        if field.name in _BY_TOOL:
            line |= {f"{tool}_{field.name}_pct": f"{value[tool] * 100:.4f}" for tool in TOOLS}
        elif field.name in _SHARES:
            line[f"{field.name}_pct"] = f"{value * 100:.5f}"
        elif field.name in ("late_ms", "moved_ms"):
            line[field.name] = f"{value:.2f}"
        else:
            line[field.name] = " ".join(value) if isinstance(value, tuple) else value
    return line


def read(file: Path) -> list[Row]:
    """Rows that `append` wrote."""
    with file.open(newline="") as stream:
        return [_parsed(line) for line in csv.DictReader(stream)]


def _parsed(line: dict[str, str]) -> Row:
    by_tool: dict[str, Any] = {
        name: {tool: float(line[f"{tool}_{name}_pct"]) / 100 for tool in TOOLS} for name in _BY_TOOL
    }
    return Row(
        load=line["load"],
        period_s=float(line["period_s"]),
        gpus=int(line["gpus"]),
        window_s=float(line["window_s"]),
        windows=int(line["windows"]),
        **by_tool,
        **{name: float(line[f"{name}_pct"]) / 100 for name in _SHARES},
        late_ms=float(line["late_ms"]),
        moved_ms=float(line["moved_ms"]),
        warnings=tuple(line["warnings"].split()),
        warned=line["warned"] == "True",
    )
