"""Checks that break one promise each. The name of the test that must notice stands in `lies`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

from llem.plugin_api import Finding, PreflightContext

_asked: list[int] = []


def honest(context: PreflightContext) -> Iterator[Finding]:
    if context.base_dir.joinpath("trouble").exists():
        yield Finding(level="warning", message="there is trouble", remedy="Remove it.")


def blind(context: PreflightContext) -> Iterator[Finding]:
    yield Finding(level="ok", message="all is well")


def helpless(context: PreflightContext) -> Iterator[Finding]:
    for finding in honest(context):
        yield Finding(level="error", message=finding.message)


def meddling(context: PreflightContext) -> Iterator[Finding]:
    yield from honest(context)
    os.environ["MEDDLED"] = str(len(_asked))
    _asked.append(1)
    context.base_dir.joinpath(f"meddled{len(_asked)}").write_text("here I was")


def moody(context: PreflightContext) -> Iterator[Finding]:
    _asked.append(1)
    level = "error" if len(_asked) % 2 else "warning"
    yield Finding(level=level, message="it depends", remedy="Ask again.")  # type: ignore[arg-type]


def littering(context: PreflightContext) -> Iterator[Finding]:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(90)"])
    yield from honest(context)


def chatty(context: PreflightContext) -> Iterator[Finding]:
    yield Finding(level="warning", message="one line\nand another", remedy="Listen.")


def not_a_finding(context: PreflightContext) -> Iterator[Finding]:
    yield "there is trouble"  # type: ignore[misc]


def lost_at_doctor(context: PreflightContext) -> Iterator[Finding]:
    context.experiments[0]
    yield from honest(context)
