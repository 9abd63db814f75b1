"""`llem run`: a study from a file, or one experiment from options."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from llem.cli.completing import checks, installed_backends, installed_datasets, runners, settings_keys, study_folders
from llem.config.study import Order

if TYPE_CHECKING:
    from llem.config.layers import LoadedStudy
    from llem.plan import Plan
    from llem.plugins import Registry

SHOWN_IN_PLAN = 40
"""Number of a plan's experiments that `--dry-run` lists; -v lists them all."""


@click.command()
@click.argument("study", metavar="[STUDY.yaml]", required=False, type=click.Path(path_type=Path))
@click.option("--model", help="Hub id, folder, .gguf file, pkg:PACKAGE/FILE or random:ARCHITECTURE.")
@click.option("--backend", shell_complete=installed_backends, help="A backend that `llem plugins` lists.")
@click.option(
    "--dataset", shell_complete=installed_datasets, help="A dataset that `llem plugins` lists, or a .jsonl file."
)
@click.option("-n", "prompts", type=click.IntRange(min=1), help="How many prompts.")
@click.option("--output-tokens", type=click.IntRange(min=1), help="Output tokens for each prompt.")
@click.option("--cycles", type=click.IntRange(min=1), help="How often each experiment is repeated.")
@click.option("--order", type=click.Choice(get_args(Order)), help="The order in which experiments run.")
@click.option("--no-gaps", is_flag=True, help="No pauses between experiments and cycles.")
@click.option(
    "--no-warm-start", is_flag=True, help="Start each worker afresh, not from a process that has its imports."
)
@click.option(
    "--runner",
    metavar="RUNNER",
    shell_complete=runners,
    help="Where every backend runs, such as local or docker:IMAGE.",
)
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=settings_keys,
    help="Set any key of the study; repeatable.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    show_default="results",
    help="The folder that results go to.",
)
@click.option(
    "--resume",
    metavar="STUDY_DIR",
    type=click.Path(path_type=Path),
    shell_complete=study_folders,
    help="Go on with the study in this folder, as `llem resume`, with the study given here.",
)
@click.option("--retry-failed", is_flag=True, help="With --resume: run experiments that failed again.")
@click.option("--allow-changes", is_flag=True, help="With --resume: go on although the study was changed.")
@click.option(
    "--skip-preflight",
    metavar="NAME",
    multiple=True,
    shell_complete=checks,
    help="Leave out this preflight check; repeatable.",
)
@click.option(
    "--allow-shared",
    is_flag=True,
    help="Do not wait for another llem that measures on this machine; the results say that it did.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan; run nothing, write nothing.")
