"""A starter: begins workers of the local runner sooner than a fresh interpreter would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Protocol


@dataclass(frozen=True, kw_only=True)
class StarterSpec:
    """Registration of a starter, by `llem_starters`. The first that is registered is used.

    Attributes:
        name: a word for `llem plugins`.
        api_version: the `API_VERSION` that it was written for.
        summary: how it starts workers, one line.
        starter: `package.module:Class`, a `Starter`. The local runner makes one in a study of several experiments, unless
            `execution.warm_start` is false, with the name of the backend and those of the variables that say which accelerators
            a process may see.
    """

    name: str
    api_version: int
    summary: str
    starter: str


class SupervisorProcess(Protocol):
    """A worker's supervisor (`llem.runners.supervisor`): as much of `subprocess.Popen` as is needed of one."""

    @property
    def returncode(self) -> int | None:
        """Its exit code once `wait` has told it; negative for a signal."""

    @property
    def stdin(self) -> IO[bytes] | None:
        """The pipe that orders go to, unbuffered."""

    @property
    def stdout(self) -> IO[bytes] | None:
        """The pipe that reports come from, unbuffered."""

    def wait(self, timeout: float | None = None) -> int:
        """Sleep until it has ended; its exit code. Raises subprocess.TimeoutExpired."""

    def kill(self) -> None:
        """End it by SIGKILL."""


class Starter(Protocol):
    """Starts workers, each a fresh process behind a supervisor of its own. Used by several threads."""

    def start(
        self, job_dir: str, scratch: str, environment: Mapping[str, str], log: int
    ) -> tuple[SupervisorProcess | None, str]:
        """A supervisor with its worker; or None and the reason: then the worker is started afresh, and its result says why.

        Args:
            job_dir: what the worker works on.
            scratch: an empty folder for it alone, where it runs; the supervisor removes it.
            environment: all its variables.
            log: descriptor of its log.
        """

    def close(self) -> None:
        """Release what is held between jobs. Workers that are under way go on."""
