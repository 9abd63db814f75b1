"""The two folders that a container writes to: the exchange folder in its job directory, and a temporary one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from llem.plugin_api import EXPERIMENT, new_scratch, write_json
from llem_containers.intake import remove_folder
from llem_containers.mounts import SCRATCH, Places

LIFELINE = "lifeline"
"""A pipe in the exchange folder; see `llem.worker`."""


def folders(exchange: Path, places: Places, undo: ExitStack) -> tuple[Path, Path]:
    """The exchange folder and the scratch folder, empty, with the places that mounts below them need.

    Args:
        exchange: its path, in the job directory. Each runner has a name of its own for it: what one left is not the other's.
    """
    exchange.mkdir(mode=0o700)
    undo.callback(remove_folder, exchange)
    scratch = Path(new_scratch())
    undo.callback(remove_folder, scratch)
    for name in ("home", "tmp"):
        (scratch / name).mkdir(mode=0o700)
    for here, there in places.read_only.items():
        if there.startswith(f"{SCRATCH}/"):
            place = scratch / there.removeprefix(f"{SCRATCH}/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.mkdir(exist_ok=True) if Path(here).is_dir() else place.touch()
    return exchange, scratch


def give_in(exchange: Path, document: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write the experiment into the exchange folder, with what is known of the container."""
    provenance = dict(document.get("provenance") or {})
    runner = provenance.get("runner")
    provenance["runner"] = {**(runner if isinstance(runner, dict) else {}), **facts}
    write_json(exchange / EXPERIMENT, {**document, "provenance": provenance})


def lifeline_in(exchange: Path) -> int:
    """A pipe of which this process holds the one end that is written to: when it is gone, the worker sees that."""
    place = exchange / LIFELINE
    os.mkfifo(place, 0o600)
    return os.open(place, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def read_experiment(path: Path) -> dict[str, Any]:
    """`experiment.json` as llem wrote it."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data
