"""A study's summary, as text and as data: what `llem show` prints, and `llem run` and `llem resume` at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.cli.next_step import next_step, state_of
from llem.cli.present import notes, study_table
from llem.cli.table import one_line
from llem.errors import FAILED_EXPERIMENTS, ResultError, help_url
from llem.results.text import PARAGRAPH, counted

if TYPE_CHECKING:
    from llem.metrics.environments import Environment
    from llem.metrics.selection import ResultTable, Selection
    from llem.metrics.shown import ShownMetric
    from llem.study.manifest.head import Head

SHOWN = 100
"""Number of configurations that are listed where nobody asks for more."""

_MOST_NODES = 8


@dataclass(frozen=True)
class StudySummary:
    """A study's results as `llem show` tells them.

    Attributes:
        head: what is said of the study as a whole.
        metrics: registered ones that have columns of the table.
    """

    head: Mapping[str, Any]
    selection: Selection
    metrics: Sequence[ShownMetric] = ()

    def document(self) -> dict[str, Any]:
        """As plain data."""
        return {**self.head, "experiments": [c.document() for c in self.selection.configurations]}

    def text(self) -> str:
        """For people."""
        return _text(self.head, self.selection, self.metrics)


def study_summary(
    folder: Path,
    source: ResultTable,
    *,
    where: Sequence[str] = (),
    sort: str | None = None,
    first: Sequence[str] = (),
    limit: int | None = SHOWN,
    metrics: Sequence[ShownMetric] = (),
) -> StudySummary:
    """Summarise a study.

    Args:
        folder: the study's; what its manifest says of the whole stands above the table.
        source: its results, those that are chosen.
        where, sort: what they were chosen and ordered by, in the user's words.
        first, limit, metrics: as `llem.metrics.selection.select` takes them.

    Raises:
        ResultError: the table or the manifest cannot be read.
    """
    from llem.metrics.selection import select

    selection = select(source, first=first, limit=limit, metrics=metrics)
    head, damage = _head(folder, has_results=selection.total > 0)
    totals = dict(head.totals) if head else {"experiments": selection.experiments, **selection.statuses}
    state = state_of(folder, head.state) if head else None
    said = {
        "study": head.name if head else folder.resolve().name,
        "directory": str(folder),
        "state": state,
        "counts": totals,
        "damage": damage,
        "next": next_step(folder, state, totals) if head or damage else None,
        "help": help_url(FAILED_EXPERIMENTS) if totals.get("failed") else None,
        "search": _search(folder),
        "where": list(where),
        "sort": sort,
        "configurations": selection.total,
    }
    return StudySummary(said, selection, metrics)


def _head(folder: Path, *, has_results: bool) -> tuple[Head | None, list[str]]:
    """The manifest's word on the whole, and its damage. A study whose manifest is lost still has its results."""
    from llem.study.lock import is_held
    from llem.study.manifest.head import head_beside_results

    head, damage = head_beside_results(folder, has_results=has_results)
    if head is None or is_held(folder):  # while it is at work the last line of its journal may be under way
        return head, damage
    return head, list(head.damage)


def _search(folder: Path) -> dict[str, Any] | None:
    """The answer of a study that searches; None where there is none, or none that can be read."""
    from llem.results.store import SEARCH, read_object

    try:
        return read_object(folder / SEARCH, "answer")
    except ResultError:
        return None


def _text(head: Mapping[str, Any], selection: Selection, metrics: Sequence[ShownMetric]) -> str:
    counts = dict(head["counts"])
    total = counts.pop("experiments")
    found = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if count)
    state = f", {head['state']}" if head["state"] else ""
    lines = [f"{head['study']}{state}: {total} experiment{'s' * (total != 1)}, {found or 'none has ended'}"]
    if head["where"]:
        met = _statuses(selection.statuses)
        lines.append(
            f"where {' and '.join(head['where'])}: {counted(selection.experiments, 'experiment')} of "
            f"{counted(selection.total, 'configuration')}{f', {met}' if met else ''}"
        )
    lines.append("")
    if selection.configurations:
        lines += [study_table(selection.configurations, metrics), ""]
    if selection.hidden:
        order = f"by {head['sort']}" if head["sort"] else "in the order in which they ran"
        lines.append(
            f"{selection.total - selection.hidden} of {selection.total:,} configurations, {order}; "
            "--sort, --where and --limit choose others (--limit 0: all)."
        )
    lines += _environment_notes(selection)
    lines += notes(selection.configurations)
    if selection.hidden:
        # What is not listed must not be out of sight.
        lines += [
            f"warning: {code}: on {counted(count, 'experiment')} in all; --where warnings={code} lists them"
            for code, count in selection.warnings.most_common()
        ]
        if failed := selection.statuses.get("failed"):
            lines.append(f"failed: {counted(failed, 'experiment')} in all; --where status=failed lists them")
    lines += [f"damaged: {text}" for text in head["damage"]]
    said = head["search"].get("said") if head["search"] else None
    if isinstance(said, list):
        lines += ["", *(one_line(str(text), PARAGRAPH) for text in said)]
    if head["next"]:
        lines += ["", f"{'run again what failed' if head['state'] == 'complete' else 'go on'}: {head['next']}"]
    if head["help"]:
        lines += [*([] if head["next"] else [""]), f"why experiments fail: {head['help']}"]
    return "\n".join(lines).rstrip()


def _environment_notes(selection: Selection) -> Iterator[str]:
    """Sentences on cycles or configurations of the study that ran in environments that are not alike, and on how many nodes that are."""
    from llem.metrics.environments import differences, short_names

    parts: dict[str, list[Environment]] = {}
    for c in selection.configurations:
        if c.is_part:
            parts.setdefault(str(c.config_hash), []).append(c.environment)
    if parts:
        names = list(dict.fromkeys(name for kinds in parts.values() for name in differences(kinds)))
        first = next(iter(parts.values()))
        yield (
            f"warning: unlike_cycles: cycles of {counted(len(parts), 'configuration')} ran in environments that differ in "
            f"{', '.join(names)} ({one_line('; '.join(short_names(first)))}); each has a line of its own, and they are never "
            "averaged."
        )
    kinds = selection.kinds
    if len(kinds) > 1:
        apart, named = ", ".join(differences(kinds)), one_line("; ".join(short_names(kinds)))
        yield f"warning: unlike_nodes: the study ran on nodes that differ in {apart} ({named}): compare within one kind."
    elif len(selection.nodes) > 1:
        listed = ", ".join(sorted(selection.nodes)[:_MOST_NODES]) + (
            ", …" if len(selection.nodes) > _MOST_NODES else ""
        )
        yield f"ran on {len(selection.nodes)} nodes, alike in all that they tell: {listed}"


def _statuses(statuses: Counter[str]) -> str:
    return ", ".join(f"{count:,} {status}" for status, count in statuses.most_common())
