"""`llem bundle`: a study as one archive that others can check."""

from __future__ import annotations

from pathlib import Path

import click

from llem.plugin_api import study_folders


@click.command()
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path), shell_complete=study_folders)
@click.option(
    "--output",
    "-o",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="File to write. Default: the study's name with .zip, in this folder.",
)
@click.option(
    "--without-series",
    is_flag=True,
    help="Leave out readings and requests. Energy, tokens, throughput and latency can then not be verified.",
)
@click.option(
    "--with-prompts",
    is_flag=True,
    help="Put in the files of prompts and arrivals that the study names, where their licence allows it: llem replicate needs them.",
)
@click.option(
    "--rules", metavar="NAME|FILE", default="publication", show_default=True, help="The rules of the audit in it."
)
@click.option("--dry-run", is_flag=True, help="Say how large it would be, and write nothing.")
def bundle(
    study: Path, output: Path | None, without_series: bool, with_prompts: bool, rules: str, dry_run: bool
) -> None:
    """Write a study as one archive that others can check with `llem verify`.

    A ZIP archive, which is an RO-Crate: study file, configurations, results, every reading and request, packages, hardware, audit,
    methods, report (where llem-report is installed), citation, and the SHA-256 of each file. The same study gives the same bytes. A
    study that holds a secret or a link is refused, and nothing is overwritten.

    \b
    Examples:
      llem bundle results/demo-20260101T120000Z --dry-run
      llem bundle results/demo-20260101T120000Z
      llem bundle results/demo-20260101T120000Z --with-prompts
      llem bundle results/demo-20260101T120000Z --without-series -o demo-small.zip
    """
    from llem_bundle.bundling import prepare, refuse_existing

    path = Path(f"{study.resolve().name}.zip") if output is None else output
    if not dry_run:
        refuse_existing(path)
    prepared = prepare(study, series=not without_series, rules=rules, prompts=with_prompts)
    click.echo(f"{prepared.count} files, {_size(prepared.size)}.")
    if without_series:
        click.echo(
            "Left out: readings and requests. Energy, tokens, throughput and latency cannot be verified from this bundle."
        )
    if not dry_run:
        prepared.write(path)
        click.echo(f"Wrote {path}.")


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"
