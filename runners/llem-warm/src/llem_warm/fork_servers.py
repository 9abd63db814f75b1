"""llem's end of a fork server: starts it, has it fork workers, and ends it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import IO, Any

from llem.plugin_api import scratch_prefix
from llem_warm.fork_server import MARK, QUIET

_IMPORT_S = 300.0
"""Importing an engine from a cold disk may take minutes."""
_FORK_S = 30.0
_TAIL_BYTES = 2000

LATE = frozenset({"TMPDIR", "TEMP", "TMP", MARK, "LLEM_NODE", "LLEM_NODE_EXCLUSIVE", "LLEM_START"})
"""Variables that a fork server need not share with its workers: read when a temporary folder or the result is made, which no
import does. So are those that say which accelerators a process may see. All others have to be the same."""


class ForkServerError(Exception):
    """No worker can be forked; the text says why."""


class ForkedSupervisor:
    """A supervisor that a fork server forked: as much of `subprocess.Popen` as is needed of one.

    Args:
        pid: its process.
        orders: its standard input; reports: its standard output; status: gives the exit code when it has ended.
    """

    def __init__(self, pid: int, orders: int, reports: int, status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin: IO[bytes] = os.fdopen(orders, "wb", buffering=0)
        self.stdout: IO[bytes] = os.fdopen(reports, "rb", buffering=0)
        self._status = status

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; -9 where only its end is known, as of one whose fork server was killed. Raises TimeoutExpired."""
        if self.returncode is None:
            poller = select.poll()
            poller.register(self._status, select.POLLIN)
            if not poller.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("supervisor", timeout or 0)
            told = os.read(self._status, 16)
            self.returncode = int(told) if told else -signal.SIGKILL
            os.close(self._status)
        return self.returncode

    def kill(self) -> None:
        """By SIGKILL."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class WarmTemplate:
    """One fork server. Used by several threads.

    Args:
        backend: whose engine it imports.
        environment: the variables of a worker.
        seeing: names of those that say which accelerators it may see.

    Raises:
        ForkServerError: it did not come up, or cannot be forked.
    """

    def __init__(self, backend: str, environment: Mapping[str, str], seeing: frozenset[str]) -> None:
        self._late = LATE | seeing
        self._common = self._common_of(environment)
        self._lock = threading.Lock()
        self._scratch = tempfile.TemporaryDirectory(prefix=scratch_prefix(), ignore_cleanup_errors=True)
        self._log = os.fdopen(os.memfd_create("llem-fork-server"), "w+b")
        self._socket, other = socket.socketpair()
        # As long as a job's mark, which is written over it.
        own = {"TMPDIR": self._scratch.name, "TEMP": self._scratch.name, "TMP": self._scratch.name, MARK: "0" * 32}
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "llem_warm.fork_server", backend, str(other.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env={**self._common, **QUIET, **own},
                cwd=self._scratch.name,
                pass_fds=[other.fileno()],
                start_new_session=True,
            )
        try:
            self._ask(_IMPORT_S)
        except ForkServerError:
            self.close()
            raise

    def _common_of(self, environment: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in environment.items() if name not in self._late}

    def serves(self, environment: Mapping[str, str]) -> bool:
        """Tell whether a worker of these variables can be forked from it."""
        return self._common == self._common_of(environment)

    def fork(self, job_dir: str, scratch: str, environment: Mapping[str, str], log: int) -> ForkedSupervisor:
        """Fork a supervisor with its worker.

        Args:
            log: descriptor of the worker's log.

        Raises:
            ForkServerError: the fork server has died, or must not fork any more.
        """
        request = {"job_dir": job_dir, "scratch": scratch, "environment": dict(environment)}
        with self._lock, ExitStack() as theirs, ExitStack() as ours:

            def pipe(mine: int) -> tuple[int, int]:
                ends = os.pipe()
                ours.callback(os.close, ends[mine])
                theirs.callback(os.close, ends[1 - mine])
                return ends

            document = os.memfd_create("llem-request")
            theirs.callback(os.close, document)
            os.write(document, json.dumps(request).encode())
            os.lseek(document, 0, os.SEEK_SET)
            control, orders = pipe(1)
            reports, told = pipe(0)
            status, ended = pipe(0)
            host = os.pidfd_open(os.getpid())
            theirs.callback(os.close, host)
            try:
                socket.send_fds(self._socket, [b"f"], [document, control, told, log, ended, host])
            except OSError as error:
                raise ForkServerError(f"its process has ended ({error})") from error
            answer = self._ask(_FORK_S)
            ours.pop_all()
        return ForkedSupervisor(int(answer["pid"]), orders, reports, status)

    def close(self) -> None:
        """End it. Workers that are under way go on."""
        self._socket.close()
        try:
            self._process.wait(_FORK_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._scratch.cleanup()

    def _ask(self, timeout_s: float) -> dict[str, Any]:
        """Its next answer."""
        self._socket.settimeout(timeout_s)
        said = b""
        end = time.monotonic() + timeout_s
        try:
            while not said.endswith(b"\n") and time.monotonic() < end:
                data = self._socket.recv(65536)
                if not data:
                    break
                said += data
        except OSError as error:
            raise ForkServerError(f"its process does not answer ({error})") from error
        if not said.endswith(b"\n"):
            raise ForkServerError(f"its process ended while it imported the engine: {self._tail()}")
        answer: dict[str, Any] = json.loads(said)
        if "refused" in answer:
            raise ForkServerError(str(answer["refused"]))
        return answer

    def _tail(self) -> str:
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _TAIL_BYTES))
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


class ForkServers:
    """The fork server of one backend, made when it is first needed and again when the variables have changed.

    Where there can be none, workers are started afresh, and each result says why.

    Args:
        backend: whose engine it imports.
        seeing: names of the variables that say which accelerators a process may see.
    """

    def __init__(self, backend: str, seeing: frozenset[str]) -> None:
        self._backend, self._seeing = backend, seeing
        self._template: WarmTemplate | None = None
        self._why: str | None = None
        self._lock = threading.Lock()

    def start(
        self, job_dir: str, scratch: str, environment: Mapping[str, str], log: int
    ) -> tuple[ForkedSupervisor | None, str]:
        """A forked supervisor, or None and the reason."""
        with self._lock:
            if self._why is not None:
                return None, self._why
            try:
                if self._template is not None and not self._template.serves(environment):
                    self._template.close()
                    self._template = None
                if self._template is None:
                    self._template = WarmTemplate(self._backend, environment, self._seeing)
                return self._template.fork(job_dir, scratch, environment, log), ""
            except (ForkServerError, OSError) as error:
                self._why = f"the fork server of {self._backend} cannot be used: {error}"
                return None, self._why

    def close(self) -> None:
        """End the fork server."""
        with self._lock:
            if self._template is not None:
                self._template.close()
                self._template = None
