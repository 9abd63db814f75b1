"""`llem slo`: a finished study judged again by other objectives."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llem.plugin_api import study_folders

if TYPE_CHECKING:
    from llem_serving.config import SloConfig
    from llem_serving.judging.study import JudgedConfiguration, JudgedStudy

_LONGEST_S = 86_400


def _limit(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    """Seconds above 0, up to a day; not a number is none."""
    if value is not None and not (math.isfinite(value) and 0 < value <= _LONGEST_S):
        raise click.BadParameter(f"write seconds above 0, up to {_LONGEST_S:,}, such as 0.2")
    return value


def _attainment(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value <= 1:
        raise click.BadParameter("write a share above 0, up to 1, such as 0.99")
    return value


@click.command()
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path), shell_complete=study_folders)
@click.option("--ttft", metavar="SECONDS", type=float, callback=_limit, help="Longest time to first token.")
@click.option(
    "--tpot", metavar="SECONDS", type=float, callback=_limit, help="Longest mean time per output token after the first."
)
@click.option("--e2e", metavar="SECONDS", type=float, callback=_limit, help="Longest time to the last token.")
@click.option(
    "--attainment",
    metavar="SHARE",
    type=float,
    callback=_attainment,
    help="Share of requests that shall keep all limits; by default that of the study's own slo.",
)
@click.option(
    "--requests",
    "requests_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write every request to this file, as CSV: its latencies, whether it keeps all limits, and its share of its "
    "window's energy (by output tokens inside the window; no measurement of a request).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def slo(
    study: Path,
    ttft: float | None,
    tpot: float | None,
    e2e: float | None,
    attainment: float | None,
    requests_file: Path | None,
    as_json: bool,
) -> None:
    """Judge a finished study by objectives: others than its own, or its own.

    Limits that are given are all limits; without any, those of the study's `slo` hold. Runs nothing: reads the requests of every run of the scenario `server`, and tells for each configuration the share of
    requests that keep all limits with a 95 % interval, good requests per second, energy per good token, and whether the wanted
    share was kept. Latency counts from the scheduled arrival; a request without an answer keeps no limit. Saturated runs are not
    judged: their latencies grow with the window's length.

    \b
    Examples:
      llem slo results/demo-20260101T120000Z
      llem slo results/demo-20260101T120000Z --ttft 0.2
      llem slo results/demo-20260101T120000Z --ttft 0.2 --tpot 0.05 --e2e 5 --attainment 0.95
      llem slo results/demo-20260101T120000Z --ttft 0.2 --json | jq '.configurations[].attainment'
    """
    from llem_serving.judging.study import judge_study

    found = judge_study(study, {"ttft_s": ttft, "tpot_s": tpot, "e2e_s": e2e, "attainment": attainment})
    if requests_file is not None:
        _write_requests(study, found.slo, requests_file)
    if as_json:
        click.echo(json.dumps(found.document(), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        click.echo("\n".join(study_lines(found)))


def _write_requests(study: Path, slo: SloConfig, path: Path) -> None:
    import csv
    import io

    from llem.plugin_api import write_text
    from llem_serving.judging.request_rows import COLUMNS, request_rows

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in row] for row in request_rows(study, slo))
    write_text(path, text.getvalue())


def _cell(value: object) -> object:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value


def study_lines(found: JudgedStudy) -> Iterator[str]:
    """A judged study as a table, with what to know of it."""
    from llem.plugin_api import table
    from llem_analysis.wording import counted, percent
    from llem_serving.judging.asked import limits_text

    kept = sum(one.kept is True for one in found.configurations)
    by = f", by {found.judged:,} of {counted(found.runs.runs, 'run')}" if found.judged < found.runs.runs else ""
    yield (
        f"{found.study}: {kept} of {counted(len(found.configurations), 'configuration')} kept {limits_text(found.slo)} "
        f"in {percent(found.slo.attainment)} of requests{by}"
    )
    yield ""
    headers = [
        "configuration",
        "requests",
        "attainment",
        "95 % interval",
        "goodput, req/s",
        "J per good token",
        "verdict",
    ]
    yield table(headers, [_row(one) for one in found.configurations], left=1)
    if found.notes or any(one.estimated for one in found.configurations):
        yield ""
    yield from (f"note: {note}" for note in found.notes)
    if any(one.estimated for one in found.configurations):
        yield "note: ~ is an estimate (CPU utilisation times rated power), not a measurement."


def _row(one: JudgedConfiguration) -> list[str]:
    from llem.plugin_api import NOTHING, one_line, span
    from llem_analysis.wording import amount
    from llem_serving.judging.shares import share_text

    judgement, energy, mark = one.judgement, one.j_per_good_token, "~" if one.estimated else ""
    interval = None if energy is None else energy.interval
    joules = NOTHING if energy is None else f"{mark}{amount(energy.mean)}"
    share = None if judgement is None else judgement.interval
    attained = None if judgement is None else judgement.attainment
    return [
        one_line(one.label, 160),
        NOTHING if judgement is None else f"{judgement.requests:,}",
        NOTHING if attained is None else share_text(attained),
        NOTHING if share is None else f"{share_text(share.low)} … {share_text(share.high)}",
        NOTHING if judgement is None else amount(judgement.goodput_rps),
        joules if interval is None else f"{joules} ({span(max(0.0, interval.low), interval.high)})",
        _verdict(one) or NOTHING,
    ]


def _verdict(one: JudgedConfiguration) -> str | None:
    """The last cell: `kept`, `missed, not told`, `saturated (1 of 3)`."""
    if one.voided:
        of = one.cycles + sum(one.voided.values())
        return f"{one.verdict} ({sum(one.voided.values())} of {of})" if one.cycles else one.verdict
    return f"{one.verdict}, not told" if one.kept is not None and not one.is_told else one.verdict
