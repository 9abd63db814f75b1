"""A study's summary, as text and as data: what `llem show` prints, and `llem run` and `llem resume` at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.plugin_api import Environment, StudyTable, counted, first_line, is_held, last_lines, one_line, study_head
from llem_analysis.manifest_head import Head, head_beside_results
from llem_analysis.registered_metrics import computed_columns
from llem_analysis.result_table import WithComputed
from llem_analysis.row_environments import differences, short_names
from llem_analysis.selection import Selection, select
from llem_analysis.shown_metrics import ShownMetric, shown_metrics
from llem_analysis.study_table import notes, study_table

if TYPE_CHECKING:
    from llem.plugin_api import Registry
    from llem_analysis.result_table import ResultTable

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
        first, limit, metrics: as `llem_analysis.selection.select` takes them.

    Raises:
        ResultError: the table or the manifest cannot be read.
    """
    selection = select(source, first=first, limit=limit, metrics=metrics)
    head, damage = _head(folder, has_results=selection.total > 0)
    totals = dict(head.totals) if head else {"experiments": selection.experiments, **selection.statuses}
    state = _state_of(folder, head.state) if head else None
    said = {
        **study_head(folder, head.name if head else folder.resolve().name, state, totals),
        "damage": damage,
        "where": list(where),
        "sort": sort,
        "configurations": selection.total,
    }
    if not head and not damage:
        said["next"] = None
    return StudySummary(said, selection, metrics)


def ended_study(folder: Path, registry: Registry, *, as_json: bool) -> StudySummary:
    """The summary with which `llem run` and `llem resume` end, by this name: all configurations in JSON, else `SHOWN`."""
    source = WithComputed(StudyTable(folder), computed_columns(registry))
    return study_summary(folder, source, limit=None if as_json else SHOWN, metrics=shown_metrics(registry))


def _head(folder: Path, *, has_results: bool) -> tuple[Head | None, list[str]]:
    """The manifest's word on the whole, and its damage. A study whose manifest is lost still has its results."""
    head, damage = head_beside_results(folder, has_results=has_results)
    if head is None or is_held(folder):  # while it is at work the last line of its journal may be under way
        return head, damage
    return head, list(head.damage)


def _state_of(folder: Path, state: str) -> str:
    """The state that a manifest tells, or `broken off` where it says running and no llem works on the study any more."""
    return "broken off" if state == "running" and not is_held(folder) else state


def _text(head: Mapping[str, Any], selection: Selection, metrics: Sequence[ShownMetric]) -> str:
    lines = [first_line(head)]
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
    lines += last_lines(head)
    return "\n".join(lines).rstrip()


def _environment_notes(selection: Selection) -> Iterator[str]:
    """Sentences on cycles or configurations of the study that ran in environments that are not alike, and on how many nodes that are."""
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
