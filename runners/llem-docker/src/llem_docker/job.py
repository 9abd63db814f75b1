"""One experiment in its container, from the start to the removal."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import EVENTS, Exit, LlemError
from llem_containers.baseline_cache import BaselineCache
from llem_containers.failures import killed_for_memory
from llem_containers.intake import Events, amend_failure, remove_folder, take
from llem_containers.space import Space
from llem_docker import ending
from llem_docker.daemon import DockerDaemon
from llem_docker.logs import LogStream
from llem_docker.options import DockerOptions

_KILL_S = 30.0
"""A container that SIGKILL does not end for so long hangs in a driver; it is reported instead of waited for."""
_LOG_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts that a job is made of.

    Attributes:
        directory: the job directory; exchange: the folder in it that the container sees; scratch: its temporary folder.
        expected: `experiment.json`, as it was given in.
        secrets: texts that must not come back.
        lifeline: the pipe that ends the worker when llem is gone (see `llem.worker`); closed at the end.
        left: told the id of a container that could not be removed.
    """

    daemon: DockerDaemon
    container: str
    options: DockerOptions
    directory: Path
    exchange: Path
    scratch: Path
    expected: Mapping[str, Any]
    log: LogStream
    secrets: Sequence[str]
    lifeline: int
    left: Callable[[str], None]
    baseline_cache: BaselineCache


