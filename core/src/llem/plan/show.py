"""A plan for people, line by line, and for programs, as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from llem.config.problems import shorten
from llem.plan.models import Plan
from llem.results.scrub import scrub, scrub_data
from llem.results.text import counted, duration

SHORT = 12
"""Digits of an identity that are shown."""


def describe(plan: Plan, limit: int) -> Iterator[str]:
    """The plan as text, at most `limit` of its runs, without secrets."""
    return map(scrub, _lines(plan, limit))


def _lines(plan: Plan, limit: int) -> Iterator[str]:
    execution = plan.execution
    least, most = execution.fewest_cycles, execution.most_cycles
    cycles = f"{least} to {most}" if least < most else f"{most}"
    lowest = plan.distinct if plan.search else plan.distinct * least
    runs = f"{lowest:,} to {counted(plan.total, 'experiment')}"
    yield f"study {plan.name}: {runs if lowest < plan.total else counted(plan.total, 'experiment')} to run" + (
        f" ({plan.distinct:,} × {cycles} cycles, {execution.order})" if most > 1 else ""
    )
    yield f"  design    {plan.study_design_hash}"
    for backend, choice in plan.runners.items():
        yield f"  runner    {backend} on {choice.text} ({choice.origin})"
    if execution.until.ci_width is not None:
        yield (
            f"  until     the 95 % interval of {execution.until.figure} is at most {execution.until.ci_width_text} "
            f"of its mean wide; {cycles} cycles of each experiment"
        )
    for text in plan.search.search.plan() if plan.search else ():
        yield f"  search    {text}"
    longer = f", up to {duration(plan.estimate_s + plan.warmup_room_s)} where warm-up needs its limit (warmup.max_s)"
    what = "one run of each configuration: " if plan.search else ""
    yield f"  time      {what}{duration(plan.estimate_s)} at least{longer if plan.warmup_room_s else ''}" + (
        f"; no experiment starts after {duration(execution.budget_s)}" if execution.budget_s is not None else ""
    )
    yield from _duplicates(plan)
    yield ""
    total = len(plan.experiments)
    width = len(str(total))
    for run in islice(plan.experiments, limit):
        cycle = f"  cycle {run.cycle}" if most > 1 else ""
        where = f"  {run.runner.text:<8}" if len(plan.runners) > 1 else ""
        yield f"  {run.position:>{width}}  {run.config_hash[:SHORT]}{cycle}{where}  {_values(run.point)}".rstrip()
    if total > limit:
        yield f"  … and {total - limit:,} more (-v lists all)"


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain data, without secrets."""
    data: dict[str, Any] = {
        "name": plan.name,
        "study_design_hash": plan.study_design_hash,
        "total": plan.total,
        "distinct": plan.distinct,
        "estimate_s": plan.estimate_s,
        "warmup_room_s": plan.warmup_room_s,
        "execution": plan.execution.model_dump(mode="json"),
        "search": list(plan.search.search.plan()) if plan.search else [],
        "runners": {
            backend: {"runner": choice.text, "origin": str(choice.origin)} for backend, choice in plan.runners.items()
        },
        "duplicates": {
            "count": plan.duplicates.count,
            "named": [
                {
                    "config_hash": pair.config_hash,
                    "kept": dict(pair.kept_values),
                    "dropped": dict(pair.dropped_values),
                }
                for pair in plan.duplicates.named
            ],
        },
        "experiments": [
            {
                "position": run.position,
                "cycle": run.cycle,
                "config_hash": run.config_hash,
                "runner": run.runner.text,
                "directory": run.directory,
                "point": dict(run.point),
            }
            for run in plan.experiments
        ],
    }
    return {**data, "duplicates": scrub_data(data["duplicates"]), "experiments": scrub_data(data["experiments"])}


def _duplicates(plan: Plan) -> Iterator[str]:
    found = plan.duplicates
    if not found.count:
        return
    come = "comes" if found.count == 1 else "come"
    yield f"  dropped   {counted(found.count, 'point')} that {come} to the same experiment as another:"
    for pair in found.named:
        yield f"            {_values(pair.dropped_values)} is {_values(pair.kept_values)}"
    if found.count > len(found.named):
        yield f"            … and {found.count - len(found.named):,} more"


def _values(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={shorten(value)}" for key, value in values.items()) or "the base configuration"
