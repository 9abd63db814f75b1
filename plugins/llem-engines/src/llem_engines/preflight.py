"""Checks before a study: options that contradict the rest of the experiment, and an engine whose options are not known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from llem.plugin_api import ConfigError, ExperimentConfig, Finding, PreflightContext
from llem_engines.schemas import OptionSchemas

Check = Callable[[ExperimentConfig], Iterable[ConfigError] | None]
"""Raises what is wrong with an experiment, or gives it where it may be several things."""


def option_findings(context: PreflightContext, backend: str, *checks: Check) -> Iterator[Finding]:
    """Options that the section alone cannot judge."""
    for experiment in context.experiments:
        if experiment.backend != backend:
            continue
        for check in checks:
            for error in _errors(check, experiment):
                yield Finding(level="error", message=error.what, remedy=error.remedy)


def version_findings(context: PreflightContext, schemas: OptionSchemas, install: str) -> Iterator[Finding]:
    """Compare the engine of this environment with those whose options are known.

    Args:
        context: of the check.
        schemas: of the engine.
        install: how to install it, as a sentence.
    """
    names, found = schemas.names, schemas.installed()
    engine, backend, package, default = names.engine, names.backend, names.distributions[0], schemas.default
    if found is None:
        if context.runners.get(backend) == "local":
            yield Finding(level="error", message=f"{engine} is not installed in this environment.", remedy=install)
        return
    if found not in (known := schemas.versions()):
        yield Finding(
            level="warning",
            message=f"{engine} {found} is installed, and llem-{backend} knows the options of {', '.join(known)}: "
            f"those of {default} are taken.",
            remedy=f"Install a known one: pip install {package}=={default}; or a newer llem-{backend}.",
        )
    elif found != default:
        yield Finding(
            level="warning",
            message=f"{engine} {found} is installed: its options are known, and llem-{backend} was tried with {engine} {default} only.",
            remedy=f"Install that one: pip install {package}=={default}; or compare some answers and figures first.",
        )
    else:
        yield Finding(level="ok", message=f"{engine} {found}, with its own options.")


def _errors(check: Check, experiment: ExperimentConfig) -> Iterator[ConfigError]:
    try:
        yield from check(experiment) or ()
    except ConfigError as error:
        yield error
