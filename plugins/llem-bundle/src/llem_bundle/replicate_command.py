"""`llem replicate`: the study of a bundle run again here, and judged figure by figure."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llem.plugin_api import RunningCommand, registry_of, run_as_llem_run, study_folders

if TYPE_CHECKING:
    from llem_bundle.replicating import Ready

_OF_RUN = ("skip_preflight", "allow_shared", "quiet", "verbose")
"""Options of `llem run` that mean the same here and change nothing that is measured."""

_WENT_WELL = (0, 1)
"""Exit codes of a run with results: all done, or an experiment failed, as it may have done there."""


def _share(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    """`5 %` is 0.05."""
    text = value.strip()
    try:
        found = float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise click.BadParameter("write a share such as 5% or 0.05") from error
    if not math.isfinite(found) or not 0 < found < 1:
        raise click.BadParameter("write a share above 0 and below 100 %, such as 5% or 0.05")
    return found


@click.command(cls=RunningCommand, of_run=_OF_RUN)
@click.argument("bundle", metavar="BUNDLE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--prepare", "only_prepare", is_flag=True, help="Make the folder and say what differs here; run nothing.")
@click.option(
    "--results",
    metavar="STUDY_DIR",
    type=click.Path(path_type=Path),
    shell_complete=study_folders,
    help="Judge a study that was run already; prepare and run nothing.",
)
@click.option(
    "--margin",
    metavar="SHARE",
    default="5%",
    show_default=True,
    callback=_share,
    help="How far apart figures may lie and be equivalent: 5% or 0.05, of the ratio, either way.",
)
@click.option(
    "--metric",
    "metrics",
    metavar="NAME",
    multiple=True,
    help="What is judged; repeatable.",
    show_default="energy per output token, throughput, median time to first token and per output token",
)
@click.option(
    "--output",
    "-o",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="The folder to make. Default: the bundle's name with -replica, in this folder.",
)
@click.option(
    "--data",
    metavar="FOLDER",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where files are that the study names and the bundle has not got, by their names.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document to standard output.")
@click.pass_context
def replicate(
    context: click.Context,
    /,
    bundle: Path,
    *,
    only_prepare: bool,
    results: Path | None,
    margin: float,
    metrics: Sequence[str],
    output: Path | None,
    data: Path | None,
    as_json: bool,
    **passed: Any,
) -> int:
    """Run the study of a bundle again, and judge whether its figures hold here.

    The bundle is verified first. Then its study is made ready in a folder of its own, with its files, its cycles and its seeds; what
    differs here (hardware, versions, image, meters) is said before it runs. Each figure of each configuration is equivalent where the
    90 % interval of the ratio to the original lies within the margin (two one-sided tests at 5 %), different where it lies outside,
    and else undecided: then it says how many cycles here would tell. On unlike hardware only ratios between configurations are judged.

    A bundle names code to run, as any study file does: with one of a stranger, --prepare first and read the study.

    \b
    Exit codes: 0 equivalent, 1 different, 5 cannot tell; 2 configuration, usage or the bundle; 3, 4 and 130 as of llem run.

    \b
    Examples:
      llem replicate demo-20260101T120000Z.zip
      llem replicate demo-20260101T120000Z.zip --prepare
      llem replicate demo-20260101T120000Z.zip --results results/demo-20260102T120000Z --margin 3%
    """
    from llem_bundle.replicating import judge, ready

    if results is not None and (only_prepare or output is not None or data is not None):
        raise click.UsageError("--results judges what was run already: leave out --prepare, --output and --data.")
    quiet = bool(passed["quiet"])
    prepared: Ready | None = None
    if results is None:
        folder = Path(f"{bundle.name.removesuffix('.zip')}-replica") if output is None else output
        prepared = ready(bundle, folder, registry_of(context), data)
        if not quiet or only_prepare:
            for line in _prepared_lines(prepared):
                click.echo(f"llem: {line}", err=True)
        if only_prepare:
            if as_json:
                _print(prepared.document())
            else:
                click.echo(f"Wrote {folder}. Run it, and judge it:")
                click.echo(f"  llem run {prepared.replica.study} --output {prepared.replica.results}")
                click.echo(f"  llem replicate {bundle} --results {prepared.replica.results}/STUDY_DIR")
            return 0
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            code = run_as_llem_run(context, study=prepared.replica.study, output=prepared.replica.results, **passed)
        if code not in _WENT_WELL:
            click.echo(
                f"llem: nothing is judged yet; once it is done: llem replicate {bundle} --results STUDY_DIR", err=True
            )
            return code
        results = prepared.only_results()
    found, verified = judge(bundle, results, metrics or None, margin, prepared)
    if as_json:
        before = {} if prepared is None else prepared.document()
        _print({"bundle": str(bundle), "results": str(results), **before, **verified, **found.document()})
    else:
        click.echo(found.text())
    return found.exit_code


def _print(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False, default=str))


def _prepared_lines(prepared: Ready) -> Iterator[str]:
    from llem.plugin_api import one_line

    verification = prepared.verification
    open_ = len(verification.of("not_verified"))
    equal = len(verification.of("equal"))
    yield f"{verification.bundle}: {equal} figures are what its raw data give" + (
        f", {open_} could not be verified." if open_ else "."
    )
    for text in prepared.unlike.told:
        yield one_line(f"differs here: {text}.", 1000)
    if more := len(prepared.unlike.packages):
        yield f"differs here: {more} other package{'s' * (more != 1)} (--json names them)."
    if not prepared.unlike.told and not more:
        yield "nothing that llem knows of the machine differs here."
    for text in prepared.replica.notes:
        yield one_line(f"note: {text}.", 1000)
