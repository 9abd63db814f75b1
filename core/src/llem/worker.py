"""`python -m llem.worker JOB_DIR`: runs the one experiment of a job directory, in a process that does nothing else.

Exit code 0: `result.json` says done. 1: `result.json` says failed, and why. 2: there is no experiment to run, hence no
result. What it prints is the log; the runner keeps it as `worker.log`.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

DONE, FAILED, USAGE = 0, 1, 2


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    # Once is enough: a second signal must not break the clean-up that the first one began.
    _ignore_signals()
    from llem.measure.failure import Interrupted

    raise Interrupted(f"the worker was asked to end by {signal.Signals(number).name}.")


def _ignore_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def main(arguments: list[str]) -> int:
    """Run the experiment of the job directory that `arguments` names; returns the exit code."""
    if len(arguments) != 1:
        print("usage: python -m llem.worker JOB_DIR", file=sys.stderr)
        return USAGE
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)

    from llem.errors import LlemError
    from llem.measure.orchestrator import ExperimentOrchestrator
    from llem.plugins import default_registry
    from llem.results.job_directory import RESULT, write_atomically

    job_dir = Path(arguments[0])
    try:
        result = ExperimentOrchestrator(job_dir, default_registry()).run()
    except LlemError as error:
        print(error, file=sys.stderr)
        return USAGE
    _ignore_signals()
    write_atomically(job_dir / RESULT, result.model_dump_json(indent=1) + "\n")
    return DONE if result.status == "done" else FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
