"""The rule by which ML.ENERGY calls a run stable, as its documentation states it (`LLMRuns.from_raw_results`, mlenergy-data 0.4.0).

A run is unstable where its steady state is shorter than 20 s, where its energy per token is missing or not above zero (such
a run has no place in the export), or where fewer than 85 % of `max_num_seqs` requests ran on average, as far as that was
seen. From the smallest batch size on that is unstable, all runs of a model, task, GPU and number of GPUs are.
Nothing that llem thinks of a run enters here.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

SHORTEST_S = 20.0
LEAST_FILL = 0.85


@dataclass(frozen=True)
class Checked:
    """Values that the rule looks at.

    Attributes:
        group: model, task, GPU and number of GPUs.
        duration_s: of the steady state.
        max_num_seqs: the most requests at once.
        running: mean number of requests running; None where it was not seen.
    """

    group: Hashable
    duration_s: float
    max_num_seqs: int
    running: float | None


def unstable_reasons(runs: Sequence[Checked]) -> list[str]:
    """Each run's reason, in the words of their reader; an empty text where it is stable."""
    own = [_reason(run) for run in runs]
    first: dict[Hashable, int] = {}
    for run, reason in zip(runs, own, strict=True):
        if reason:
            first[run.group] = min(run.max_num_seqs, first.get(run.group, run.max_num_seqs))
    return [reason or _cascade(run, first.get(run.group)) for run, reason in zip(runs, own, strict=True)]


def _reason(run: Checked) -> str:
    if run.duration_s < SHORTEST_S:
        return f"short_steady_state:{run.duration_s}"
    if run.running is not None and (fill := run.running / run.max_num_seqs) < LEAST_FILL:
        return f"low_batch_utilization:{fill:.6f}"
    return ""


def _cascade(run: Checked, first: int | None) -> str:
    return f"cascade_from_unstable_batch:{first}" if first is not None and run.max_num_seqs >= first else ""
