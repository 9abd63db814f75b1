"""The side of a node: `python -m llem_slurm.node BATCH`, as the one task of an array's element. Runs its experiment, once.

Its exit code is of no meaning to the study: the record that it leaves at the end is (see `llem_slurm.shared_files`). Asked to end
by Slurm, whatever the reason is, it leaves none: Slurm knows the reason, and whether the job will begin anew.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TypeVar

from llem.plugin_api import (
    EXPERIMENT,
    LOG,
    RESULT,
    Exit,
    JobDocument,
    LlemError,
    RunningJob,
    read_result,
    write_atomically,
)
from llem_slurm.errors import NODE_FAILED, OUT_OF_MEMORY
from llem_slurm.shared_files import Batch, Record, Task, Tasks, digest_of
from llem_slurm.worker_start import is_alone, start

T = TypeVar("T")

_VISIBLE_S = 60.0
"""Time that a node may take to see what llem wrote before it submitted."""
_GRACE_S = 5.0
"""Time that a worker may take to end when Slurm asks; sites kill after KillWait, 30 s by default."""
_FENCE_S = 5.0
"""Time between two looks whether a later attempt has taken over."""


class _Asked(BaseException):
    """Slurm, or whoever may, asked this process to end."""


def _on_signal(number: int, frame: FrameType | None) -> None:
    _ignore()
    raise _Asked(signal.Signals(number).name)


def _ignore() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Attempt:
    """One run of an array's element.

    Args:
        batch: of the array.
        index: in it.
        number: 1, and one more each time that Slurm begins the job anew.
    """

    def __init__(self, batch: Batch, index: int, number: int) -> None:
        self._batch, self._index, self._number = batch, index, number
        self._node = os.environ.get("SLURMD_NODENAME") or os.uname().nodename

    def run(self) -> int:
        """To its end. 0: the record is there."""
        if self._batch.record(self._index).exists():
            return 0  # it has ended before, and only Slurm had not heard of it
        tasks = _seen(self._batch.jobs, Tasks.read)
        task = tasks.tasks[self._index]
        directory = Path(task.directory)
        write_atomically(self._batch.attempt(self._index), f"{self._number}\n")
        if _is_done(directory, task):
            return self._leave(directory, Exit(code=0))
        if self._number > 1:
            clear(directory, self._number - 1)
        if self._number - 1 > tasks.requeues:
            cause = f"Slurm began it anew {self._number - 1} time(s), more than runner_options.slurm.requeues allows"
            return self._leave(directory, Exit(cause=cause, error=NODE_FAILED))
        document = _seen(directory / EXPERIMENT, lambda _: JobDocument.read(directory))
        if self._number > 1:
            document = with_lost_attempt(document, self._number - 1)
            document.write(directory)
        scratch = tempfile.mkdtemp(prefix="llem-")
        ending: Exit | None = None
        try:
            alone = is_alone(asked=tasks.exclusive)
            environment = {**task.environment, "LLEM_NODE": self._node}
            if alone is not None:
                environment["LLEM_NODE_EXCLUSIVE"] = str(int(alone))
            ending = self._watch(start(directory, document, tasks, environment, scratch))
        except LlemError as error:
            ending = Exit(cause=str(error).rstrip("."), error=type(error).__name__)
        except _Asked as asked:
            print(f"llem: Slurm asked for the end ({asked})", file=sys.stderr, flush=True)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        _ignore()
        if _is_done(directory, task):
            return self._leave(directory, ending or Exit(code=0))
        if ending is None or not self._is_latest():
            if self._is_latest():
                (directory / RESULT).unlink(missing_ok=True)  # that it was interrupted is not its end: Slurm knows that
            return 128 + signal.SIGTERM
        return self._leave(directory, ending)

    def _watch(self, running: RunningJob) -> Exit:
        try:
            while (ending := running.wait(_FENCE_S)) is None:
                if not self._is_latest():
                    print("llem: a later attempt has taken over, on another node", file=sys.stderr, flush=True)
                    raise _Asked("a later attempt")
            time.sleep(0.2)  # where the whole job was asked to end, this process hears it hardly later than its worker
        except _Asked:
            _ignore()
            running.stop(_GRACE_S)
            raise
        return ending

    def _is_latest(self) -> bool:
        try:
            return int(self._batch.attempt(self._index).read_text(encoding="ascii")) <= self._number
        except (OSError, ValueError):
            return True

    def _leave(self, directory: Path, ending: Exit) -> int:
        error = ending.error
        if error is None and ending.signal == "SIGKILL" and ending.cause and "out of memory" in ending.cause:
            error = OUT_OF_MEMORY
        Record(
            code=ending.code,
            signal=ending.signal,
            cause=ending.cause,
            error=error,
            node=self._node,
            result=digest_of(directory),
            attempts=self._number,
        ).write(self._batch.record(self._index))
        return 0


def clear(directory: Path, earlier: int) -> None:
    """Make the job directory what it was before the earlier attempt; of that, only the log is kept, under another name."""
    log = directory / LOG
    if log.exists():
        log.replace(directory / f"worker.attempt-{earlier}.log")
    for path in directory.iterdir():
        if path.name == EXPERIMENT or path.name.startswith("worker.attempt-"):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def with_lost_attempt(document: JobDocument, earlier: int) -> JobDocument:
    """The experiment with a warning for its result that Slurm ended an earlier attempt and began the job anew."""
    message = f"an attempt was lost: Slurm ended number {earlier} (its node failed, or it was requeued) and began the job anew."
    return replace(document, warnings=[*document.warnings, {"code": "attempt_lost", "message": message}])


def _is_done(directory: Path, task: Task) -> bool:
    try:
        result = read_result(directory / RESULT)
    except LlemError:
        return False
    return result.status == "done" and result.identity.config_hash == task.config_hash


def _seen(path: Path, read: Callable[[Path], T]) -> T:
    """The content of a file that was written before this job was submitted, as soon as this node sees it.

    Raises:
        LlemError: it does not become visible.
    """
    end = time.monotonic() + _VISIBLE_S
    while True:
        try:
            return read(path)
        except (OSError, ValueError, LlemError) as error:
            if time.monotonic() > end:
                raise LlemError(f"the node does not see {path}: {error}") from error
        time.sleep(1.0)


def main(arguments: list[str]) -> int:
    """Run the element of the array that `SLURM_ARRAY_TASK_ID` names."""
    if len(arguments) != 1 or "SLURM_ARRAY_TASK_ID" not in os.environ:
        print("usage: python -m llem_slurm.node BATCH, within an array of Slurm", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _on_signal)
    signal.signal(signal.SIGINT, _on_signal)
    number = int(os.environ.get("SLURM_RESTART_COUNT") or 0) + 1
    try:
        return Attempt(Batch(Path(arguments[0])), int(os.environ["SLURM_ARRAY_TASK_ID"]), number).run()
    except _Asked:
        return 128 + signal.SIGTERM
    except (LlemError, OSError, ValueError) as error:
        print(f"llem: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
