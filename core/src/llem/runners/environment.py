"""The environment that a worker gets: the user's, without what would carry one experiment's state into the next."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_DISTRIBUTED = frozenset(
    {
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "GROUP_RANK",
        "GROUP_WORLD_SIZE",
        "ROLE_RANK",
        "ROLE_NAME",
        "ROLE_WORLD_SIZE",
        "NODE_RANK",
        "MASTER_ADDR",
        "MASTER_PORT",
        "PMI_RANK",
        "PMI_SIZE",
        "MV2_COMM_WORLD_LOCAL_RANK",
    }
)
"""A launcher's place in a process group. A worker that finds them takes itself for a part of that group, and waits for it."""

_DISTRIBUTED_PREFIXES = ("TORCHELASTIC_", "OMPI_COMM_", "PMIX_")

_INTERPRETER = frozenset(
    {
        "PYTHONINSPECT",
        "PYTHONSTARTUP",
        "PYTHONBREAKPOINT",
        "PYTHONPROFILEIMPORTTIME",
        "PYTHONTRACEMALLOC",
        "PYTHONDEVMODE",
        "PYTHONASYNCIODEBUG",
        "PYTHONMALLOC",
        "PYTHONMALLOCSTATS",
        "PYTHONDEBUG",
        "PYTHONVERBOSE",
        "PYTHONCASEOK",
    }
)
"""Debugging aids of the interpreter: they slow the engine down, or keep the worker open."""

_SERVICE = frozenset({"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID"})
"""A service manager's line to llem itself."""

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
    dropped = _DISTRIBUTED | _INTERPRETER | _SERVICE
    kept = {
        name: value
        for name, value in inherited.items()
        if name not in dropped and not name.startswith(_DISTRIBUTED_PREFIXES)
    }
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
