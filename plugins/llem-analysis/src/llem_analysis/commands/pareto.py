"""`llem pareto`: configurations than which no other is better in one figure without being worse in another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llem.plugin_api import study_folders
from llem_analysis.metric_names import METRIC_SPECS

if TYPE_CHECKING:
    from llem_analysis.front import Front, FrontPoint
    from llem_analysis.intervals import Interval

SHORT = {
    "energy": "j_per_output_token",
    "throughput": "tokens_per_s",
    "ttft": "ttft_p50_s",
    "itl": "itl_p50_s",
    "tpot": "tpot_p50_s",
    "e2e": "e2e_p50_s",
    "memory": "peak_memory_mb",
    "power": "mean_w",
}
"""Words for the figures that are asked for most."""


@click.command(epilog=f"Words: {', '.join(SHORT)}. Figures: {', '.join(METRIC_SPECS)}.")
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path), shell_complete=study_folders)
@click.option(
    "--by",
    "figures",
    metavar="FIGURE",
    multiple=True,
    help="A word or figure to weigh; two or more, repeatable. By default energy and throughput.",
)
@click.option("--all", "everything", is_flag=True, help="Also list the configurations that others beat.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document with all configurations.")
def pareto(study: Path, figures: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """The Pareto front: what is worth choosing among.

    Lists the configurations than which no other is better in one figure without being worse in another. Figures are means
    over cycles.

    \b
    Examples:
      llem pareto results/demo-20260101T120000Z
      llem pareto results/demo-20260101T120000Z --by energy --by ttft
      llem pareto results/demo-20260101T120000Z --by energy --by throughput --by memory --all
    """
    from llem.plugin_api import ConfigError
    from llem_analysis.front import OBJECTIVES
    from llem_analysis.front import pareto as front_of

    names = tuple(dict.fromkeys(SHORT.get(name, name) for name in figures))
    if len(names) == 1:
        raise ConfigError("a front takes two figures.", remedy="Repeat --by, such as --by energy --by ttft.")
    front = front_of(study, names or OBJECTIVES)
    if as_json:
        click.echo(json.dumps(front.document(), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        click.echo("\n".join(front_lines(front, everything=everything)))


def front_lines(front: Front, *, everything: bool) -> Iterator[str]:
    """The front as a table."""
    from llem.plugin_api import one_line, table
    from llem_analysis.wording import amount, counted

    shown = [p for p in front.points if p.on_front or p.membership == "open" or everything]
    on = sum(p.on_front for p in front.points)
    open_ = sum(p.membership == "open" for p in front.points)
    told = any(p.membership is not None for p in front.points)
    objection = f"; of {open_} cycles do not tell whether they are" if open_ else ""
    objection = objection if told else "; too few cycles to tell it from noise (3 of each give a test)"
    yield f"{front.study}: {on} of {counted(len(front.points), 'configuration')} on the front{objection if front.points else ''}"
    if not shown:
        yield "no configuration has all of these figures"
    else:
        yield ""
        headers = [
            "configuration",
            *(
                label if unit == "1" else f"{label}, {unit}"
                for label, unit in zip(front.labels, front.units, strict=True)
            ),
        ]
        marks = ["~" if front.estimated and METRIC_SPECS[name].energy else "" for name in front.figures]
        marked = everything or any(not p.on_front or p.membership == "open" for p in shown)
        if marked:
            headers.insert(1, "front")
        rows = []
        for point in shown:
            cells = [
                f"{m}{amount(point.values[name])}{_span(point.intervals.get(name))}"
                for m, name in zip(marks, front.figures, strict=True)
            ]
            rows.append([one_line(point.label, 160), *([_place(point)] if marked else []), *cells])
        yield table(headers, rows, left=1)
        for point in shown:
            if point.alike:
                others = "; ".join(point.alike[:5]) + ("; …" if len(point.alike) > 5 else "")
                yield f"equal as far as cycles tell: {point.label}; {others}"
    if front.missing:
        yield ""
        yield f"note: {counted(len(front.missing), 'configuration')} left out: a figure was not measured, or a warning voids it."
    yield from (f"note: {text}" for text in front.cautions)
    if front.estimated:
        yield "note: ~ is an estimate (CPU utilisation times rated power), not a measurement."


def _place(point: FrontPoint) -> str:
    """Its place by the means, and whether cycles tell it."""
    place = "yes" if point.on_front else "no"
    return f"{place}, not told" if point.membership == "open" else place


def _span(found: Interval | None) -> str:
    from llem.plugin_api import span

    return "" if found is None else f" ({span(found.low, found.high)})"