class DockerJob:
    """A started container. Its first process is watched through the kernel, so that the engine's death is no riddle.

    Raises:
        LlemError: the container runs where this process cannot see it.
    """

    def __init__(self, parts: Parts, state: Mapping[str, Any]) -> None:
        self._parts = parts
        self._killed_before = killed_for_memory()
        self._events = Events(parts.exchange, parts.directory / EVENTS, parts.secrets)
        self._space = Space([parts.exchange, parts.scratch], parts.options.output_bytes, "runner_options.docker.output")
        self._asked = False
        self._engine_asked = False
        self._reason: tuple[str, str] | None = None
        self._exit: Exit | None = None
        self._alone = threading.RLock()
        self._lifeline: int | None = parts.lifeline
        self._first = first_process(parts.container, state)

    def poll(self) -> Exit | None:
        """Its end, or None while it runs."""
        return self.wait(0)

    def wait(self, timeout_s: float) -> Exit | None:
        """Sleep in the kernel until its first process ends or the time is over; pass events on."""
        if (ended := self._forward()) is not None:
            return ended
        if self._sleep(timeout_s):
            return self._finish()
        if (ended := self._forward()) is not None:
            return ended
        if not self._asked:
            self._reason = self._reason or self._trouble()
        if self._reason is not None:
            self._signal(signal.SIGKILL)
            if self._sleep(_KILL_S):
                return self._finish()
        return None

    def _forward(self) -> Exit | None:
        """Pass events on, unless it has ended meanwhile."""
        with self._alone:
            if self._exit is None:
                self._events.forward()
            return self._exit

    def stop(self, grace_s: float) -> Exit:
        """Ask by SIGTERM, kill after `grace_s` with all that is in the container, return when all is gone and removed."""
        self._asked = True
        if self._exit is not None:
            return self._exit
        if grace_s > 0:
            self._signal(signal.SIGTERM)
            if self._sleep(grace_s):
                return self._finish()
        self._signal(signal.SIGKILL)
        self._sleep(_KILL_S)
        return self._finish()

    def _sleep(self, timeout_s: float) -> bool:
        """True where the container's first process is gone, and with it every other: the kernel sees to that."""
        with self._alone:
            if self._first is None:
                return True
            first = os.dup(self._first)  # whoever takes the container out meanwhile closes that one
        try:
            poller = select.poll()
            poller.register(first, select.POLLIN)
            return bool(poller.poll(timeout_s * 1000))
        finally:
            os.close(first)

    def _signal(self, number: int) -> None:
        """Straight to the first process, which needs no engine; through the engine where the kernel does not let us."""
        with self._alone:
            if self._first is None:
                return
            try:
                signal.pidfd_send_signal(self._first, number)
                return
            except ProcessLookupError:
                return
            except PermissionError:
                client = self._parts.daemon.client
        try:
            with self._parts.daemon.answering():
                client.api.kill(self._parts.container, signal=int(number))
        except LlemError:
            return  # it has just ended, or the engine is gone: what is left is said at the end

    def _trouble(self) -> tuple[str, str] | None:
        """A reason to end the container: the engine is gone, or it writes too much."""
        if self._parts.log.ended and not self._engine_asked:
            self._engine_asked = True
            if not self._parts.daemon.answers():
                return (
                    ending.ENGINE_GONE,
                    "the Docker engine went away while the container ran, and llem ended the container",
                )
        return self._space.trouble()

    def _finish(self) -> Exit:
        """Take everything out and remove the container: once, by whoever sees the end first."""
        with self._alone:
            if self._exit is None:
                self._exit = self._take_out()
            return self._exit

    def _take_out(self) -> Exit:
        parts = self._parts
        gone = self._sleep(0)
        parts.log.close(_LOG_S)
        self._events.forward()
        state = _last_state(parts)
        killed = None
        if self._killed_before is not None and (now := killed_for_memory()) is not None:
            killed = now - self._killed_before
        found = ending.ending_of(
            state, limit=parts.options.memory_bytes, killed_here=killed, asked=self._asked or self._reason is not None
        )
        full = self._space.full() if found.code or found.signal else None
        refused = take(parts.exchange, parts.directory, parts.expected, parts.secrets) if gone else []
        if not parts.daemon.remove(parts.container):
            parts.left(parts.container)
        if gone:
            self._let_go()
            parts.baseline_cache.take(parts.scratch)
            remove_folder(parts.exchange)
            remove_folder(parts.scratch)
            if self._first is not None:
                os.close(self._first)
                self._first = None
        told = self._told(found, full, refused, gone)
        if told.error is not None and told.cause is not None:
            amend_failure(parts.directory, told.error, told.cause)
        return told

    def _let_go(self) -> None:
        """Close the lifeline, once: a second interrupt may come while the first one's end is under way."""
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            os.close(lifeline)

    def _told(self, found: Exit, full: tuple[str, str] | None, refused: Sequence[str], gone: bool) -> Exit:
        """One exit of everything that is known."""
        causes = [found.cause]
        code, by, error = found.code, found.signal, found.error
        if self._reason is not None:
            error, cause = self._reason
            # Its signal was llem's own.
            code, by, causes = None, None, [cause]
        elif full is not None and error is None and not self._asked:
            error, cause = full
            causes.append(cause)
        if refused:
            causes.append(f"what the container left was refused: {'; '.join(refused)}")
        if not gone:
            causes.append("the container could not be ended and may still hold the device")
        return Exit(code=code, signal=by, cause="; ".join(filter(None, causes)) or None, error=error)


def first_process(container_id: str, state: Mapping[str, Any]) -> int | None:
    """A handle (pidfd) of a container's first process; None where it has ended already.

    Raises:
        LlemError: the engine counts processes of another system than this process sees.
    """
    pid = int(state.get("Pid") or 0)
    if not pid:
        return None
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        handle = -1
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        groups = ""
    if handle >= 0 and container_id in groups:
        return handle
    if handle >= 0:
        os.close(handle)
    if not Path(f"/proc/{pid}").exists() and not groups:
        return None
    raise LlemError(
        "the container runs in another system than llem, which cannot watch over it there.",
        remedy="Run llem on the engine's own machine, not in a container or virtual machine beside it.",
    )


def _last_state(parts: Parts) -> dict[str, Any] | None:
    """The engine's account of the ended container; it may need a moment to take note of the end."""
    end = time.monotonic() + _LOG_S
    while (state := parts.daemon.state(parts.container)) is not None:
        if not state.get("Running") or time.monotonic() > end:
            return state
        time.sleep(0.02)
    return None
