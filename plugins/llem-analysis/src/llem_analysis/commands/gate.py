"""`llem gate`: a candidate held against a baseline, with an exit code for CI."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llem.plugin_api import study_folders
from llem_analysis.metric_names import METRIC_SPECS

if TYPE_CHECKING:
    from llem_analysis.gating import Gate, GatedPair


def _change(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """`3 %` is 0.03."""
    if value is None:
        return None
    text = value.strip()
    try:
        found = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise click.BadParameter("write a share such as 3% or 0.03") from error
    if not math.isfinite(found) or (abs(found) >= 1 and not text.endswith("%")):
        raise click.BadParameter("write a share such as 3% or 0.03")
    return found


@click.command(epilog=f"Metrics: {', '.join(METRIC_SPECS)}.")
@click.argument("baseline", metavar="BASELINE", shell_complete=study_folders)
@click.argument("candidate", metavar="CANDIDATE", type=click.Path(path_type=Path), shell_complete=study_folders)
@click.option(
    "--store",
    metavar="FOLDER|git:BRANCH",
    help="BASELINE is the name of one that `llem baseline accept` put into this folder, or this branch of the git repository here.",
)
@click.option("--metric", metavar="NAME", default="j_per_output_token", show_default=True, help="What is judged.")
@click.option(
    "--max-increase",
    metavar="SHARE",
    callback=_change,
    help="How much it may rise, where less is better: 3% or 0.03. A negative share asks for a fall.",
)
@click.option(
    "--max-decrease",
    metavar="SHARE",
    callback=_change,
    help="How much it may fall, where more is better, as of tokens_per_s.",
)
@click.option(
    "--relative-to",
    metavar="KEY=VALUE,…",
    help="A configuration of both studies, by settings or hash, that all others are divided by first: machines may differ then.",
)
@click.option(
    "--anyway",
    is_flag=True,
    help="Judge also what is no fair comparison: other prompts, other work, another machine, an estimate against a measurement.",
)
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write JUnit's XML to this file.")
@click.option(
    "--summary",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="GITHUB_STEP_SUMMARY",
    help="Append a table in Markdown to this file; by default to the step's summary where GitHub runs it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def gate(
    baseline: str,
    candidate: Path,
    store: str | None,
    metric: str,
    max_increase: float | None,
    max_decrease: float | None,
    relative_to: str | None,
    anyway: bool,
    junit: Path | None,
    summary: Path | None,
    as_json: bool,
) -> int:
    """Tell whether a candidate is worse than a baseline by more than a limit.

    Passes where the 95 % interval of the change lies within the limit, fails where it lies beyond, and cannot tell where the
    limit lies inside of it: then it says how many cycles would tell. Each of the two errors has a chance of 2.5 % at the
    most. Configurations are matched by identity, or by the settings that they vary; each has to pass.

    \b
    Exit codes: 0 passed, 1 failed, 5 cannot tell; 2 configuration or usage.

    \b
    Examples:
      llem gate results/main-20260101T120000Z results/mine-20260102T120000Z --max-increase 3%
      llem gate results/main-20260101T120000Z results/mine-20260102T120000Z --metric tokens_per_s --max-decrease 3%
      llem gate results/main-20260101T120000Z results/mine-20260102T120000Z --max-increase 3% --junit gate.xml
      llem gate main results/mine-20260102T120000Z --max-increase 3% --store git:llem-baseline
      llem gate baseline/study results/mine-20260102T120000Z --max-increase 10% --relative-to backend=reference
    """
    from llem.plugin_api import write_text
    from llem_analysis import gate_files
    from llem_analysis.gating import gate as judge

    with _folder_of(baseline, store) as folder:
        found = judge(
            folder,
            candidate,
            metric,
            max_increase=max_increase,
            max_decrease=max_decrease,
            anyway=anyway,
            relative_to=relative_to,
        )
    if store is not None:
        found = replace(found, baseline=f"{baseline} in {store}")
    # The verdict first: a file that cannot be written does not take it along.
    if as_json:
        click.echo(json.dumps(found.document(), ensure_ascii=False, indent=1, allow_nan=False, default=str))
    else:
        click.echo("\n".join(gate_lines(found)))
    if junit is not None:
        write_text(junit, gate_files.junit(found))
    if summary is not None:
        _append(summary, gate_files.summary(found))
    return found.exit_code


@contextmanager
def _folder_of(baseline: str, store: str | None) -> Iterator[Path]:
    if store is None:
        yield Path(baseline)
        return
    from llem_analysis.baselines import stored_baseline

    with stored_baseline(store, baseline) as folder:
        yield folder


def _append(path: Path, text: str) -> None:
    from llem.plugin_api import ConfigError

    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror}.", where=str(path), remedy="Name another file with --summary."
        ) from error


def gate_lines(found: Gate) -> Iterator[str]:
    """A verdict for people."""
    from llem.plugin_api import table
    from llem_analysis.gating import verdict_text

    yield verdict_text(found)
    yield ""
    unit = found.unit if found.relative_to is None else f"of {found.relative_to}"
    headers = ["configuration", f"baseline, {unit}", "candidate", "change", "95 % interval", "verdict"]
    yield table(headers, [_row(pair) for pair in found.pairs], left=1)
    for pair in found.pairs:
        if pair.reason is not None:
            yield f"{pair.name}: {pair.reason}."
    for name in found.missing:
        yield f"{name}: the candidate has no run of it that is done."
    if found.added:
        yield f"note: only the candidate has {'; '.join(found.added[:5])}{'; …' if len(found.added) > 5 else ''}"
    yield from (f"warning: {text}" for text in found.warnings)
    if any(pair.estimated for pair in found.pairs):
        yield "note: ~ is an estimate (CPU utilisation times rated power), not a measurement."
    yield (
        f"note: matched by {found.matched_by}; each of the two errors, to fail what is at the limit and to pass it, has a chance of "
        f"{found.error * 100:g} % at the most."
    )


def _row(pair: GatedPair) -> list[str]:
    from llem.plugin_api import NOTHING, one_line
    from llem_analysis.wording import amount, change, change_span

    found, mark = pair.comparison, "~" if pair.estimated else ""
    verdict = "cannot tell" if pair.verdict == "undecided" else pair.verdict
    if found is None:
        return [one_line(pair.name, 60), NOTHING, NOTHING, NOTHING, NOTHING, verdict]
    return [
        one_line(pair.name, 60),
        f"{mark}{amount(found.base_mean)}",
        f"{mark}{amount(found.other_mean)}",
        NOTHING if found.ratio is None else f"{mark}{change(found.ratio, 1)}",
        NOTHING if found.ratio_interval is None else f"{mark}{change_span(found.ratio_interval)}",
        verdict,
    ]
