"""A load against the time after which its experiment is given up (`limits.timeout_s`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llem.plugin_api import ExperimentConfig, Finding, PreflightContext, duration
from llem_serving.config import LoadConfig
from llem_serving.load_time import least_s, longest_s


def extended(timeout_s: float, load: LoadConfig, longer: Mapping[str, float]) -> dict[str, float]:
    """The limit of a run that a search makes longer, by its dotted key: it grows by as much. Empty where the run is as it was.

    Args:
        timeout_s: the limit that the study gives.
        load: as the study has it.
        longer: dotted keys of what takes longer, as of `run_length`.
    """
    if not longer:
        return {}
    found = load.model_copy(update={key.partition(".")[2]: value for key, value in longer.items()})
    return {"limits.timeout_s": timeout_s + longest_s(found) - longest_s(load)}


def check_time_limit(context: PreflightContext) -> Iterator[Finding]:
    """A load ends before its experiment is given up: else hours would go by for a failure."""
    told: set[str] = set()
    for experiment in context.experiments:
        finding = _found(experiment)
        if finding is not None and finding.message not in told:
            told.add(finding.message)
            yield finding


def _found(experiment: ExperimentConfig) -> Finding | None:
    load, limit_s = experiment.sections.get("load"), experiment.limits.timeout_s
    if not isinstance(load, LoadConfig):
        return None
    least, longest = least_s({"load": load}), longest_s(load)
    ample = f"Set execution.timeout_s: {2 * longest:.0f}, or shorten load.duration_s or load.steady_s."
    if least >= limit_s:
        return Finding(
            level="error",
            message=f"the load takes {duration(least)} at the least, and an experiment is given up after {duration(limit_s)} "
            "(execution.timeout_s)",
            remedy=ample,
        )
    if longest >= limit_s:
        return Finding(
            level="warning",
            message=f"the load takes up to {duration(longest)}, and an experiment is given up after {duration(limit_s)} "
            "(execution.timeout_s): one that waits long for a steady state fails",
            remedy=ample,
        )
    return Finding(level="ok", message=f"the load takes {duration(longest)} at the most, of {duration(limit_s)}")