@click.option("--quiet", "-q", is_flag=True, help="Say only errors and the end.")
@click.option(
    "--verbose", "-v", is_flag=True, help="Show the worker's log as it comes; list every experiment of a plan."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document to standard output.")
@click.pass_obj
def run(
    registry: Registry,
    study: Path | None,
    *,
    model: str | None,
    backend: str | None,
    dataset: str | None,
    prompts: int | None,
    output_tokens: int | None,
    cycles: int | None,
    order: str | None,
    no_gaps: bool,
    no_warm_start: bool,
    runner: str | None,
    settings: tuple[str, ...],
    output: Path | None,
    resume: Path | None,
    retry_failed: bool,
    allow_changes: bool,
    skip_preflight: tuple[str, ...],
    allow_shared: bool,
    dry_run: bool,
    quiet: bool,
    verbose: bool,
    as_json: bool,
    notes: Sequence[str] | None = None,
) -> int:
    """Run a study, or one experiment from options.

    Options win over the environment (LLEM_…), the study, and your own configuration file. Every experiment runs in a
    process of its own. Ctrl+C ends the running one and keeps what is done; on a terminal, Enter skips a pause.

    One llem at a time measures on a machine: a second one says who has it and waits. --allow-shared runs beside it, and
    the results say so. Experiments of one study (execution.parallel: by_gpu, the nodes of a cluster) need no such leave.

    \b
    Examples:
      llem run study.yaml --dry-run
      llem run study.yaml --cycles 3 --order shuffled
      llem run --model random:tiny-llama --backend pytorch -n 8 --output-tokens 32
      llem run study.yaml --resume results/demo-20260101T120000Z
      llem run study.yaml --set pytorch.batch_size=8 --set measurement.min_window_s=60

    \b
    Exit codes:
      0 all done            1 an experiment failed, or was not run (results are kept)
      2 bad configuration   3 a preflight check failed
      4 a plugin is missing 130 interrupted
    """
    from llem.cli.outcome import go_on, print_outcome
    from llem.config.layers import load_study
    from llem.errors import ConfigError
    from llem.plan import make_plan
    from llem.plan.runners import moved
    from llem.plugins import installed_parts
    from llem.progress import TextReporter, reporter_for_people
    from llem.study.resume.request import ResumeRequest
    from llem.study.run import refuse_missing, run_study

    def again(directory: Path, loaded: LoadedStudy | None) -> int:
        request = ResumeRequest(
            study=loaded,
            runner=runner,
            no_gaps=no_gaps,
            retry_failed=retry_failed,
            allow_changes=allow_changes,
            cycles=cycles,
            allow_shared=allow_shared,
        )
        return go_on(directory, registry, request, skip_preflight, quiet=quiet, verbose=verbose, as_json=as_json)

    _check_resume(resume, output, retry_failed=retry_failed, allow_changes=allow_changes, dry_run=dry_run)
    if resume is not None and study is None and model is None:
        changing = (backend, dataset, prompts, output_tokens, order, runner)
        if settings or any(value is not None for value in changing):
            raise click.UsageError(
                "options that change a study need the study: llem run STUDY.yaml --resume STUDY_DIR …"
            )
        return again(resume, None)
    given = {
        "model": _beside(model, study),
        "backend": backend,
        "dataset": _beside(dataset, study),
        "dataset.n": prompts,
        "dataset.output_tokens": output_tokens,
        "execution.cycles": cycles,
        "execution.order": order,
        "execution.experiment_gap_s": 0.0 if no_gaps else None,
        "execution.cycle_gap_s": 0.0 if no_gaps else None,
        "execution.warm_start": False if no_warm_start else None,
        "execution.allow_shared": True if allow_shared and resume is None else None,
    }
    overrides = {key: found for key, found in given.items() if found is not None}
    try:
        loaded = load_study(study, overrides=overrides, settings=settings, **installed_parts(registry))
    except ConfigError as error:
        if study is None and model is None and "`model` is missing" in error.what:
            raise click.UsageError("there is nothing to run: give a STUDY.yaml, or --model and --backend.") from error
        raise
    # A command that replaces values of the study has told of them in its own words.
    loaded = loaded if notes is None else replace(loaded, notes=notes)
    if resume is not None:
        return again(resume, loaded)
    plan = make_plan(loaded, registry, runner=runner)
    if dry_run:
        _print_plan(plan, [*loaded.notes, *moved(plan.runners)], as_json=as_json, verbose=verbose)
        refuse_missing(plan, registry, TextReporter(sys.stderr, quiet=quiet), skip_preflight)
        return 0
    output = output or Path("results")
    estimate_s = plan.estimate_s
    with reporter_for_people(registry, sys.stderr, quiet=quiet, verbose=verbose, estimate_s=estimate_s) as reporter:
        outcome = run_study(
            loaded, plan, registry, reporter, output=output, runner=runner, skip_preflight=skip_preflight
        )
    print_outcome(outcome, registry, as_json=as_json)
    return outcome.exit_code


def _beside(text: str | None, study: Path | None) -> str | None:
    """A path on the command line starts from the current folder; one in a study starts from the study's."""
    if text is None or study is None or text.startswith(("pkg:", "random:")):
        return text
    is_path = text.startswith(("./", "../", "~")) or text.endswith((".gguf", ".jsonl"))
    return str(Path(text).expanduser().absolute()) if is_path else text


def _print_plan(plan: Plan, notes: Sequence[str], *, as_json: bool, verbose: bool) -> None:
    from llem.plan.show import describe, plan_json

    if as_json:
        click.echo(json.dumps(plan_json(plan), ensure_ascii=False, indent=1))
        return
    for note in notes:
        click.echo(f"llem: {note}", err=True)
    for line in describe(plan, plan.total if verbose else SHOWN_IN_PLAN):
        click.echo(line)


def _check_resume(
    resume: Path | None, output: Path | None, *, retry_failed: bool, allow_changes: bool, dry_run: bool
) -> None:
    """Raise click.UsageError for options that do not go with `--resume`, or not without it."""
    if resume is None and (retry_failed or allow_changes):
        option = "--retry-failed" if retry_failed else "--allow-changes"
        raise click.UsageError(
            f"{option} belongs to a study that goes on: give --resume STUDY_DIR, or use `llem resume`."
        )
    if resume is not None and output is not None:
        raise click.UsageError("a study goes on in its own folder: leave out --output, or --resume for a new study.")
    if resume is not None and dry_run:
        raise click.UsageError("--dry-run shows the plan of a new study: leave out --resume.")
