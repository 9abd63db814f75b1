"""The view for a person: lines on the terminal, the table in the documentation, and the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.meters.measuring import TOOLS
from bench.meters.rows import GOAL, RESOLUTION, Row

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
NAMES = {"llem": "llem", "zeus": "Zeus", "codecarbon": "CodeCarbon"}
COLOURS = {"llem": "#3b6ea8", "zeus": "#c4622d", "codecarbon": "#5b8c5a"}
FLOOR_PCT = 0.001


def show_head() -> None:
    """The head of the terminal's table."""
    print(f"\n{'':<37}{'own edges, worst':>30}{'asked edges, median':>31}")
    names = "".join(f" {NAMES[t]:>10}" for t in TOOLS)
    print(f"{'load':<13} {'counter':>8} {'GPUs':>4} {'window':>7}{names} {names}{'excess':>10}{'late':>9}")


def show(rows: Sequence[Row]) -> None:
    """Rows as they come."""
    for row in rows:
        own, asked = ("".join(f" {errors[tool]:>10.3%}" for tool in TOOLS) for errors in (row.own, row.asked))
        head = f"{row.load:<13} {row.period_s * 1000:>5g} ms {row.gpus:>4} {row.window_s:>5g} s"
        tail = f"{row.excess:>10.3%} ± {row.excess_half:.3%}{row.late_ms:>7.1f} ms"
        print(f"{head}{own} {asked}{tail}  {' '.join(row.warnings)}", flush=True)


def show_misses(rows: Sequence[Row]) -> None:
    """Rows on which a goal is missed, and those where there is nothing to compare."""
    kinds: dict[str, Callable[[Row], bool]] = {
        f"own edges: above {GOAL:.1%} though the window is 50 periods or longer": lambda r: (
            r.long and r.own["llem"] > GOAL
        ),
        "asked edges: behind the better of the others": lambda r: r.behind,
        "asked edges: all tools at the bound, not counted": lambda r: r.at_bound,
        "own edges: off by more than 2 % without a warning": lambda r: not r.warned,
    }
    for what, found_in in kinds.items():
        found = [row for row in rows if found_in(row)]
        print(f"\n{what}: {len(found)} of {len(rows)} rows")
        show(found)


def write(rows: Sequence[Row], docs: Path) -> None:
    """Put table and picture into the documentation."""
    file = docs / "method" / "accuracy.md"
    before, _, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    file.write_text(f"{before}{BEGIN}\n\n{table(rows)}{END}{rest.partition(END)[2]}", encoding="utf-8")
    draw(rows, docs / "images" / "energy_accuracy.svg")


def table(rows: Sequence[Row]) -> str:
    """Errors over all loads by both rules, by counter period, number of cards and length of window."""
    tools = " | ".join(NAMES[t] for t in TOOLS)
    by_rule = f"own edges, worst: {tools} | asked edges, median (worst): {tools}"
    lines = [
        f"| counter period | GPUs | window | periods | {by_rule} | bound |",
        f"|---|---|---|---|{'---|' * len(TOOLS) * 2}---|",
    ]
    for key in sorted({(row.period_s, row.gpus, row.window_s) for row in rows}):
        here = [row for row in rows if (row.period_s, row.gpus, row.window_s) == key]
        period_s, gpus, window_s = key
        own = [_pct(max(row.own[tool] for row in here)) for tool in TOOLS]
        asked = [
            f"{_pct(max(row.asked[tool] for row in here))} ({_pct(max(row.asked_worst[tool] for row in here))})"
            for tool in TOOLS
        ]
        cells = [f"{period_s * 1000:g} ms", gpus, f"{window_s:g} s", f"{window_s / period_s:g}", *own, *asked]
        lines.append(f"| {' | '.join(map(str, cells))} | {_pct(max(row.bound for row in here))} |")
    return "\n".join([*lines, "", _summary(rows), ""])


def _summary(rows: Sequence[Row]) -> str:
    loads = sorted({row.load for row in rows})
    long, bound = [row for row in rows if row.long], [row for row in rows if row.at_bound]
    behind, late = [row for row in rows if row.behind], sorted(row.late_ms for row in rows)
    worst = ", ".join(f"{_pct(max(row.own[tool] for row in long))} ({NAMES[tool]})" for tool in TOOLS)
    ahead = sum(-row.excess > max(RESOLUTION, row.excess_half) for row in rows if not row.at_bound)
    return (
        f"Each line is the worst of {len(loads)} loads ({', '.join(loads)}): {len(rows)} rows of "
        f"{sum(row.windows for row in rows)} windows, at least {min(row.windows for row in rows)} a row. "
        f"**Own edges**: over the {len(long)} rows whose window is 50 counter periods or longer, the worst error is "
        f"{worst}. **Asked edges**: llem is ahead of the better of the other two on {ahead} rows and behind on "
        f"{len(behind)}{_names(behind)}; on the rest the difference is below 0.01 % or within its own 95 % interval. "
        f"All tools are at the bound, and not compared, on {len(bound)} rows{_names(bound)}. A call came up to "
        f"{late[-1]:.1f} ms late because the machine was busy (the median row's latest: {late[len(late) // 2]:.1f} ms); "
        "no window is left out for that."
    )


def _names(rows: Sequence[Row]) -> str:
    named = [f"{row.load}, {row.period_s * 1000:g} ms, {row.gpus} GPUs, {row.window_s:g} s" for row in rows]
    return f" ({'; '.join(named)})" if named else ""


def _pct(share: float) -> str:
    return f"{share * 100:.2f} %"


def draw(rows: Sequence[Row], file: Path) -> None:
    """Median error between asked edges by length of window, a panel for each kind of card; a point for each row."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Drawing

    mpl.rcParams.update({"svg.hashsalt": "llem", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    periods, cards = sorted({row.period_s for row in rows}), sorted({row.gpus for row in rows})
    drawing = Drawing(figsize=(3.1 * len(periods), 2.5 * len(cards)), layout="constrained")
    panels = drawing.subplots(len(cards), len(periods), sharex=True, sharey=True, squeeze=False)
    for line, gpus in zip(panels, cards, strict=True):
        for axis, period_s in zip(line, periods, strict=True):
            here = [row for row in rows if (row.period_s, row.gpus) == (period_s, gpus)]
            for offset, tool in zip((0.94, 1.0, 1.06), TOOLS, strict=True):
                xs = [row.window_s * offset for row in here]
                ys = [max(row.asked[tool] * 100, FLOOR_PCT) for row in here]
                axis.plot(xs, ys, "o", ms=3.5, alpha=0.75, color=COLOURS[tool], label=NAMES[tool], mew=0)
            axis.axvline(50 * period_s, color="grey", lw=0.8, ls=":")
            axis.set(xscale="log", yscale="log")
            axis.set_title(f"counter {period_s * 1000:g} ms, {gpus} GPU{'s' * (gpus > 1)}", fontsize=9)
            axis.set_xticks(
                sorted({row.window_s for row in rows}), [f"{w:g}" for w in sorted({r.window_s for r in rows})]
            )
            axis.minorticks_off()
    for axis in panels[-1]:
        axis.set_xlabel("window (s)")
    for line in panels:
        line[0].set_ylabel("error, asked edges (%)")
    panels[0][-1].legend(frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(file, metadata={"Date": None})
