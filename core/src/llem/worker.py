"""`python -m llem.worker JOB_DIR`: runs the one experiment of a job directory, in a process that does nothing else.

Without JOB_DIR it is the folder of the file that `LLEM_CONFIG_PATH` names. `LLEM_LIFELINE` may name a pipe that a runner
holds open as long as it lives: where nothing else could end the worker with llem, as in a container, its end does.

Exit code 0: `result.json` says done. 1: `result.json` says failed, and why. 2: there is no experiment to run, hence no
result. What it prints is the log; the runner keeps it as `worker.log`.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

DONE, FAILED, USAGE = 0, 1, 2
CONFIG_PATH = "LLEM_CONFIG_PATH"
LIFELINE = "LLEM_LIFELINE"
_GRACE_S = 10.0
"""Time that a worker whose llem is gone may take to close its engine."""


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    # Once is enough: a second signal must not break the clean-up that the first one began.
    _ignore_signals()
    from llem.measure.failure import Interrupted

    raise Interrupted(f"the worker was asked to end by {signal.Signals(number).name}.")


def _ignore_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with(pipe: str) -> None:
    """Sleep until nobody holds the other end of the pipe any more, then end."""
    try:
        end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return  # no such pipe: whoever runs this watches over it in another way
    poller = select.poll()
    poller.register(end, 0)  # the end is reported unasked
    poller.poll()
    print("llem: whoever started this experiment is gone", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(FAILED)


def main(arguments: list[str]) -> int:
    """Run the experiment of the job directory that `arguments` names; returns the exit code."""
    if not arguments and os.environ.get(CONFIG_PATH):
        arguments = [str(Path(os.environ[CONFIG_PATH]).parent)]
    if len(arguments) != 1:
        print(f"usage: python -m llem.worker JOB_DIR, or {CONFIG_PATH}=JOB_DIR/experiment.json", file=sys.stderr)
        return USAGE
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    if os.environ.get(LIFELINE):
        threading.Thread(target=_end_with, args=(os.environ[LIFELINE],), name="llem-lifeline", daemon=True).start()

    gc.disable()  # modules are no garbage; it is enabled again once the engine's are there
    from llem.errors import LlemError
    from llem.measure.orchestrator import ExperimentOrchestrator
    from llem.plugins import Registry
    from llem.results.job_directory import RESULT, write_atomically

    job_dir = Path(arguments[0])
    try:
        result = ExperimentOrchestrator(job_dir, Registry()).run()
    except LlemError as error:
        print(error, file=sys.stderr)
        return USAGE
    _ignore_signals()
    write_atomically(job_dir / RESULT, result.model_dump_json(indent=1) + "\n")
    return DONE if result.status == "done" else FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
