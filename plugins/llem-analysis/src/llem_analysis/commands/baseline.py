"""`llem baseline`: studies that a gate holds candidates against, accepted on purpose, in a folder or a branch of git."""

from __future__ import annotations

import json
from pathlib import Path

import click

from llem.plugin_api import study_folders

_STORE = click.option(
    "--store",
    metavar="FOLDER|git:BRANCH",
    required=True,
    help="Where baselines are: a folder, or a branch of the git repository of this folder.",
)


@click.group()
def baseline() -> None:
    """Keep studies as baselines of `llem gate`, in a folder or a branch of git.

    \b
    Examples:
      llem baseline accept results/main-20260101T120000Z --store git:llem-baseline
      llem baseline list --store git:llem-baseline
      llem gate main results/mine-20260102T120000Z --store git:llem-baseline --max-increase 3%
    """


@baseline.command()
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path), shell_complete=study_folders)
@_STORE
@click.option("--name", metavar="NAME", default="main", show_default=True, help="What the baseline is called.")
def accept(study: Path, store: str, name: str) -> None:
    """Make a finished study the baseline of this name.

    Keeps what a gate reads: configurations and results, no readings and no requests. The baseline before it stays until the new one
    is there as a whole. A branch gets one commit; the working tree and the index are not touched, and nothing is pushed.

    \b
    Examples:
      llem baseline accept results/main-20260101T120000Z --store git:llem-baseline
      llem baseline accept results/main-20260101T120000Z --store /shared/baselines --name main-h100
    """
    from llem_analysis.baselines import accept_baseline

    made = accept_baseline(study, store, name)
    click.echo(f"{made.study} is the baseline {made.name} of {store} now: {made.files} files, {_size(made.size)}.")
    if store.startswith("git:"):
        click.echo(f"Others get it when it is pushed: git push origin {store.removeprefix('git:')}")


@baseline.command(name="list")
@_STORE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_(store: str, as_json: bool) -> None:
    """Show the baselines of a store.

    \b
    Examples:
      llem baseline list --store git:llem-baseline
      llem baseline list --store /shared/baselines --json
    """
    from dataclasses import asdict

    from llem.plugin_api import table
    from llem_analysis.baselines import list_baselines

    found = list_baselines(store)
    if as_json:
        click.echo(
            json.dumps({"store": store, "baselines": [asdict(one) for one in found]}, ensure_ascii=False, indent=1)
        )
        return
    if not found:
        click.echo("No baseline yet.")
        return
    whole = [one for one in found if one.damage is None]
    if whole:
        rows = [[one.name, one.study, one.accepted_at, str(one.files), _size(one.size)] for one in whole]
        click.echo(table(["baseline", "study", "accepted, UTC", "files", "size"], rows, left=3))
    for one in found:
        if one.damage is not None:
            click.echo(f"{one.name}: {one.damage}")


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"
