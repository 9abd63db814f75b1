"""Checks before a study: options that contradict the rest of the experiment, and a vLLM that llem-vllm does not know."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from llem.plugin_api import ConfigError, ExperimentConfig, Finding, PreflightContext
from llem_engines.preflight import option_findings, version_findings
from llem_vllm.arguments import check_lengths
from llem_vllm.config import is_served
from llem_vllm.flags import check_flags
from llem_vllm.frontend import INSTALL_CLIENT, NO_CLIENT
from llem_vllm.schema import SCHEMAS


def check_options(context: PreflightContext) -> Iterator[Finding]:
    """Options of vllm that the section alone cannot judge."""
    return option_findings(context, "vllm", check_lengths, _flags)


def _flags(experiment: ExperimentConfig) -> Iterator[ConfigError]:
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
    install = "Run it in its image, or install it in an environment without llem-pytorch: pip install 'llem-vllm[engine]' ([engine-cpu] without a GPU)."
    return version_findings(context, SCHEMAS, install)
