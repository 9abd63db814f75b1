"""Limits of the site for one user, as its own configuration and accounting say."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llem.plugin_api import LlemError
from llem_slurm.commands import run, user
from llem_slurm.options import SlurmOptions

_ARRAY = 1_001
"""Slurm's default of MaxArraySize."""


@dataclass(frozen=True)
class SiteLimits:
    """Limits of arrays and queues.

    Attributes:
        array: most jobs in one array.
        submit: most jobs of this user in the queue, or None where nothing limits them.
    """

    array: int
    submit: int | None


def site_limits(options: SlurmOptions) -> SiteLimits:
    """Ask the controller and, where there is accounting, that. What does not answer limits nothing: sbatch itself will say.

    Raises:
        SlurmMissing: there is no Slurm here.
        SlurmUnreachable: the controller does not answer.
    """
    config = run(["scontrol", "show", "config"])
    found = _number(config, "MaxArraySize")
    jobs = _number(config, "MaxJobCount")
    array = _ARRAY if found is None else max(1, found)
    most = [limit for limit in (jobs, *_of_user(options)) if limit is not None]
    return SiteLimits(array, min(most) if most else None)


def _number(text: str, name: str) -> int | None:
    found = re.search(rf"^{name}\s*=\s*(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else None


def _of_user(options: SlurmOptions) -> list[int]:
    """MaxSubmitJobs of the user's association and of the quality of service that is asked for."""
    me = user()
    account = [f"account={options.account}"] if options.account else []
    show = ["sacctmgr", "--noheader", "--parsable2", "show"]
    columns = "format=Account,Partition,MaxSubmitJobs,GrpSubmitJobs"
    asked = [[*show, "associations", "where", f"user={me}", *account, columns]]
    if options.qos:
        columns = "format=Name,Name,MaxSubmitJobsPerUser,GrpSubmitJobs"
        asked.append([*show, "qos", "where", f"name={options.qos}", columns])
    found: list[int] = []
    for command in asked:
        try:
            lines = [line.split("|") for line in run(command, timeout_s=30).splitlines()]
        except LlemError:
            continue  # no accounting, or none that this user may ask
        if not options.account and len({line[0] for line in lines}) > 1:
            continue  # which of the accounts is the default is not said here
        found += [int(field) for line in lines for field in line[2:4] if field.isdigit()]
    return found
