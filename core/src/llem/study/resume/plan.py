"""The plan of a study that goes on: its experiments in the earlier manifest, what is left to run, and what has ended."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from llem.plan import Plan, Planned
from llem.plan.models import Runs
from llem.results.models import ExperimentResult
from llem.study.manifest.manifest import Entry, StudyManifest
from llem.study.manifest.new import design, entries


class PlacedRuns(Runs):
    """Some runs of a plan, each at its position in the manifest, in the order of positions.

    Args:
        plan: what they are of.
        places: (position in the manifest from 1, place in the plan from 0) of each.
    """

    def __init__(self, plan: Plan, places: Iterable[tuple[int, int]]) -> None:
        self._plan = plan
        self._positions, self._places = array("Q"), array("Q")
        for position, place in sorted(places):
            self._positions.append(position)
            self._places.append(place)

    def __len__(self) -> int:
        return len(self._places)

    def _run(self, index: int) -> Planned:
        planned = self._plan.experiments[self._places[index]]
        position = self._positions[index]
        return planned if planned.position == position else replace(planned, position=position)

    def only(self, positions: Iterable[int]) -> PlacedRuns:
        """Those at these positions."""
        wanted = set(positions)
        return PlacedRuns(
            self._plan, ((p, place) for p, place in zip(self._positions, self._places, strict=True) if p in wanted)
        )


@dataclass(frozen=True)
class Remaining:
    """Where a study goes on.

    Attributes:
        manifest: with the state of every experiment as it was found.
        remaining: what is left to run, in order; positions are the manifest's.
        ended: results that are kept, in order, for `execution.until` and `execution.placement`; empty where the study
            asks for neither.
    """

    manifest: StudyManifest
    remaining: Sequence[Planned]
    ended: Sequence[tuple[Planned, ExperimentResult]] = field(default_factory=list)


@dataclass(frozen=True)
class ResumePlan:
    """The part of an earlier manifest that stays in the study, and the experiments that are new.

    Attributes:
        manifest: positions of the earlier one stay what they were; what is new comes after them.
        runs: every experiment that the study consists of now.
        dropped: entries that are no longer part of it.
        added: positions that are new, or part of it again.
    """

    manifest: StudyManifest
    runs: PlacedRuns
    dropped: Sequence[Entry]
    added: Sequence[int]


def resume_plan(manifest: StudyManifest, plan: Plan) -> ResumePlan:
    """Find every experiment of the plan in the manifest, by identity and cycle. The manifest given is not changed."""
    rows = [replace(entry) for entry in manifest.experiments]
    if plan.search is not None:
        asked = plan.search.made((entry.config_hash, entry.cycle, entry.point) for entry in rows)
        plan = replace(plan, experiments=list(asked))
    known = {(entry.config_hash, entry.cycle): entry.position for entry in rows}
    entry = entries()
    places: list[tuple[int, int]] = []
    added = []
    for place, planned in enumerate(plan.experiments):
        position = known.pop((planned.config_hash, planned.cycle), None)
        if position is None:
            position = len(rows) + 1
            rows.append(entry(replace(planned, position=position), position))
            added.append(position)
        elif rows[position - 1].state == "dropped":
            rows[position - 1].state = "pending"
            added.append(position)
        places.append((position, place))
    dropped = [rows[position - 1] for position in known.values() if rows[position - 1].state != "dropped"]
    for row in dropped:
        row.state = "dropped"
    merged = replace(manifest, experiments=rows, **design(plan))
    return ResumePlan(merged, PlacedRuns(plan, places), dropped, added)
