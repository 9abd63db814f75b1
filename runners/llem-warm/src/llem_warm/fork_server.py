"""A process that has imported what a worker needs, the engine's module with it, and forks a fresh worker for each experiment.

    python -m llem_warm.fork_server BACKEND SOCKET

SOCKET is the number of an inherited descriptor, one end of a pair. First it answers one line of JSON: `ready`, or `refused`
with the reason. Then each message on it is one request (see `llem_warm.fork_servers`), answered by a line with `pid` or `refused`.
Between them it sleeps. It runs no experiment, instantiates no engine, and never opens a device; a worker's memory is a copy, so
nothing that an experiment does can come back into the fork server and reach the next one. It refuses to fork where that would not
be so, or not be safe: when it has more than one thread, or a GPU's driver open.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import ACCELERATORS, Registry, SpecRegistry, Supervisor, be_worker, import_worker
from llem_warm.forks import WORKER, ForkedProcess, call_itself

MARK = "LLEM_JOB_ID"
QUIET = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Set for the fork server alone: libraries that start a thread with their import do not."""

_SETTLE_S = 1.0
"""Time that threads which a library ends before a fork may take to be gone."""


class _Forked(BaseException):
    """Unwinds a forked process out of the fork server's loop, into the worker that it has become."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        super().__init__()
        self.request = request


@dataclass(frozen=True)
class Traces:
    """Traces by which a process shows that it has touched an accelerator.

    Attributes:
        files: how paths of device files begin that it has open, or mapped.
        libraries: how names of libraries begin that are loaded by the first call to a driver, and not by an import.
    """

    files: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


def traces_of(registry: SpecRegistry) -> Traces:
    """The traces of every accelerator that is registered."""
    specs = registry[ACCELERATORS].values()
    return Traces(
        tuple(path for spec in specs for path in spec.device_files),
        tuple(name for spec in specs for name in spec.libraries),
    )


def prepare(backend: str, registry: SpecRegistry, traces: Traces) -> str | None:
    """Import what a worker of this backend will need. Returns why nothing can be forked from here, or None."""
    import_worker(backend, registry)
    gc.collect()
    gc.enable()
    gc.freeze()  # what is here now is never collected: a collection in a worker would copy all of it
    _rehearse()
    end = time.monotonic() + _SETTLE_S
    while (why := objection(traces)) is not None and time.monotonic() < end:
        time.sleep(0.01)
    return why


def objection(traces: Traces) -> str | None:
    """The reason why this process must not fork a worker now, or None."""
    threads = [_read(entry / "comm").strip() for entry in Path("/proc/self/task").iterdir()]
    if len(threads) != 1:
        return (
            f"its imports started {len(threads) - 1} thread(s) ({', '.join(sorted(threads))}), which no fork may copy"
        )
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue  # the listing's own
        if target.startswith(traces.files):
            return f"its imports opened {target}, which no fork may share"
    mapped = {line.split(maxsplit=5)[-1] for line in _read(Path("/proc/self/maps")).splitlines()}
    for path in sorted(mapped):
        if path.startswith(traces.files) or Path(path).name.startswith(traces.libraries):
            return f"its imports mapped {path}, which no fork may share"
    return None


def _rehearse() -> None:
    """Fork once for nothing: libraries that end their threads before a fork do so now, and start them again at need."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


class ForkServer:
    """Answers requests until llem has closed its end of the socket."""

    def __init__(self, llem: socket.socket, traces: Traces) -> None:
        self._llem, self._traces = llem, traces
        self._statuses: dict[int, int] = {}
        libc = ctypes.CDLL(None)
        libc.getenv.restype = ctypes.c_void_p
        self._mark: int | None = libc.getenv(MARK.encode())

    def serve(self) -> None:
        """Fork at request. In a forked worker this raises `_Forked`."""
        woken, wake = os.pipe()
        for fd in (woken, wake):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        poller = select.poll()
        poller.register(woken, select.POLLIN)
        poller.register(self._llem, select.POLLIN)
        while True:
            for fd, _ in poller.poll():
                if fd == woken:
                    os.read(woken, 4096)
                    self._reap()
                elif not self._answer():
                    return

    def _answer(self) -> bool:
        """One request. False where llem is gone."""
        message, fds, _, _ = socket.recv_fds(self._llem, 1, 8)
        if not message:
            return False
        document, control, reports, log, status, host = fds
        with os.fdopen(document, "rb") as stream:
            request = json.load(stream)
        why = objection(self._traces)
        pid = 0 if why else os.fork()
        if pid == 0 and why is None:
            self._supervise(request, control, reports, log, host)
        for fd in (control, reports, log, host):
            os.close(fd)
        if why is not None:
            os.close(status)
        else:
            self._statuses[pid] = status
        reply = {"pid": pid} if why is None else {"refused": why}
        self._llem.sendall(json.dumps(reply).encode() + b"\n")
        return True

    def _supervise(self, request: Mapping[str, Any], control: int, reports: int, log: int, host: int) -> None:
        """In the fork: be the supervisor, whose worker leaves by `_Forked`."""
        os.setsid()
        signal.set_wakeup_fd(-1)
        os.dup2(log, 2)
        os.dup2(log, 1)
        self._set_mark(request["environment"][MARK])
        _close_all_but({0, 1, 2, control, reports, host})

        def become() -> None:
            raise _Forked(request)

        try:
            Supervisor(host, request["scratch"], control, reports).run(become)
        except Exception as error:  # noqa: BLE001 - it must not go on as a fork server
            os.write(2, f"llem: the supervisor failed: {type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)

    def _set_mark(self, job_id: str) -> None:
        """Write the job's mark where the kernel shows this process's variables: over the fork server's own, as long as that."""
        if self._mark:
            ctypes.memmove(self._mark, job_id.encode(), len(job_id))

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            told = self._statuses.pop(pid, None)
            if told is not None:
                os.write(told, str(os.waitstatus_to_exitcode(status)).encode())
                os.close(told)


def _close_all_but(kept: set[int]) -> None:
    for fd in {int(entry.name) for entry in Path("/proc/self/fd").iterdir()} - kept:
        with contextlib.suppress(OSError):  # the listing's own is closed already
            os.close(fd)


def leave(code: int) -> None:
    """End as an interpreter does, but leave taking the modules apart to the kernel: it would copy them all first."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def main(arguments: list[str]) -> int:
    """Serve until llem is gone; or, in a forked worker, run its experiment."""
    backend, number = arguments
    llem = socket.socket(fileno=int(number))
    for number_ in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number_, signal.SIG_IGN)
    traces = Traces()
    gc.disable()  # modules are no garbage
    try:
        registry = Registry()
        traces = traces_of(registry)
        why = prepare(backend, registry, traces)
    except Exception as error:  # noqa: BLE001 - a worker that is started afresh will say it better
        why = f"it could not import what a worker needs ({type(error).__name__}: {error})"
    llem.sendall(json.dumps({"ready": True} if why is None else {"refused": why}).encode() + b"\n")
    if why is not None:
        return 0
    try:
        ForkServer(llem, traces).serve()
    except _Forked as forked:
        request = forked.request
    else:
        return 0
    _close_all_but({0, 1, 2})
    call_itself(WORKER)
    leave(be_worker(request["job_dir"], request["scratch"], request["environment"], ForkedProcess))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
