"""Checks before a study: options that contradict the rest of the experiment, and a vLLM that llem-vllm does not know."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from llem.plugin_api import ConfigError, ExperimentConfig, Finding, PreflightContext
from llem_vllm.arguments import check_lengths
from llem_vllm.config import SCHEMA_VERSION, is_served
from llem_vllm.flags import check_flags
from llem_vllm.frontend import INSTALL_CLIENT, NO_CLIENT
from llem_vllm.schema import DEFAULT, installed, versions


def check_options(context: PreflightContext) -> Iterator[Finding]:
    """Options of vllm that the section alone cannot judge."""
    for experiment in context.experiments:
        if experiment.backend != "vllm":
            continue
        for error in _troubles(experiment):
            yield Finding(level="error", message=error.what, remedy=error.remedy)


def _troubles(experiment: ExperimentConfig) -> Iterator[ConfigError]:
    try:
        check_lengths(experiment)
    except ConfigError as error:
        yield error
    if is_served(experiment.options):
        yield from check_flags(experiment.options)


def check_client(context: PreflightContext) -> Iterator[Finding]:
    """See that what asks a server is installed where experiments run that have one."""
    if any(one.backend == "vllm" and is_served(one.options) for one in context.experiments):
        if importlib.util.find_spec("llem_openai") is None:
            yield Finding(level="error", message=NO_CLIENT, remedy=f"{INSTALL_CLIENT}.")
        else:
            yield Finding(level="ok", message="llem-openai asks the server of vllm.frontend: http.")


def check_version(context: PreflightContext) -> Iterator[Finding]:
    """Compare the vLLM of this environment with those whose options are known."""
    found = installed()
    if found is None:
        if any(runner == "local" for backend, runner in context.runners.items() if backend == "vllm"):
            yield Finding(
                level="error",
                message="vLLM is not installed in this environment.",
                remedy="Run it in its image, or install it in an environment without llem-pytorch: "
                "pip install 'llem-vllm[engine]' ([engine-cpu] without a GPU).",
            )
        return
    if found not in versions():
        yield Finding(
            level="warning",
            message=f"vLLM {found} is installed, and llem-vllm knows the options of {', '.join(versions())}: "
            f"those of {SCHEMA_VERSION} are taken.",
            remedy=f"Install a known one: pip install vllm=={DEFAULT}; or a newer llem-vllm.",
        )
    elif found != DEFAULT:
        yield Finding(
            level="warning",
            message=f"vLLM {found} is installed: its options are known, and llem-vllm was tried with vLLM {DEFAULT} only.",
            remedy=f"Install that one: pip install vllm=={DEFAULT}; or compare some answers and figures first.",
        )
    else:
        yield Finding(level="ok", message=f"vLLM {found}, with its own options.")
