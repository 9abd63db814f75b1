"""`llem show`: the figures of a study or of one experiment."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from llem.analysis.summary import Configuration, parquet_rows, summarise
from llem.cli.next_step import next_step, state_of
from llem.cli.present import notes, result_text, study_table
from llem.errors import ResultError
from llem.results.aggregate import aggregate
from llem.results.job_directory import EXPERIMENT, RESULT
from llem.results.parts import PARQUET
from llem.results.rows import study_rows
from llem.results.store import EXPERIMENTS, MANIFEST, is_study, read_result
from llem.study.lock import is_held
from llem.study.manifest import PREVIOUS, ManifestError, StudyManifest, recover


@click.command()
@click.argument("path", metavar="RESULT_OR_STUDY", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--rebuild", is_flag=True, help="First write the study's results.parquet anew from its experiments' folders."
)
def show(path: Path, as_json: bool, rebuild: bool) -> None:
    """Show a study or a result as a table.

    Takes a study's folder, one experiment's folder, a result.json or a results.parquet. Cycles of one configuration are
    brought together as mean ± standard deviation. – is a figure that was not measured; ~ marks an estimate.

    \b
    Examples:
      llem show results/demo-20260101T120000Z
      llem show results/demo-20260101T120000Z/experiments/NAME
      llem show results/demo-20260101T120000Z --json | jq .experiments
    """
    if not path.exists():
        raise ResultError("there is nothing here.", where=str(path), remedy="Give a study's folder or a result.json.")
    if rebuild:
        aggregate(path, rebuild=True)
    if path.name == RESULT or (path.is_dir() and (path / RESULT).is_file()):
        result = read_result(path).model_dump(mode="json")
        click.echo(json.dumps(result, ensure_ascii=False, indent=1) if as_json else result_text(result))
        return
    if path.is_dir() and is_study(path):
        folder, configurations = path, summarise(study_rows(path))
    elif path.suffix == ".parquet":
        from llem.results.parts import read_parquet

        folder, configurations = path.parent, summarise(parquet_rows(read_parquet(path)))
    elif (path / EXPERIMENT).is_file():
        raise ResultError(
            "this experiment has no result yet: it is still running, or its study was ended.", where=str(path)
        )
    elif path.is_dir() and (studies := [p for p in path.iterdir() if is_study(p)]):
        newest = max(studies, key=lambda p: p.stat().st_mtime)
        raise ResultError(
            f"this folder holds {len(studies)} stud{'ies' if len(studies) > 1 else 'y'}; name one.",
            where=str(path),
            remedy=f"The newest: llem show {newest}.",
        )
    else:
        raise ResultError(
            f"this is neither a study's folder ({MANIFEST}, {EXPERIMENTS}/) nor an experiment's ({RESULT}), "
            f"nor a {RESULT} or {PARQUET}.",
            where=str(path),
            remedy="Give what `llem run` named at its end, such as results/NAME-TIMESTAMP.",
        )
    document = study_document(folder, configurations)
    click.echo(json.dumps(document, ensure_ascii=False, indent=1) if as_json else study_text(document, configurations))


def study_document(folder: Path, configurations: Sequence[Configuration]) -> dict[str, Any]:
    """A study's summary as plain data: state and counts from its manifest, a summary for each configuration."""
    manifest, damage = _manifest(folder)
    statuses: Counter[str] = Counter()
    for c in configurations:
        statuses.update(c.statuses)
    counts = manifest.totals if manifest else {"experiments": statuses.total(), **statuses}
    state = state_of(folder, manifest.state) if manifest else None
    return {
        "study": manifest.name if manifest else folder.resolve().name,
        "directory": str(folder),
        "state": state,
        "counts": counts,
        "damage": damage,
        "next": next_step(folder, state or "broken off", counts) if manifest or damage else None,
        "experiments": [c.document() for c in configurations],
    }


def _manifest(folder: Path) -> tuple[StudyManifest | None, list[str]]:
    """The manifest, and what is damaged. A study whose manifest is lost still has its results."""
    if not (folder / MANIFEST).exists() and not (folder / PREVIOUS).exists():
        return None, []
    try:
        found = recover(folder)
    except ManifestError as error:
        return None, [str(error)]
    return found.manifest, [] if is_held(folder) else list(found.damage)


def study_text(document: dict[str, Any], configurations: Sequence[Configuration]) -> str:
    """A study's summary for people."""
    counts = dict(document["counts"])
    total = counts.pop("experiments")
    found = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if count)
    state = f", {document['state']}" if document["state"] else ""
    lines = [f"{document['study']}{state}: {total} experiment{'s' * (total != 1)}, {found or 'none has ended'}", ""]
    if configurations:
        lines += [study_table(configurations), ""]
    lines += notes(configurations)
    lines += [f"damaged: {text}" for text in document["damage"]]
    if document["next"]:
        failed = document["state"] == "complete"
        lines += ["", f"{'run again what failed' if failed else 'go on'}: {document['next']}"]
    return "\n".join(lines).rstrip()
