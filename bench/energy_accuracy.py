"""The distance of energy figures from the truth: llem, Zeus and CodeCarbon on one simulated NVML, in the same windows.

Each tool runs in a process of its own and measures the same cards at the same time; the simulator knows the exact energy.
Every tool is judged by two rules: between the edges that it states, and between the instants that were asked for.
The rows go to a CSV file beside the JSON as they come. `--docs` writes table and picture into docs/ from the kept rows.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.meters import page, rivals
from bench.meters.measuring import TOOLS, WARM_S, Run
from bench.meters.rows import GOAL, Row, append, read, rows_of
from bench.meters.scenarios import Scenario, scenarios
from bench.report import Figure, arguments, machine, publish

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "bench" / "results" / "energy_accuracy_rows.csv"
STAGGER_S = 0.37
"""Scenarios that run at one time begin apart, so that they do not all wait for a tick at once."""

ALONE = ("bursts", 0.02, 1)
"""Load, counter period and cards of the scenario that is measured a second time by itself: do others disturb it?"""


def run_together(batch: list[Scenario], library: Path, folder: Path, quick: bool, out: Path | None) -> list[Row]:
    """Scenarios at one time; they share the wall clock and, with enough cores, nothing else."""
    found = []
    with ExitStack() as stack:
        runs = []
        for i, scenario in enumerate(batch):
            own = folder / f"{i}"
            own.mkdir(parents=True)
            runs.append(stack.enter_context(Run(scenario, library, own, quick)))
        for run in runs:
            run.await_ready()
        start_ns = time.monotonic_ns() + round(WARM_S * 1e9)
        for i, run in enumerate(runs):
            run.begin(start_ns + round(i * STAGGER_S * 1e9))
        for run in runs:
            rows = rows_of(run.measured())
            page.show(rows)
            if out is not None:
                append(out, rows)
            found += rows
    return found


def figures(rows: list[Row], alone: list[Row]) -> dict[str, Figure]:
    """The figures of all rows, and of those of one scenario that was measured again by itself."""
    long = [row for row in rows if row.long]
    windows, long_windows = sum(row.windows for row in rows), sum(row.windows for row in long)
    compared = [row for row in rows if not row.at_bound]
    found = {
        "worst_error_pct": Figure(max(row.own["llem"] for row in long) * 100, "%", long_windows, None),
        "rows": Figure(len(rows), "1", windows, None),
        "rows_within_goal": Figure(sum(row.own["llem"] <= GOAL for row in long), "1", len(long), None),
        "rows_behind": Figure(sum(row.behind for row in rows), "1", len(compared), None),
        "rows_at_bound": Figure(len(rows) - len(compared), "1", len(rows), None),
        "rows_warned_or_within_2_pct": Figure(sum(row.warned for row in rows), "1", len(rows), None),
    }
    for tool in TOOLS[1:]:
        found[f"{tool}_worst_error_pct"] = Figure(max(row.own[tool] for row in long) * 100, "%", long_windows, None)
    for tool in TOOLS:
        found[f"{tool}_asked_error_pct"] = Figure.of([row.asked[tool] * 100 for row in rows], "%")
    found["latest_call_ms"] = Figure(max(row.late_ms for row in rows), "ms", 6 * windows, None)
    found["late_row_ms"] = Figure.of([row.late_ms for row in rows], "ms")
    if alone:
        same = [row for row in rows if (row.load, row.period_s, row.gpus) == ALONE]
        for name, those in (("together", same), ("alone", alone)):
            found[f"late_row_ms_{name}"] = Figure.of([row.late_ms for row in those], "ms")
            for tool in TOOLS:
                found[f"{tool}_asked_error_pct_{name}"] = Figure.of([row.asked[tool] * 100 for row in those], "%")
    return found


def main() -> None:
    """Run the scenarios, a few at a time."""
    parser = arguments(__doc__)
    parser.add_argument("--docs", action="store_true", help="only write docs/method/accuracy.md and its picture anew")
    parser.add_argument("--jobs", type=int, default=3, help="scenarios at one time (default 3)")
    parser.add_argument("--only", metavar="PATTERN", default="", help="only scenarios whose name matches this")
    options = parser.parse_args()
    if options.docs:
        page.write(read(KEPT), ROOT / "docs")
        return
    sys.path.insert(0, str(ROOT / "tests"))
    from sim import nvml

    rivals.python()
    where = machine()
    out = options.json and options.json.with_name(f"{options.json.stem}_rows.csv")
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.unlink(missing_ok=True)
    todo = [scenario for scenario in scenarios(options.quick) if re.search(options.only, scenario.name)]
    rows: list[Row] = []
    page.show_head()
    with tempfile.TemporaryDirectory() as folder:
        library = nvml.build(Path(folder))
        for first in range(0, len(todo), options.jobs):
            batch = todo[first : first + options.jobs]
            rows += run_together(batch, library, Path(folder) / f"batch{first}", options.quick, out)
        alone: list[Row] = []
        again = [one for one in todo if (one.load, one.period_s, one.gpus) == ALONE]
        if again and options.jobs > 1:
            print("\nby itself:")
            alone = run_together(again, library, Path(folder) / "alone", options.quick, None)
    page.show_misses(rows)
    publish("energy_accuracy", where, figures(rows, alone), options.json)


if __name__ == "__main__":
    main()
