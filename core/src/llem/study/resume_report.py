"""What whoever resumes a study is told before it goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from llem.study.hosts import differences, host

if TYPE_CHECKING:
    from llem.study.agreement import Wishes
    from llem.study.resume import Found

_NAMED = 5
"""So many experiments are named in one sentence."""


def told(found: Found, wishes: Wishes) -> Iterator[tuple[Literal["info", "warning"], str]]:
    """What was found, what is kept, what runs again and why; a sentence each."""
    survey, manifest = found.survey, found.laid.manifest
    for text in survey.damaged.values():
        yield "warning", f"{text} It is set aside, and the experiment runs again."
    if survey.gone:
        names = _names(found, survey.gone)
        yield (
            "warning",
            f"{_count(survey.gone, 'result')} that the manifest knows of {_is(survey.gone)} gone ({names}); {_it(survey.gone)} again.",
        )
    if found.laid.dropped:
        yield (
            "warning",
            f"{_count(found.laid.dropped, 'experiment')} no longer part of the study: what there is of them is set aside.",
        )
    if found.strays:
        names = ", ".join(path.name for path in found.strays[:_NAMED]) + (", …" if len(found.strays) > _NAMED else "")
        yield (
            "warning",
            f"{_count(found.strays, 'job directory', 'job directories')} of no experiment of this study: set aside ({names}).",
        )
    failed = [position for position, state in survey.kept.items() if state == "failed"]
    remaining = len(found.remaining)
    parts = [f"{len(survey.kept) - len(failed)} of {len(found.laid.runs)} experiments are done, checked and kept"]
    if survey.half_done:
        parts.append(f"{len(survey.half_done)} under way when it ended {_it(survey.half_done)} again")
    if survey.again:
        parts.append(f"{len(survey.again)} that failed {_it(survey.again)} again")
    if failed:
        parts.append(
            f"{len(failed)} failed and {'stays' if len(failed) == 1 else 'stay'} so (--retry-failed runs {'it' if len(failed) == 1 else 'them'} again)"
        )
    parts.append(f"{remaining} to run" if remaining else "nothing is left to run")
    yield "info", f"{manifest.name}: {'; '.join(parts)}."
    if not remaining:
        return
    if manifest.state == "stopped" and found.agreement.plan.execution.budget_s is not None:
        yield "info", f"the budget of {found.agreement.plan.execution.budget_s:g} s (execution.budget_s) begins anew."
    last = found.before.hosts[-1] if found.before is not None and found.before.hosts else None
    if last is not None and (differing := list(differences(last, host()))):
        yield (
            "warning",
            f"the machine is not as it was ({'; '.join(differing)}): compare with care what ran before and after.",
        )


def _names(found: Found, positions: Sequence[int]) -> str:
    names = [found.laid.manifest.experiments[p - 1].directory.rpartition("/")[2] for p in positions[:_NAMED]]
    return ", ".join(names) + (", …" if len(positions) > _NAMED else "")


def _count(what: Sequence[object], noun: str, several: str | None = None) -> str:
    return f"{len(what)} {noun if len(what) == 1 else several or noun + 's'}"


def _is(what: Sequence[object]) -> str:
    return "is" if len(what) == 1 else "are"


def _it(what: Sequence[object]) -> str:
    return "runs" if len(what) == 1 else "run"
