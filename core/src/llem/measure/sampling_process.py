"""The worker's end of the sampling process: starts it, asks for a reading at an instant, and ends it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from llem.errors import LlemError
from llem.measure import sampling
from llem.measure.forked import may_fork
from llem.measure.ticks import Tick

SAMPLING = "llem.measure.sampling"
START_TIMEOUT_S = 60.0
MARK_TIMEOUT_S = 2.0
STOP_TIMEOUT_S = 3.0


class SamplingProcess:
    """`python -m llem.measure.sampling`, or a fork that does the same, which streams readings into a job directory.

    To be made before a meter is opened in this process: what a driver's library holds must not be in two.

    Args:
        job_dir: the job directory.
    """

    def __init__(self, job_dir: Path) -> None:
        self._job_dir = job_dir
        self._said = b""
        self._marks = 0
        self._process: subprocess.Popen[bytes]
        if (fork := may_fork()) is not None:
            self._process = fork(SAMPLING, lambda: sampling.main([str(job_dir)]))
        else:
            command = [sys.executable, "-m", SAMPLING, str(job_dir)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False once it has ended."""
        return self._process.poll() is None

    @property
    def how(self) -> str:
        """Its end in words, for messages."""
        return f"exit code {self._process.returncode}"

    def start(self, samplers: Mapping[str, str], hz: float, settings: Mapping[str, object]) -> dict[str, str]:
        """Have it sample, and wait until it does.

        Args:
            samplers: name to `package.module:Class`.
            hz: readings per second.
            settings: given to each sampler's `open`.

        Returns:
            Samplers that did not open there, with the reason.

        Raises:
            LlemError: it ended or did not answer.
        """
        order = {"worker": os.getpid(), "hz": hz, "settings": dict(settings), "samplers": list(samplers.items())}
        answer = self._answer(START_TIMEOUT_S) if self._send(json.dumps(order)) else None
        if answer is None or "ready" not in answer:
            self.end()
            raise LlemError(
                f"the process that samples energy did not start ({self.how}).",
                where=str(self._job_dir),
                remedy="The worker's log may say why; the folder must be writable and have room.",
            )
        refused: dict[str, str] = answer["refused"]
        return refused

    def mark(self, timeout_s: float = MARK_TIMEOUT_S) -> int | None:
        """Have every device read now; the latest time of those readings (monotonic ns), or None where nobody answers."""
        answer = self._ask("mark", "", timeout_s)
        return None if answer is None else int(answer["t_ns"])

    def edge(self, timeout_s: float, asked_ns: int) -> tuple[int, dict[int, Tick]] | None:
        """Have every counter tick, and every device read.

        Args:
            timeout_s: how long to wait for ticks.
            asked_ns: the instant at which the edge was asked for (monotonic ns).

        Returns:
            The time of the edge (monotonic ns): the last of the ticks that were awaited, or right after the reading
            where nothing ticked; and by index of the device its last tick up to then. None where nobody answers.
        """
        answer = self._ask("edge", f" {timeout_s:.3f} {asked_ns}", timeout_s + MARK_TIMEOUT_S)
        if answer is None:
            return None
        return int(answer["t_ns"]), {index: (t_ns, energy_j) for index, t_ns, energy_j in answer["ticks"]}

    def note(self, timeout_s: float, asked_ns: int) -> None:
        """Have the counters watched until each has ticked, as for an edge, and wait for nothing."""
        self._send(f"note {timeout_s:.3f} {asked_ns}")

    def _ask(self, word: str, rest: str, timeout_s: float) -> dict[str, Any] | None:
        deadline = time.monotonic() + timeout_s
        self._marks += 1
        answer: dict[str, Any] | None = {} if self._send(f"{word} {self._marks}{rest}") else None
        while answer is not None:
            answer = self._answer(max(0.0, deadline - time.monotonic()))
            if answer is not None and answer["mark"] == self._marks:  # not a late answer to an earlier one
                return answer
        return None

    def follow(self, used: Collection[str]) -> None:
        """Have it tell the power of these GPUs to whoever watches, or of the CPUs where none is among them."""
        self._send(f"follow {json.dumps(list(used))}")

    def own(self, processes: Collection[int]) -> None:
        """Have it take these processes, and all below them, for the experiment's own."""
        self._send(f"own {json.dumps(list(processes))}")

    def end(self) -> None:
        """Tell it to stop, and see to it that it does. Harmless when repeated."""
        if self.alive:
            self._send("stop")
        for insist in (None, self._process.terminate, self._process.kill):
            if insist is not None:
                insist()
            try:
                self._process.wait(STOP_TIMEOUT_S)
                break
            except subprocess.TimeoutExpired:
                continue
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _send(self, line: str) -> bool:
        assert self._process.stdin is not None
        try:
            # Past the buffer: a line that nobody reads must not come up again when the stream is closed.
            os.write(self._process.stdin.fileno(), line.encode() + b"\n")
        except (OSError, ValueError):
            return False
        return True

    def _answer(self, timeout_s: float) -> dict[str, Any] | None:
        """The next line that it says, or None where it ends or says nothing in time."""
        assert self._process.stdout is not None
        stream = self._process.stdout.fileno()
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._said:
            ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(stream, 65536) if ready else b""
            if not data:
                return None
            self._said += data
        line, _, self._said = self._said.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer
