"""The environment that a worker gets: the user's, without what would carry one experiment's state into the next."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

_DROPPED: dict[str, list[str]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
_NAMES = frozenset({*_DROPPED["distributed"], *_DROPPED["interpreter"], *_DROPPED["service"]})
_PREFIXES = tuple(_DROPPED["distributed_prefixes"])
"""Variables that a worker does not get, each list explained in `environment.toml`."""

_PATH_LISTS = ("PYTHONPATH", "LD_LIBRARY_PATH")
"""Lists of folders: relative ones are meant from where llem was started, and a worker starts elsewhere."""


def worker_environment(
    inherited: Mapping[str, str], *, scratch: str, job_id: str, settings: Mapping[str, str]
) -> dict[str, str]:
    """The variables of one worker.

    Args:
        inherited: those of llem.
        scratch: an empty folder of this worker alone, its `TMPDIR`: compile caches and locks that engines keep in the
            temporary folder are not found again by the next experiment.
        job_id: marks the worker and all that it starts. Beside it stands this process's pid: what llem itself takes is
            the experiment's.
        settings: variables that the job asks for; they win.
    """
    kept = {name: value for name, value in inherited.items() if name not in _NAMES and not name.startswith(_PREFIXES)}
    for name in _PATH_LISTS:
        if kept.get(name):
            kept[name] = os.pathsep.join(str(Path(entry).absolute()) for entry in kept[name].split(os.pathsep) if entry)
    kept.update(
        PYTHONUNBUFFERED="1",
        PYTHONFAULTHANDLER="1",
        TMPDIR=scratch,
        TEMP=scratch,
        TMP=scratch,
        LLEM_JOB_ID=job_id,
        LLEM_HOST_PID=str(os.getpid()),
    )
    kept.update(settings)
    return kept
