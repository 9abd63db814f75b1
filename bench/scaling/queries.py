"""The time that a user waits for an answer about a study: whole commands, from the shell's point of view."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

LIBRARY = """\
import sys, llem
study = llem.load_study(sys.argv[1])
table = study.to_arrow(["point.nothing.batch_size", "status", "energy.headline.j_per_output_token"])
print(table.group_by("point.nothing.batch_size").aggregate([("energy.headline.j_per_output_token", "mean")]).num_rows)
"""


def queries(study: Path) -> dict[str, list[str]]:
    """Questions, each with the command that asks it."""
    llem = str(Path(sys.executable).with_name("llem"))
    return {
        "query": [llem, "show", str(study)],
        "query_chosen": [
            llem,
            "show",
            str(study),
            "--where",
            "batch_size>=8",
            "--sort",
            "-tokens_per_s",
            "--limit",
            "10",
        ],
        "library": [sys.executable, "-c", LIBRARY, str(study)],
    }


def answered(study: Path, runs: int, *, warm_up: bool = True) -> dict[str, list[float]]:
    """Seconds that each takes as a whole process, in turn.

    Args:
        warm_up: begin with a round that does not count, which brings files into the page cache.

    Raises:
        CalledProcessError: a command failed.
    """
    found: dict[str, list[float]] = {}
    for turn in range(runs + warm_up):
        for name, command in queries(study).items():
            begin = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            if turn >= warm_up:
                found.setdefault(name, []).append(time.perf_counter() - begin)
    return found
