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
    from llem_serving.judging.study import JudgedConfiguration, JudgedStudy

_LONGEST_S = 86_400


def _limit(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    """Seconds above 0, up to a day; not a number is none."""
    if value is not None and not (math.isfinite(value) and 0 < value <= _LONGEST_S):
        raise click.BadParameter(f"write seconds above 0, up to {_LONGEST_S:,}, such as 0.2")
    return value


def _attainment(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    if not 0 < value <= 1:
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
    default=0.99,
    show_default=True,
    callback=_attainment,
    help="Share of requests that shall keep all limits.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def slo(
    study: Path, ttft: float | None, tpot: float | None, e2e: float | None, attainment: float, as_json: bool
) -> None:
    """Judge a finished study by other objectives.

    Runs nothing: reads the requests of every run of the scenario `server`, and tells for each configuration the share of
    requests that keep all limits with a 95 % interval, good requests per second, energy per good token, and whether the wanted
    share was kept. Latency counts from the scheduled arrival; a request without an answer keeps no limit.

    \b
    Examples:
      llem slo results/demo-20260101T120000Z --ttft 0.2
      llem slo results/demo-20260101T120000Z --ttft 0.2 --tpot 0.05 --e2e 5 --attainment 0.95
      llem slo results/demo-20260101T120000Z --ttft 0.2 --json | jq '.configurations[].attainment'
    """
    from llem.plugin_api import ConfigError
    from llem_serving.config import SloConfig
    from llem_serving.judging.study import judge_study

    if ttft is None and tpot is None and e2e is None:
        raise ConfigError("objectives take a limit.", remedy="Give --ttft, --tpot or --e2e, such as --ttft 0.2.")
    found = judge_study(study, SloConfig(ttft_s=ttft, tpot_s=tpot, e2e_s=e2e, attainment=attainment))
    if as_json:
        click.echo(json.dumps(found.document(), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        click.echo("\n".join(study_lines(found)))


def study_lines(found: JudgedStudy) -> Iterator[str]:
    """A judged study as a table, with what to know of it."""
    from llem.plugin_api import table
    from llem_analysis.wording import counted, percent

    limits = [
        f"{word} {limit:g} s"
        for word, limit in (("TTFT", found.slo.ttft_s), ("TPOT", found.slo.tpot_s), ("end to end", found.slo.e2e_s))
        if limit is not None
    ]
    kept = sum(one.judgement.kept is True for one in found.configurations)
    yield (
        f"{found.study}: {kept} of {counted(len(found.configurations), 'configuration')} kept {', '.join(limits)} "
        f"in {percent(found.slo.attainment)} of requests"
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

    judgement, energy, mark = one.judgement, one.j_per_good_token, "~" if one.estimated else ""
    interval = None if energy is None else energy.interval
    joules = NOTHING if energy is None else f"{mark}{amount(energy.mean)}"
    share = judgement.interval
    verdict = NOTHING if judgement.kept is None else "kept" if judgement.kept else "missed"
    return [
        one_line(one.label, 160),
        f"{judgement.requests:,}",
        NOTHING if judgement.attainment is None else _share(judgement.attainment),
        NOTHING if share is None else f"{_share(share.low)} … {_share(share.high)}",
        amount(judgement.goodput_rps),
        joules if interval is None else f"{joules} ({span(interval.low, interval.high)})",
        verdict if judgement.is_told or judgement.kept is None else f"{verdict}, not told",
    ]


def _share(share: float) -> str:
    """A share as a percentage, never rounded to the whole or to nothing."""
    if 0.99995 <= share < 1:
        return "> 99.99 %"
    return f"{share * 100:.2f} %"
