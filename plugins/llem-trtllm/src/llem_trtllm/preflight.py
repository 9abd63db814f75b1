"""Checks before a study: options that contradict the rest of the experiment, and a TensorRT-LLM that llem-trtllm does not know."""

from __future__ import annotations

from collections.abc import Iterator

from llem.plugin_api import Finding, PreflightContext
from llem_engines.preflight import option_findings, version_findings
from llem_trtllm import arguments
from llem_trtllm.schema import SCHEMAS

INSTALL = (
    "Run it in its image, or install it, on Linux with an NVIDIA GPU, in an environment without llem-pytorch, vLLM and SGLang: "
    "pip install 'llem-trtllm[engine]'."
)


def check_options(context: PreflightContext) -> Iterator[Finding]:
    """Options of trtllm that the section alone cannot judge."""
    return option_findings(context, "trtllm", arguments.check_options)


def check_version(context: PreflightContext) -> Iterator[Finding]:
    """Compare the TensorRT-LLM of this environment with those whose options are known."""
    return version_findings(context, SCHEMAS, INSTALL)
