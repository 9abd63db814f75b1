"""Checks before a study: options that contradict the rest of the experiment, and an SGLang that llem-sglang does not know."""

from __future__ import annotations

from collections.abc import Iterator

from llem.plugin_api import ConfigError, Finding, PreflightContext
from llem_sglang import arguments
from llem_sglang.config import SCHEMA_VERSION
from llem_sglang.schema import DEFAULT, installed, versions


def check_options(context: PreflightContext) -> Iterator[Finding]:
    """Options of sglang that the section alone cannot judge."""
    for experiment in context.experiments:
        if experiment.backend != "sglang":
            continue
        try:
            arguments.check_options(experiment)
        except ConfigError as error:
            yield Finding(level="error", message=error.what, remedy=error.remedy)


def check_version(context: PreflightContext) -> Iterator[Finding]:
    """Compare the SGLang of this environment with those whose options are known."""
    found = installed()
    if found is None:
        if any(runner == "local" for backend, runner in context.runners.items() if backend == "sglang"):
            yield Finding(
                level="error",
                message="SGLang is not installed in this environment.",
                remedy="Install it in an environment without llem-pytorch and vLLM: pip install 'llem-sglang[engine]'.",
            )
        return
    if found not in versions():
        yield Finding(
            level="warning",
            message=f"SGLang {found} is installed, and llem-sglang knows the options of {', '.join(versions())}: "
            f"those of {SCHEMA_VERSION} are taken.",
            remedy=f"Install a known one: pip install sglang=={DEFAULT}; or a newer llem-sglang.",
        )
    else:
        yield Finding(level="ok", message=f"SGLang {found}, with its own options.")
