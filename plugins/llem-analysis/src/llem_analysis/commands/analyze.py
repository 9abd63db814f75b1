"""`llem analyze`: which parameters of a study matter, in sentences and tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llem.plugin_api import study_folders
from llem_analysis.metric_names import METRIC_SPECS, main_figures

if TYPE_CHECKING:
    from llem_analysis.effect_models import Effect
    from llem_analysis.study_models import FigureAnalysis, StudyAnalysis


def _share(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    """`2 %` is 0.02."""
    text = value.strip()
    try:
        found = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise click.BadParameter("write a share such as 0.01, or 1 %") from error
    if not 0 <= found < 1:
        raise click.BadParameter("write a share of at least 0 and below 1, such as 0.01, or 1 %")
    return found


@click.command(epilog=f"Figures: {', '.join(METRIC_SPECS)}.")
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path), shell_complete=study_folders)
@click.option(
    "--figure",
    "figures",
    metavar="NAME",
    multiple=True,
    help=f"A figure to analyse; repeatable. By default those of {', '.join(main_figures())} that the study has.",
)
@click.option(
    "--interest",
    metavar="SHARE",
    default="1 %",
    show_default=True,
    callback=_share,
    help="A change smaller than this gets no sentence of its own: 0.01 or 1 %.",
)
@click.option(
    "--pilot",
    metavar="STUDY",
    type=click.Path(path_type=Path, exists=True),
    help="An earlier study with cycles: its spread says how many cycles would tell what was seen. By default the latest "
    "one beside STUDY.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def analyze(study: Path, figures: tuple[str, ...], interest: float, pilot: Path | None, as_json: bool) -> None:
    """Tell which swept parameters matter, and how much.

    For each figure: the ratio between a parameter's worst value and its best, over the combinations that ran with both, with a
    95 % interval; the share of the variance between configurations that it explains; what parameters do to each other; drift
    over the order of the runs. One cycle is described and ranks nothing. Parameters of one backend are judged within it.

    \b
    Examples:
      llem analyze results/demo-20260101T120000Z
      llem analyze results/demo-20260101T120000Z --figure j_per_output_token --figure ttft_p95_s
      llem analyze results/demo-20260101T120000Z --json | jq -r '.findings[].text'
    """
    from llem_analysis.study_effects import analyze as analyse

    found = analyse(study, figures=figures or None, interest=interest, pilot=pilot)
    if as_json:
        click.echo(json.dumps(found.document(), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        click.echo("\n".join(analysis_lines(found)))


def analysis_lines(found: StudyAnalysis) -> Iterator[str]:
    """An analysis for people: findings, a table for each figure, what to know about the runs."""
    from llem_analysis.wording import counted

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
    from llem.plugin_api import NOTHING, table
    from llem_analysis.wording import amount, and_, change, change_span, p_text, percent

    mark = "~" if figure.estimated else ""
    how = f", {figure.scope} {figure.method}" if figure.method else ""
    mean = NOTHING if figure.mean is None else f"geometric mean {mark}{amount(figure.mean)} {figure.unit}"
    yield f"{figure.label} ({mean}{how})"
    headers = ["parameter", "from → to", "change", "95 % interval", "p (Holm)", "share", "with interactions"]
    if figure.effects:
        yield table(headers, [_row(effect, mark) for effect in figure.effects], left=2)
    for alias in figure.refused:
        yield f"not told: {alias.parameter}" + (f" (goes with {and_(alias.others)})" if alias.others else "")
    for interaction in figure.interactions:
        if interaction.share is None and interaction.p_adjusted is None:
            continue  # one cycle says nothing of it
        share = "" if interaction.share is None else f": {percent(interaction.share)}"
        p = "" if interaction.p_adjusted is None else f", {p_text(interaction.p_adjusted)}"
        yield f"interaction {' × '.join(interaction.parameters)}{share}{p}"
    if figure.misfit is not None and figure.misfit.p_adjusted is not None:
        yield f"interactions of three and more: {p_text(figure.misfit.p_adjusted)}"
    if figure.trend is not None and figure.trend.taken_out and figure.trend.p_adjusted is not None:
        span = "" if figure.trend.interval is None else f" ({change_span(figure.trend.interval)})"
        trend = f"{mark}{change(figure.trend.ratio)}{span}, {p_text(figure.trend.p_adjusted)}"
        yield f"drift from the first place of a cycle to the last, taken out: {trend}"
    if figure.unexplained is not None and figure.unexplained >= 0.001:
        yield f"not explained by these: {percent(figure.unexplained)}"


def _row(effect: Effect, mark: str) -> list[str]:
    from llem.plugin_api import NOTHING, one_line
    from llem_analysis.wording import as_written, change, change_span, p_text, percent

    contrast = effect.contrast
    name = effect.parameter if effect.backend is None else f"{effect.parameter} (in {effect.backend})"
    return [
        name,
        one_line(f"{as_written(contrast.start)} → {as_written(contrast.end)}", 60),
        f"{mark}{change(contrast.ratio)}",
        NOTHING if contrast.ratio_interval is None else f"{mark}{change_span(contrast.ratio_interval)}",
        NOTHING if effect.p_adjusted is None else p_text(effect.p_adjusted).removeprefix("p ").removeprefix("= "),
        NOTHING if effect.share is None else percent(effect.share),
        NOTHING if effect.share_total is None else percent(effect.share_total),
    ]
