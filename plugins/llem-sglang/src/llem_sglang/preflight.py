"""Checks before a study: options that contradict the rest of the experiment, and an SGLang that llem-sglang does not know."""

from __future__ import annotations

from collections.abc import Iterator

from llem.plugin_api import Finding, PreflightContext
from llem_engines.preflight import option_findings, version_findings
from llem_sglang import arguments
from llem_sglang.schema import SCHEMAS


def check_options(context: PreflightContext) -> Iterator[Finding]:
    """Options of sglang that the section alone cannot judge."""
    return option_findings(context, "sglang", arguments.check_options)


def check_version(context: PreflightContext) -> Iterator[Finding]:
    """Compare the SGLang of this environment with those whose options are known."""
    install = "Install it in an environment without llem-pytorch and vLLM: pip install 'llem-sglang[engine]'."
    return version_findings(context, SCHEMAS, install)
