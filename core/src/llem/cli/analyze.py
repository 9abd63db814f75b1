"""`llem analyze`: which parameters of a study matter, in sentences and tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llem.analysis.figures import FIGURES, MAIN
from llem.cli.completing import study_folders

if TYPE_CHECKING:
    from llem.analysis.effect_models import Effect, FigureAnalysis, StudyAnalysis


@click.command(epilog=f"Figures: {', '.join(FIGURES)}.")
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path), shell_complete=study_folders)
@click.option(
    "--figure",
    "figures",
    metavar="NAME",
    multiple=True,
    help=f"A figure to analyse; repeatable. By default those of {', '.join(MAIN)} that the study has.",
)
@click.option(
    "--scale",
    type=click.Choice(["linear", "log"]),
    default="linear",
    show_default=True,
    help="log: analyse the logarithm, where effects multiply instead of adding up.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def analyze(study: Path, figures: tuple[str, ...], scale: Any, as_json: bool) -> None:
    """Which swept parameters matter, and how much.

    For each figure: the share of the variance between configurations that each parameter explains, alone and with its
    interactions; its worst value against its best, with a 95 % bootstrap interval over cycles; what parameters do to each
    other. Parameters of one backend are judged within it. Needs the extra llem[analysis].

    \b
    Examples:
      llem analyze results/demo-20260101T120000Z
      llem analyze results/demo-20260101T120000Z --figure j_per_output_token --figure ttft_p95_s
      llem analyze results/demo-20260101T120000Z --json | jq -r '.findings[].text'
    """
    from llem.analysis.study_effects import analyze as analyse

    found = analyse(study, figures=figures or None, scale=scale)
    if as_json:
        click.echo(json.dumps(found.document(), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        click.echo("\n".join(analysis_lines(found)))


def analysis_lines(found: StudyAnalysis) -> Iterator[str]:
    """An analysis for people: findings, a table for each figure, what to know about the runs."""
    from llem.analysis.wording import counted

    low, high = found.cycles
    cycles = counted(low, "cycle") if low == high else f"{low} to {high} cycles"
    yield f"{found.study}: {counted(found.configurations, 'configuration')}, {cycles} each"
    yield ""
    for finding in found.findings:
        yield f"- {finding.text}"
    for figure in found.figures:
        if figure.reason is None:
            yield ""
            yield from figure_lines(figure)
    if found.caveats:
        yield ""
        for caveat in found.caveats:
            yield f"note: {caveat}"


def figure_lines(figure: FigureAnalysis) -> Iterator[str]:
    """One figure's effects as a table, its interactions below."""
    from llem.analysis.wording import amount, p_text, percent
    from llem.cli.table import NOTHING, table

    mark = "~" if figure.estimated else ""
    how = f", {figure.scope} {figure.method}" if figure.method else ""
    scale = ", on a log scale" if figure.scale == "log" else ""
    mean = NOTHING if figure.mean is None else f"mean {mark}{amount(figure.mean)} {figure.unit}"
    yield f"{figure.label} ({mean}{how}{scale})"
    headers = ["parameter", "worst → best", "change", "95 % interval", "p (Holm)", "share", "with interactions"]
    yield table(headers, [_row(effect, mark) for effect in figure.effects], left=2)
    for interaction in figure.interactions:
        share = NOTHING if interaction.share is None else percent(interaction.share)
        p = "" if interaction.p_adjusted is None else f", {p_text(interaction.p_adjusted)}"
        yield f"interaction {' × '.join(interaction.parameters)}: {share}{p}"
    if figure.unexplained is not None and figure.unexplained >= 0.001:
        yield f"not explained by these: {percent(figure.unexplained)}"


def _row(effect: Effect, mark: str) -> list[str]:
    from llem.analysis.wording import as_written, change, change_span, p_text, percent
    from llem.cli.table import NOTHING, one_line

    contrast = effect.contrast
    name = effect.parameter if effect.backend is None else f"{effect.parameter} (in {effect.backend})"
    return [
        name,
        one_line(f"{as_written(contrast.worst)} → {as_written(contrast.best)}", 60),
        NOTHING if contrast.ratio is None else f"{mark}{change(contrast.ratio)}",
        NOTHING if contrast.ratio_interval is None else f"{mark}{change_span(contrast.ratio_interval)}",
        NOTHING if effect.p_adjusted is None else p_text(effect.p_adjusted).removeprefix("p ").removeprefix("= "),
        NOTHING if effect.share is None else percent(effect.share),
        NOTHING if effect.share_total is None else percent(effect.share_total),
    ]
