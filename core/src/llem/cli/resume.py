"""`llem resume`: go on with a study that was started before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llem.cli.completing import study_folders

if TYPE_CHECKING:
    from llem.plugins import Registry


@click.command()
@click.argument("study_dir", metavar="STUDY_DIR", type=click.Path(path_type=Path), shell_complete=study_folders)
@click.option("--retry-failed", is_flag=True, help="Run experiments that failed again; else they stay as they are.")
@click.option("--run-skipped", is_flag=True, help="Run experiments that were skipped; else they stay so.")
@click.option("--cycles", type=click.IntRange(min=1), help="So many cycles in all, more than before.")
@click.option("--allow-changes", is_flag=True, help="Go on although the study file was changed.")
@click.option("--as-started", is_flag=True, help="Go on as the study was started, whatever its file says now.")
@click.option("--no-gaps", is_flag=True, help="No pauses between experiments and cycles.")
@click.option(
    "--allow-shared",
    is_flag=True,
    help="Do not wait for another llem that measures on this machine; the results say that it did.",
)
@click.option("--skip-preflight", metavar="NAME", multiple=True, help="Leave out this preflight check; repeatable.")
@click.option("--quiet", "-q", is_flag=True, help="Say only errors and the end.")
@click.option("--verbose", "-v", is_flag=True, help="Show the worker's log as it comes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document to standard output.")
@click.pass_obj
def resume(
    registry: Registry,
    study_dir: Path,
    *,
    retry_failed: bool,
    run_skipped: bool,
    cycles: int | None,
    allow_changes: bool,
    as_started: bool,
    no_gaps: bool,
    allow_shared: bool,
    skip_preflight: tuple[str, ...],
    quiet: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Go on with a study, from whatever state it is in.

    Results that are there are checked and kept, experiments that were under way run again, and so do those whose results
    are damaged or gone. Nothing is deleted: what is not kept is moved to set-aside/ in the study's folder. A study file
    that was edited meanwhile is shown as a difference and refused, unless you allow it.

    \b
    Examples:
      llem resume results/demo-20260101T120000Z
      llem resume results/demo-20260101T120000Z --retry-failed
      llem resume results/demo-20260101T120000Z --cycles 5
      llem run study.yaml --resume results/demo-20260101T120000Z --allow-changes

    \b
    Exit codes, as of `llem run`:
      0 all done            1 an experiment failed, or was not run (results are kept)
      2 no study, or changed 3 a preflight check failed, or another llem works on it
      4 a plugin is missing 130 interrupted
    """
    from llem.cli.outcome import go_on
    from llem.study.resume.request import ResumeRequest

    if allow_changes and as_started:
        raise click.UsageError("--allow-changes and --as-started say the opposite of each other: give one of them.")
    request = ResumeRequest(
        retry_failed=retry_failed,
        run_skipped=run_skipped,
        cycles=cycles,
        allow_changes=allow_changes,
        as_started=as_started,
        no_gaps=no_gaps,
        allow_shared=allow_shared,
    )
    return go_on(study_dir, registry, request, skip_preflight, quiet=quiet, verbose=verbose, as_json=as_json)
