"""Accelerators that a program of the site tells of, in a file, as a plugin of llem."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.plugin_api import (
    API_VERSION,
    Accelerator,
    AcceleratorLimits,
    AcceleratorMemory,
    AcceleratorSpec,
    hookimpl,
)

FILE = "FILE_ACCELERATORS"
VISIBLE = "FILE_ACCELERATORS_VISIBLE"


@hookimpl
def llem_accelerators() -> Sequence[AcceleratorSpec]:
    """The accelerators of the file."""
    return [
        AcceleratorSpec(
            name="file",
            api_version=API_VERSION,
            summary="accelerators that a program of yours tells of, in the file FILE_ACCELERATORS",
            find="llem_file_accelerators:find",
            confine="llem_file_accelerators:confine",
        )
    ]


def find() -> list[Accelerator]:
    """Those that this process may use; none without a file. One that is half written raises: llem says so and goes on."""
    name = os.environ.get(FILE)
    if not name or not Path(name).exists():
        return []
    visible = os.environ.get(VISIBLE)
    ids = None if visible is None else visible.split(",")
    told = json.loads(Path(name).read_text(encoding="utf-8"))
    return [_accelerator(one) for one in told if ids is None or one["id"] in ids]


def confine(ids: Sequence[str]) -> Mapping[str, str]:
    """The variable by which a process sees these and no others."""
    return {VISIBLE: ",".join(ids)}


def _accelerator(told: Mapping[str, Any]) -> Accelerator:
    pids = told.get("pids")  # not told is None, and not "nobody"
    return Accelerator(
        id=told["id"],
        kind=told.get("kind", "accelerator"),
        model=told.get("model"),
        driver=told.get("driver"),
        memory=AcceleratorMemory(total_mb=told.get("total_mb"), used_mb=told.get("used_mb")),
        limits=AcceleratorLimits(power_w=told.get("power_w")),
        processes=None if pids is None else frozenset(pids),
    )
