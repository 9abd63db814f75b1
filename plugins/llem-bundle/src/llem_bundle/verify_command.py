"""`llem verify`: a bundle held against its own digests, readings and requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from llem_bundle.figures import Figure
    from llem_bundle.verifying import Verification


@click.command()
@click.argument("bundle", metavar="BUNDLE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--all", "show_all", is_flag=True, help="List the figures that are equal, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def verify(bundle: Path, show_all: bool, as_json: bool) -> int:
    """Hold a bundle against itself: is every figure what its raw data give?

    First every byte of the archive is held against the bundle's list of SHA-256; one that was changed is refused with the name of
    the file that it belongs to. Then energy, tokens, throughput, latency and means with their intervals are worked out anew from
    the readings of the meters and the rows of the requests, by code that shares nothing with what made them. Nothing is left on
    the disk, and nothing in the bundle is run.

    \b
    Exit codes: 0 no figure differs, 1 one does; 2 it is no bundle, or was changed.

    \b
    Examples:
      llem verify demo-20260101T120000Z.zip
      llem verify demo-20260101T120000Z.zip --all
      llem verify demo-20260101T120000Z.zip --json | jq '.figures[] | select(.verdict != "equal")'
    """
    from llem.plugin_api import one_line
    from llem_bundle.verifying import verify_bundle

    found = verify_bundle(bundle)
    if as_json:
        click.echo(json.dumps(found.document(), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        for line in _lines(found, show_all):
            click.echo(one_line(line))
    return found.exit_code


def _lines(found: Verification, show_all: bool) -> Iterator[str]:
    yield f"{found.bundle}: {found.files} files, each byte as it was bundled; {found.experiments} experiments with a result."
    equal, differs, open_ = (found.of(verdict) for verdict in ("equal", "differs", "not_verified"))
    if show_all:
        yield from (f"equal: {_figure(one)}" for one in equal)
    yield from (f"differs: {_figure(one)}" for one in differs)
    reasons: dict[str, list[Figure]] = {}
    for one in open_:
        reasons.setdefault(one.note, []).append(one)
    for why, figures in reasons.items():
        names = ", ".join(dict.fromkeys(one.name for one in figures))
        yield f"not verified: {len(figures)} figures ({names}): {why}."
    said = f"{len(equal)} figures are what the raw data give, {len(differs)} differ"
    yield said + (f", {len(open_)} could not be verified." if open_ else ".")


def _figure(one: Figure) -> str:
    again = "nothing" if one.recomputed is None else f"{one.recomputed:.9g}"
    give = f" ± {one.give:.2g}" if one.recomputed is not None and one.give > 0 else ""
    note = f" ({one.note})" if one.note else ""
    return f"{one.of}: {one.name}: stated {one.stated!r}, recomputed {again}{give}{note}"
