"""The check of what options of `pytorch:` mean where requests do not wait for one another. Imports no engine."""

from __future__ import annotations

from collections.abc import Iterator

from llem.plugin_api import ExperimentConfig, Finding, PreflightContext
from llem_pytorch.config import PyTorchConfig
from llem_pytorch.serving import settings


def check_serving(context: PreflightContext) -> Iterator[Finding]:
    """Options that no server has, or that the chosen one leaves unused, each said once."""
    said: set[str] = set()
    served = [e for e in context.experiments if settings.is_served(e)]
    for experiment in served:
        for finding in _findings(experiment):
            if finding.message not in said:
                said.add(finding.message)
                yield finding
    if not said:
        yield Finding(level="ok", message="pytorch can serve requests as its options say")


def _findings(experiment: ExperimentConfig) -> Iterator[Finding]:
    options = experiment.options
    if not isinstance(options, PyTorchConfig):
        return
    if (never := settings.never_served(options)) is not None:
        what, remedy = never
        yield Finding(level="error", message=what, remedy=remedy)
        return
    lacking = settings.only_in_queue(options, experiment.decoding)
    if lacking is not None and options.serving == "continuous":
        yield Finding(
            level="error", message=f"continuous batching has no {lacking}", remedy="Say pytorch.serving: queue."
        )
    elif lacking is None and options.serving != "queue" and (unused := settings.unused(options)) is not None:
        yield Finding(level="warning", message=unused, remedy="Leave it out, or say pytorch.serving: queue.")
