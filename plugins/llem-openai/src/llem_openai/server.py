"""A server whose processes are the experiment's own: one that was started for it, or one that a pid names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import psutil

from llem.plugin_api import ModelError
from llem_openai.listeners import Listeners, gone_for
from llem_openai.processes import is_alive, tree_of


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
        self._listeners = Listeners(self.processes, port)
        if self._listeners.are_missing:
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
        if self._listeners.are_gone():
            raise ModelError(
                f"the server that openai.pid names has ended: {gone_for(self._listeners.port)}, though process "
                f"{self._process.pid} ({self._name}) runs.",
                where="openai.pid",
                remedy="Look at its log, start it again, and repeat this.",
            )

    def close(self) -> None:
        """See `Server.close`. It is yours, and goes on."""
