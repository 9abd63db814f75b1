"""A server whose processes are the experiment's own: one that was started for it, or one that a pid names."""

from __future__ import annotations

import signal
from collections.abc import Collection
from typing import Protocol

import psutil

from llem.plugin_api import ModelError
from llem_openai.listening import listens


class Server(Protocol):
    """A server that runs here."""

    @property
    def strangers(self) -> Collection[int]:
        """Pids of it that did not come from this process."""

    def processes(self) -> Collection[int]:
        """All its pids, those of its children included."""

    def check(self) -> None:
        """See that it runs. Raises ModelError where it has ended."""

    def close(self) -> None:
        """End what this experiment started of it. Harmless when repeated."""


class NamedServer:
    """The process that `openai.pid` names, with all below it.

    Args:
        pid: its first process.
        port: of the API.

    Raises:
        ModelError: there is no such process, or it does not listen there.
    """

    def __init__(self, pid: int, port: int) -> None:
        try:
            self._process = psutil.Process(pid)
            self._name = self._process.name()
        except psutil.Error as error:
            raise ModelError(
                f"there is no process {pid} on this machine.",
                where="openai.pid",
                remedy="Name the server's first process as it runs here, or leave openai.pid out.",
            ) from error
        if listens(self.processes(), port) is False:
            raise ModelError(
                f"process {pid} ({self._name}) does not listen on port {port}, nor does a child of it.",
                where="openai.pid",
                remedy="Name the process that answers at openai.base_url; behind a proxy, put the server's own address there.",
            )
        self.check()

    @property
    def strangers(self) -> Collection[int]:
        """See `Server.strangers`."""
        return (self._process.pid,)

    def processes(self) -> Collection[int]:
        """See `Server.processes`."""
        return tree_of(self._process)

    def check(self) -> None:
        """See `Server.check`."""
        if not is_alive(self._process):
            raise ModelError(
                f"process {self._process.pid} ({self._name}), the server that openai.pid names, has ended.",
                where="openai.pid",
                remedy="Look at its log, start it again, and repeat this with its new pid.",
            )

    def close(self) -> None:
        """See `Server.close`. It is yours, and goes on."""


def tree_of(process: psutil.Process) -> tuple[int, ...]:
    """Pids of a process and of all below it; empty where it has ended."""
    try:
        return (process.pid, *(child.pid for child in process.children(recursive=True)))
    except psutil.Error:
        return ()


def is_alive(process: psutil.Process) -> bool:
    """True while it runs; one that has ended and that nobody has waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def ending_of(code: int) -> str:
    """The end of a process in words, by its return code as `subprocess` gives it."""
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
