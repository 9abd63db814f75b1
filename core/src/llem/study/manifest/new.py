"""The manifest of a plan that has not begun."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from llem.results.scrub import scrub, scrub_data
from llem.results.store import EXPERIMENTS
from llem.study.manifest.manifest import Entry, StudyManifest, now_utc

if TYPE_CHECKING:
    from llem.plan import Plan, Planned


def new_manifest(plan: Plan) -> StudyManifest:
    """Every experiment of the plan, pending; of a search none yet."""
    entry = entries()
    planned = () if plan.search else plan.experiments
    return StudyManifest(
        name=plan.name, created_at=now_utc(), experiments=[entry(one, one.position) for one in planned], **design(plan)
    )


def design(plan: Plan) -> dict[str, Any]:
    """A manifest's facts of the plan as a whole."""
    execution = plan.execution
    return {
        "llem_version": importlib.metadata.version("llem"),
        "study_design_hash": plan.study_design_hash,
        "order": execution.order,
        "seed": execution.seed,
        "cycles": execution.most_cycles,
        "until": execution.until.model_dump(mode="json") if execution.until.ci_width is not None else None,
    }


def entries() -> Callable[[Planned, int], Entry]:
    """Makes the entry of an experiment at a position, free of secrets."""
    known = cache(scrub)

    def hidden(value: Any) -> Any:
        # Few texts make many points: each is looked through once.
        return known(value) if isinstance(value, str) else scrub_data(value)

    def entry(planned: Planned, position: int) -> Entry:
        point: Mapping[str, Any] = {key: hidden(value) for key, value in planned.point.items()}
        return Entry(
            position=position,
            cycle=planned.cycle,
            config_hash=planned.config_hash,
            directory=f"{EXPERIMENTS}/{planned.directory}",
            point=point,
        )

    return entry
