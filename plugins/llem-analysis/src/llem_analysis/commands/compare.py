"""`llem compare`: differences between experiments or studies, tested, with what makes them unsound."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llem.plugin_api import study_folders
from llem_analysis.metric_names import METRIC_SPECS, main_figures

if TYPE_CHECKING:
    from llem_analysis.comparability import Difference, Objection
    from llem_analysis.contrasting import Pair, StudyContrast

MOST_DIFFERENCES = 8
"""Number of keys that differ in the environment that are listed before the rest is only counted."""


@click.command(epilog=f"Figures: {', '.join(METRIC_SPECS)}.")
@click.argument("base", metavar="A", type=click.Path(path_type=Path), shell_complete=study_folders)
@click.argument("others", metavar="[B]...", nargs=-1, type=click.Path(path_type=Path), shell_complete=study_folders)
@click.option(
    "--baseline",
    metavar="KEY=VALUE,…",
    help="The configuration of study A that all others are compared with, by settings or by hash; its first where left out.",
)
@click.option(
    "--figure",
    "figures",
    metavar="NAME",
    multiple=True,
    help=f"A figure to compare; repeatable. By default those of {', '.join(main_figures())} that both have.",
)
@click.option("--anyway", is_flag=True, help="Compare also what is refused as unsound; the reasons stay.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def compare(
    base: Path, others: tuple[Path, ...], baseline: str | None, figures: tuple[str, ...], anyway: bool, as_json: bool
) -> None:
    """Compare experiments, studies, or a baseline with all others.

    One study: its baseline with each of its other configurations. Two studies: each configuration with its like. An
    experiment (a folder in a study's experiments/, with all cycles of its configuration): with each of the others. Cycles
    that ran together are paired; p-values are Holm-corrected. Says what differs in configuration and environment, and
    refuses what is no comparison: an estimate against a measurement, other prompts.

    \b
    Examples:
      llem compare results/demo-20260101T120000Z
      llem compare results/demo-20260101T120000Z --baseline pytorch.batch_size=1
      llem compare results/before-20260101T120000Z results/after-20260102T120000Z
      llem compare results/a-20260101T120000Z/experiments/NAME results/b-20260101T120000Z/experiments/NAME
    """
    from llem_analysis.contrasting import contrast

    found = contrast([base, *others], baseline=baseline, figures=figures or None, anyway=anyway)
    if as_json:
        click.echo(json.dumps(found.document(), ensure_ascii=False, indent=1, allow_nan=False, default=str))
    else:
        click.echo("\n".join(contrast_lines(found)))


def contrast_lines(found: StudyContrast) -> Iterator[str]:
    """A comparison for people."""
    from llem_analysis.wording import change, change_span, counted, p_text

    unlike = list(dict.fromkeys(difference.key for pair in found.pairs for difference in pair.work))
    if unlike:
        count = sum(bool(pair.work) for pair in found.pairs)
        yield f"different work in {count} of {counted(len(found.pairs), 'pair')}: they differ in {', '.join(unlike)}"
        yield ""
    if found.overall:
        alike = sum(not pair.work for pair in found.pairs)
        yield f"{counted(alike, 'pair')}, matched by {found.matched_by}; the second against the first, over all pairs:"
        mark = "~" if any(pair.estimated for pair in found.pairs) else ""
        for name, overall in found.overall.items():
            spec = METRIC_SPECS[name]
            sign = mark if spec.energy else ""
            interval = f", 95 % interval {sign}{change_span(overall.interval)}" if overall.interval else ""
            p = f", {p_text(overall.p)}" if overall.p is not None else ""
            yield f"  {spec.label}: {sign}{change(overall.ratio)} in geometric mean{interval}{p}"
        yield ""
    told = _objections_of_all(found.pairs)
    if told:
        yield f"in each of {counted(len(found.pairs), 'pair')}:"
        yield from map(_objection_line, told)
        yield ""
    for pair in found.pairs:
        yield from _pair_lines(pair, told)
        yield ""
    if found.unmatched:
        yield f"note: only one of the studies has {'; '.join(found.unmatched[:5])}{'; …' if len(found.unmatched) > 5 else ''}"
    if any(pair.estimated for pair in found.pairs):
        yield "note: ~ is an estimate (CPU utilisation times rated power), not a measurement."
    yield from _reading_notes(found)
    yield from (f"note: {text}" for text in found.notes)


def _objections_of_all(pairs: Sequence[Pair]) -> list[Objection]:
    """Doubts that every one of several pairs has, such as those of the baseline that all are compared with."""
    if len(pairs) < 2:
        return []
    return [objection for objection in pairs[0].objections if all(objection in pair.objections for pair in pairs[1:])]


def _objection_line(objection: Objection) -> str:
    word = {"all": "refused", "energy": "energy refused", None: "warning"}[objection.refused]
    return f"  {word}: {objection.text}"


def _pair_lines(pair: Pair, told: Sequence[Objection]) -> Iterator[str]:
    """Lines of one pair, without the doubts that have been told of all."""
    from llem.plugin_api import one_line, table, value

    place = "" if pair.base_study == pair.other_study else f" ({pair.base_study} → {pair.other_study})"
    yield f"{pair.base}{place}" if pair.base == pair.other else f"{pair.base} → {pair.other}{place}"
    for difference in pair.work:
        yield f"  different work: {difference.key}: {one_line(value(difference.base), 60)} → {one_line(value(difference.other), 60)}"
    yield from (_objection_line(objection) for objection in pair.objections if objection not in told)
    if pair.figures:
        rows = [_row(pair, name) for name in pair.figures]
        text = table(["figure", "first", "second", "change", "95 % interval", "p (Holm)", "paired"], rows, left=1)
        yield "\n".join(f"  {line}" for line in text.splitlines())
    yield from _difference_lines("configuration", pair.configuration)
    yield from _difference_lines("environment", pair.environment)


def _row(pair: Pair, name: str) -> list[str]:
    from llem.plugin_api import NOTHING
    from llem_analysis.wording import amount, change, change_span, p_text

    spec, found = METRIC_SPECS[name], pair.figures[name]
    mark = "~" if spec.energy and pair.estimated else ""
    return [
        f"{spec.label}, {spec.unit}",
        f"{mark}{amount(found.base_mean)}",
        f"{mark}{amount(found.other_mean)}",
        NOTHING if found.ratio is None else f"{mark}{change(found.ratio)}",
        NOTHING if found.ratio_interval is None else f"{mark}{change_span(found.ratio_interval)}",
        NOTHING if found.p_adjusted is None else p_text(found.p_adjusted).removeprefix("p ").removeprefix("= "),
        "by cycle" if found.paired else "no",
    ]


def _difference_lines(what: str, found: Sequence[Difference]) -> Iterator[str]:
    from llem.plugin_api import NOTHING, one_line, value
    from llem_analysis.wording import counted

    def shown(data: Any) -> str:
        return NOTHING if data in (None, "") else one_line(value(data), 60)

    # Options of another backend and packages of another image say nothing one by one.
    told = [d for d in found if not (d.lacking and (what == "configuration" or d.key.startswith("packages.")))]
    for difference in told[:MOST_DIFFERENCES]:
        yield f"  {what}: {difference.key}: {shown(difference.base)} → {shown(difference.other)}"
    if more := len(told[MOST_DIFFERENCES:]):
        yield f"  {what}: and {more} more keys (--json lists all)"
    if only := len(found) - len(told):
        yield f"  {what}: and {counted(only, 'key')} that only one of them has (--json lists all)"


def _reading_notes(found: StudyContrast) -> Iterator[str]:
    comparisons = [c for pair in found.pairs for c in pair.figures.values()]
    reasons = dict.fromkeys(c.reason for c in comparisons if c.reason is not None)
    for reason in list(reasons)[:3]:
        yield f"note: no interval and no p: {reason}."
    if any(pair.objections for pair in found.pairs) and not comparisons:
        yield "note: nothing was compared; --anyway compares what was refused."
