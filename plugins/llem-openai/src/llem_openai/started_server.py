"""A server that an experiment starts by `openai.serve`, and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil

from llem.plugin_api import LlemError, ModelError, log_tail
from llem_openai import launch
from llem_openai.listeners import Listeners, gone_for
from llem_openai.processes import ending_of, is_alive, process_of, tree_of
from llem_openai.refusal import printable

LOG = "server.log"
"""The server's output, in the job directory."""

GRACE_S = 4.0
"""Seconds that a server may take to end by itself, less than an interrupted study waits for its worker."""

_KILLED_S = 5.0
_LOOK_S = 0.1
_TELL_S = 5.0
_QUOTED = 300
_QUOTED_LINES = 3


@dataclass(frozen=True)
class AskedBy:
    """The key of the study that asks for a server, for messages.

    Attributes:
        key: starts it.
        late: advice where it does not answer in time.
        other: advice where somebody else answers on its port.
    """

    key: str = "openai.serve"
    late: str = (
        "See whether it listens on the port of openai.base_url ({port} in openai.serve is that port), or raise "
        "openai.serve_timeout_s."
    )
    other: str = "Have it listen there (put {port} into openai.serve), or end the other one."


class StartedServer:
    """A running command. It leads a session of its own, and ends with this process, however that ends.

    Args:
        command: program and arguments.
        port: that it is to listen on.
        folder: where it starts, and where relative paths in its arguments begin.
        job_dir: takes its log; None for a temporary file.
        asked_by: the key that messages name.
        environment: its variables; None for those of this process.

    Raises:
        ModelError: it cannot be started.
    """

    def __init__(
        self,
        command: list[str],
        port: int,
        folder: Path,
        job_dir: Path | None,
        asked_by: AskedBy = AskedBy(),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._port, self._by = port, asked_by
        self._log = (job_dir or Path(tempfile.mkdtemp(prefix="llem-openai-"))) / LOG
        launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), *command]
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    launcher,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=folder,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            raise ModelError(
                f"the server cannot be started: {error.strerror}.",
                where=asked_by.key,
                remedy=f"Correct {asked_by.key}.",
            ) from error
        self._root = psutil.Process(self._process.pid)
        self._listeners: Listeners | None = None
        self._is_closed = False

    @property
    def strangers(self) -> Collection[int]:
        """See `Server.strangers`."""
        return ()

    def processes(self) -> Collection[int]:
        """See `Server.processes`."""
        return tree_of(self._root)

    def await_ready(self, answers: Callable[[], bool], timeout_s: float, say: Callable[[str], None]) -> None:
        """Wait until it answers.

        Args:
            answers: asks it.
            timeout_s: as long may it take.
            say: told now and then how far it is.

        Raises:
            ModelError: it ended before, took too long, or somebody else answers on its port.
        """
        by = self._by
        begun = told = time.monotonic()
        while not answers():
            self._check("before it answered")
            now = time.monotonic()
            if now - begun > timeout_s:
                raise ModelError(
                    f"the server that {by.key} started has not answered for {timeout_s:g} s.{self._last_words}",
                    where=by.key,
                    remedy=by.late,
                )
            if now - told >= _TELL_S:
                told = now
                say(f"the server has been starting for {now - begun:.0f} s")
            time.sleep(_LOOK_S)
        self._check("before it answered")
        self._listeners = Listeners(self.processes, self._port)
        if self._listeners.are_missing:
            raise ModelError(
                f"another server answers on port {self._port} than the one that {by.key} started.{self._last_words}",
                where=by.key,
                remedy=by.other,
            )

    def check(self) -> None:
        """See `Server.check`."""
        self._check("in the run")

    def close(self) -> None:
        """See `Server.close`."""
        if self._is_closed:
            return
        self._is_closed = True
        below = [child for pid in self.processes() if (child := process_of(pid)) is not None]
        self._signal(signal.SIGTERM)
        self._await_end(below, GRACE_S)
        self._signal(signal.SIGKILL)  # whoever is left of its group, also where the first of it had died before
        if any(self._runs(one) for one in below):
            for one in below:
                with suppress(psutil.Error):
                    one.kill()  # it may have left the group
            self._await_end(below, _KILLED_S)

    def _await_end(self, processes: Collection[psutil.Process], patience_s: float) -> None:
        end = time.monotonic() + patience_s
        while any(self._runs(one) for one in processes) and time.monotonic() < end:
            time.sleep(_LOOK_S / 4)

    def _runs(self, process: psutil.Process) -> bool:
        if process.pid == self._process.pid:
            return self._process.poll() is None
        return is_alive(process)

    def _signal(self, number: signal.Signals) -> None:
        """To its group, which is there as long as one of it is."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _check(self, when: str) -> None:
        code = self._process.poll()
        if code is not None:
            raise ModelError(
                f"the server that {self._by.key} started ended {when}, {ending_of(code)}.{self._last_words}",
                where=self._by.key,
                remedy=f"See {self._log.name} in the experiment's folder, and try the command by hand.",
            )
        if self._listeners is not None and self._listeners.are_gone():
            raise ModelError(
                f"the server that {self._by.key} started ended {when}: {gone_for(self._port)}, though the command runs."
                f"{self._last_words}",
                where=self._by.key,
                remedy=f"See {self._log.name} in the experiment's folder; a script had better end with its server (`exec`, `wait`).",
            )

    @cached_property
    def _last_words(self) -> str:
        """The end of its log, in a sentence; all of it goes where the worker's log is, once, however many requests fail by it."""
        tail = log_tail(self._log)
        if not tail:
            return " Its log is empty."
        print(f"the server's log ends with:\n{tail}", file=sys.stderr, flush=True)
        lines = [line.strip() for line in tail.split("\n") if line.strip()][-_QUOTED_LINES:]
        return f" Its log ends with: {printable(' / '.join(lines)[-_QUOTED:])}"


def answers_by(get: Callable[[str], tuple[int, str]]) -> Callable[[], bool]:
    """A question whether a server is ready: it has a page of models, or says that it has none.

    Args:
        get: reads a page, and gives its status.
    """

    def ask() -> bool:
        try:
            status, _ = get("models")
        except LlemError:
            return False
        return status < 500

    return ask
