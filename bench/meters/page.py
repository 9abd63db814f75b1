"""What a person sees: lines on the terminal, the table in the documentation, and the picture."""

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
    print(f"\n{'load':<13} {'counter':>8} {'GPUs':>4} {'window':>7}" + "".join(f" {NAMES[t]:>11}" for t in TOOLS))


def show(rows: Sequence[Row]) -> None:
    """Rows as they come."""
    for row in rows:
        errors = "".join(f" {row.errors[tool]:>11.3%}" for tool in TOOLS)
        head = f"{row.load:<13} {row.period_s * 1000:>5g} ms {row.gpus:>4} {row.window_s:>5g} s"
        print(f"{head}{errors}  {' '.join(row.warnings)}", flush=True)


def show_misses(rows: Sequence[Row]) -> None:
    """Rows on which a goal is missed."""
    goals: dict[str, Callable[[Row], bool]] = {
        f"above {GOAL:.1%} though the window is 50 periods or longer": lambda r: r.long and r.errors["llem"] > GOAL,
        "above the better of the others": lambda r: r.behind > RESOLUTION,
        "off by more than 2 % without a warning": lambda r: not r.warned,
    }
    for what, missed in goals.items():
        found = [row for row in rows if missed(row)]
        print(f"\n{what}: {len(found)} of {len(rows)} rows")
        show(found)


def write(rows: Sequence[Row], docs: Path) -> None:
    """Put table and picture into the documentation."""
    file = docs / "method" / "accuracy.md"
    before, _, rest = file.read_text(encoding="utf-8").partition(BEGIN)
    file.write_text(f"{before}{BEGIN}\n\n{table(rows)}{END}{rest.partition(END)[2]}", encoding="utf-8")
    draw(rows, docs / "images" / "energy_accuracy.svg")


def table(rows: Sequence[Row]) -> str:
    """Worst error over all loads, by counter period, number of cards and length of window."""
    lines = [
        f"| counter period | GPUs | window | periods | {' | '.join(NAMES[t] for t in TOOLS)} |",
        f"|---|---|---|---|{'---|' * len(TOOLS)}",
    ]
    for key in sorted({(row.period_s, row.gpus, row.window_s) for row in rows}):
        here = [row for row in rows if (row.period_s, row.gpus, row.window_s) == key]
        period_s, gpus, window_s = key
        errors = " | ".join(f"{max(row.errors[tool] for row in here):.2%}".replace("%", " %") for tool in TOOLS)
        lines.append(f"| {period_s * 1000:g} ms | {gpus} | {window_s:g} s | {window_s / period_s:g} | {errors} |")
    loads = sorted({row.load for row in rows})
    long = [row for row in rows if row.long]
    behind = [row for row in rows if row.behind > RESOLUTION]
    lines += [
        "",
        f"Each line is the worst of {len(loads)} loads ({', '.join(loads)}): {len(rows)} rows of "
        f"{sum(row.windows for row in rows)} windows. Over the {len(long)} rows whose window is 50 "
        f"counter periods or longer, the worst error is "
        + ", ".join(f"{max(row.errors[tool] for row in long):.2%} ({NAMES[tool]})".replace("%", " %") for tool in TOOLS)
        + f". llem's error is above the better of the other two on {len(behind)} rows"
        + (f", at most by {max(r.behind for r in behind) * 100:.2f} percentage points" if behind else "")
        + (
            ", all of them with a window shorter than 50 periods."
            if behind and not any(r.long for r in behind)
            else "."
        ),
        "",
    ]
    return "\n".join(lines)


def draw(rows: Sequence[Row], file: Path) -> None:
    """Error by length of window, a panel for each counter period and number of cards; a point for each row."""
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
                ys = [max(row.errors[tool] * 100, FLOOR_PCT) for row in here]
                axis.plot(xs, ys, "o", ms=3.5, alpha=0.75, color=COLOURS[tool], label=NAMES[tool], mew=0)
            axis.axvline(50 * period_s, color="grey", lw=0.8, ls=":")
            axis.axhline(GOAL * 100, color="grey", lw=0.8, ls="--")
            axis.set(xscale="log", yscale="log")
            axis.set_title(f"counter {period_s * 1000:g} ms, {gpus} GPU{'s' * (gpus > 1)}", fontsize=9)
            axis.set_xticks(
                sorted({row.window_s for row in rows}), [f"{w:g}" for w in sorted({r.window_s for r in rows})]
            )
            axis.minorticks_off()
    for axis in panels[-1]:
        axis.set_xlabel("window (s)")
    for line in panels:
        line[0].set_ylabel("error (%)")
    panels[0][-1].legend(frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(file, metadata={"Date": None})
