"""Stands between llem and one worker, so that nothing of an experiment outlives it.

A program of its own, started by path with `-I -S`, on the standard library alone, so that it starts in milliseconds and
holds little memory; or a fork of a fork server (`llem_warm.fork_server`), whose worker has its modules already. It
adopts what its worker's descendants leave behind (it is a child subreaper), ends the worker when llem dies in whatever
way (it watches llem by a pidfd), and sleeps in `poll` meanwhile. A separate process does this because both a subreaper
and a parent-death signal would otherwise bind to the user's own process or thread.

    supervisor.py HOST_PID SCRATCH COMMAND...

stdin takes lines `stop SECONDS`; stdout gives one JSON line when the worker has started (`pid` or `error`) and one when
all is gone (`code`, `signal`, `killed`, `ended`, `left`); stderr is the worker's log.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LINGER_S = 0.5
"""Time that what a worker leaves behind may take to end by itself, such as a resource tracker that cleans up."""
_GIVE_UP_S = 30.0
"""A process that SIGKILL does not end for so long hangs in a driver; it is reported instead of waited for."""
_TERM_GRACE_S = 5.0


def _prctl(option: int, value: int) -> bool:
    try:
        return int(ctypes.CDLL(None).prctl(option, value, 0, 0, 0)) == 0
    except (OSError, AttributeError):
        return False


def descendants(root: int) -> list[int]:
    """All processes below `root`, by the parent that each names in /proc; the dead that nobody has fetched are left out."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            stat = (Path(entry.path) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state != "Z":
            children.setdefault(int(parent), []).append(int(entry.name))
    found: list[int] = []
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"  # a real-time signal between the named ones


class Supervisor:
    """Runs one worker to its end and past it.

    Args:
        host: a handle (pidfd) of llem, or -1 where there is none: then the end of `control` tells that it is gone.
        scratch: the worker's folder, removed at the end.
        control: where orders come from; reports: where reports go. No worker inherits them.
    """

    def __init__(self, host: int, scratch: str, control: int, reports: int) -> None:
        self._host = host
        self._scratch = scratch
        self._control = control
        self._reports = reports
        self._worker = 0
        self._status: int | None = None
        self._deadline: float | None = None
        self._killed = False
        self._lines = b""

    def run(self, become: Callable[[], None]) -> None:
        """Start the worker, wait for its end or an order, and report.

        Args:
            become: called in the worker's process, once that is a session of its own: takes it over, or raises OSError.
        """
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        os.set_blocking(self._control, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._stop(_TERM_GRACE_S))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        poller.register(self._control, select.POLLIN)
        if self._host >= 0:
            poller.register(self._host, select.POLLIN)
        self._start(become)
        while self._status is None:
            wait_ms = None
            if self._deadline is not None:
                wait_ms = max(0, round((self._deadline - time.monotonic()) * 1000) + 1)
            for fd, _ in poller.poll(wait_ms):
                if fd == self._host:
                    poller.unregister(self._host)
                    self._stop(0)
                elif fd == self._control and not self._obey():
                    poller.unregister(self._control)
                    self._stop(0)
            self._reap()
            if self._status is None and self._deadline is not None and time.monotonic() >= self._deadline:
                if self._killed:
                    break
                self._kill_all()
                self._deadline = time.monotonic() + _GIVE_UP_S
        ended, left = self._clear()
        self.clear_scratch()
        status = self._status
        code = os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None
        by = signal_name(os.WTERMSIG(status)) if status is not None and os.WIFSIGNALED(status) else None
        self._report({"code": code, "signal": by, "killed": self._killed, "ended": ended, "left": left})

    def _start(self, become: Callable[[], None]) -> None:
        parent = os.getpid()
        self._worker = os.fork()
        if self._worker == 0:
            try:
                os.setsid()
                _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != parent:
                    os._exit(1)
                signal.set_wakeup_fd(-1)
                for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, ())
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(2, 1)
                become()
            except OSError as error:
                os.write(2, f"llem: the worker cannot be started: {error}\n".encode())
                os._exit(127)
        self._report({"pid": self._worker})

    def _obey(self) -> bool:
        """Read orders. False where stdin has ended."""
        try:
            data = os.read(self._control, 4096)
        except BlockingIOError:
            return True
        self._lines += data
        *lines, self._lines = self._lines.split(b"\n")
        for line in lines:
            word, _, seconds = line.partition(b" ")
            if word == b"stop":
                self._stop(float(seconds))
        return bool(data)

    def _stop(self, grace_s: float) -> None:
        """Ask the worker to end, or shorten the time that it has for that."""
        until = time.monotonic() + grace_s
        if self._deadline is None and grace_s > 0 and self._status is None:
            os.kill(self._worker, signal.SIGTERM)
        if not self._killed:
            self._deadline = until if self._deadline is None else min(self._deadline, until)

    def _kill_all(self) -> None:
        self._killed = True
        if self._status is None:
            try:
                os.killpg(self._worker, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                os.kill(self._worker, signal.SIGKILL)  # it has not come as far as its own group
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue  # it has ended, or is beyond us: then it is among those reported as left

    def _reap(self) -> bool:
        """Fetch every child that has ended. False where no child is left at all."""
        try:
            while os.read(self._wake, 4096):
                pass
        except BlockingIOError:
            pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._worker:
                self._status = status

    def _clear(self) -> tuple[int, list[int]]:
        """End what the worker left behind. Returns how many had to be ended, and which could not be."""
        if not self._reap():
            return 0, []
        end = time.monotonic() + (0 if self._killed else _LINGER_S)
        while (remaining := end - time.monotonic()) > 0:
            select.select([self._wake], [], [], remaining)
            if not self._reap():
                return 0, []
        was_killed = self._killed
        ended: set[int] = set()
        end = time.monotonic() + _GIVE_UP_S
        while self._reap():
            ended.update(descendants(os.getpid()))
            if time.monotonic() > end:
                break
            self._kill_all()
            select.select([self._wake], [], [], 0.05)
        self._killed = was_killed
        left = descendants(os.getpid())
        if ended and not was_killed:
            os.write(2, f"llem: ended {len(ended)} process(es) that the experiment left behind\n".encode())
        return len(ended), left

    def clear_scratch(self) -> None:
        """Remove the worker's folder."""
        import shutil

        shutil.rmtree(self._scratch, ignore_errors=True)

    def _report(self, line: dict[str, object]) -> None:
        try:
            os.write(self._reports, json.dumps(line).encode() + b"\n")
        except BrokenPipeError:
            self._stop(0)  # llem is gone


def main(host: int, scratch: str, command: list[str]) -> None:
    """Supervise a program that is started afresh."""

    def become() -> None:
        try:
            os.execv(command[0], command)
        except OSError as error:
            raise OSError(f"{command[0]} cannot be started: {error}") from error

    # Not inherited, unlike 0 and 1, which the worker gets afresh.
    supervisor = Supervisor(_handle(host), scratch, os.dup(0), os.dup(1))
    if os.getppid() == host:
        supervisor.run(become)
    else:
        supervisor.clear_scratch()


def _handle(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return -1  # it has died already, or the kernel has no pidfd


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
