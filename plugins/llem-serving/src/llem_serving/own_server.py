"""Engines whose work another process of the experiment's own does, such as a server: it may end before its time."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class ChecksServer(Protocol):
    """Interface that an `Engine` may have besides, whose work is done by another process on this machine.

    It is asked all through a load: without that process there is no figure of the load, and nothing to wait for.
    """

    def check_server(self) -> None:
        """See that the process runs, without asking it anything. Raises LlemError where it has ended, with how and its last words."""
