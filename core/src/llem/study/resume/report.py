"""The report to whoever resumes a study, before it goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Literal

from llem.specs.registry import SpecRegistry
from llem.study.hosts import differences, host

if TYPE_CHECKING:
    from llem.study.resume.resume import Resumable

_NAMED = 5
"""Number of experiments that are named in one sentence."""


def told(found: Resumable, registry: SpecRegistry) -> Iterator[tuple[Literal["info", "warning"], str]]:
    """The findings, what is kept, what runs again and why; a sentence each."""
    for text in _losses(found):
        yield "warning", text
    yield "info", f"{found.plan.manifest.name}: {'; '.join(_counts(found))}."
    if not found.remaining and found.to_resume.plan.search is None:
        return
    budget_s = found.to_resume.plan.execution.budget_s
    if found.plan.manifest.state == "stopped" and budget_s is not None:
        yield "info", f"the budget of {budget_s:g} s (execution.budget_s) begins anew."
    last = found.before.hosts[-1] if found.before is not None and found.before.hosts else None
    if last is not None and (differing := list(differences(last, host(registry)))):
        yield (
            "warning",
            f"the machine is not as it was ({'; '.join(differing)}): compare with care what ran before and after.",
        )


def _losses(found: Resumable) -> Iterator[str]:
    """Records that were there and cannot be kept."""
    inspection, entries = found.inspection, found.plan.manifest.experiments
    for text in inspection.damaged.values():
        yield f"{text} It is set aside, and the experiment runs again."
    if gone := inspection.gone:
        names = _names(entries[position - 1].directory.rpartition("/")[2] for position in gone)
        yield f"{_many(len(gone), 'result is', 'results are')} not there any more ({names}) and will be measured again."
    if dropped := found.plan.dropped:
        count = _many(len(dropped), "experiment is", "experiments are")
        yield f"{count} no longer part of the study: what there is of them is set aside."
    if strays := found.strays:
        count = _many(len(strays), "job directory belongs", "job directories belong")
        yield f"{count} to no experiment of this study and will be set aside ({_names(path.name for path in strays)})."


def _counts(found: Resumable) -> Iterator[str]:
    inspection, remaining = found.inspection, len(found.remaining)
    failed = sum(state == "failed" for state in inspection.kept.values())
    yield f"{len(inspection.kept) - failed} of {len(found.plan.runs)} experiments are done, checked and kept"
    if count := len(inspection.half_done):
        yield f"{count} under way when it ended {_either(count, 'runs', 'run')} again"
    if count := len(inspection.again):
        yield f"{count} that failed {_either(count, 'runs', 'run')} again"
    if failed:
        yield (
            f"{failed} failed and {_either(failed, 'stays', 'stay')} so "
            f"(--retry-failed runs {_either(failed, 'it', 'them')} again)"
        )
    states = [entry.state for entry in found.plan.manifest.experiments]
    if spared := states.count("not_needed"):
        yield f"{spared} {_either(spared, 'is', 'are')} not needed (execution.until)"
    if skipped := states.count("skipped"):
        yield f"{skipped} {_either(skipped, 'stays', 'stay')} skipped (--run-skipped runs {_either(skipped, 'it', 'them')})"
    if found.to_resume.plan.search is not None:
        yield f"{remaining} to run, then what the search asks for" if remaining else "the search goes on"
    else:
        yield f"{remaining} to run" if remaining else "nothing is left to run"


def _names(names: Iterable[str]) -> str:
    listed = list(islice(names, _NAMED + 1))
    return ", ".join(listed if len(listed) <= _NAMED else [*listed[:_NAMED], "…"])


def _many(count: int, one: str, several: str) -> str:
    return f"{count} {_either(count, one, several)}"


def _either(count: int, one: str, several: str) -> str:
    return one if count == 1 else several
