"""SGLang in its own process, as the worker sees it: started, asked, and ended with everything below it."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from llem.plugin_api import LlemError, ModelError, log_tail
from llem_engines.processes import below, kill, signs_of_life
from llem_sglang.last_words import cause_in
from llem_sglang.messages import (
    Abort,
    Answer,
    Arrived,
    Begin,
    Broken,
    Call,
    Event,
    Facts,
    FromHost,
    Item,
    Loaded,
    Method,
    NotLoaded,
    ToHost,
)
from llem_sglang.names import LOG

REMEDY = f"{LOG} in the experiment's folder has all that SGLang said."

GRACE_S = 4.0
"""Seconds that SGLang may take to end by itself, less than an interrupted study waits for its worker."""

_KILLED_S = 5.0


class Hosted:
    """The process in which SGLang runs. It leads a session of its own, and ends with this process, however that ends.

    Args:
        source: of the model, for messages.
        environment: its variables.
        job_dir: takes its log; None for a temporary folder.

    Raises:
        ModelError: it cannot be started.
    """

    def __init__(self, source: str, environment: Mapping[str, str], job_dir: str | None) -> None:
        self._source = source
        self._folder = Path(job_dir or tempfile.mkdtemp(prefix="llem-sglang-"))
        self._is_temporary = job_dir is None
        self._log = self._folder / LOG
        ours, theirs = socket.socketpair()
        # Without -P a folder `sglang` beside the study would be imported in place of SGLang.
        command = [sys.executable, "-P", "-m", "llem_sglang.host", str(theirs.fileno()), str(os.getpid())]
        try:
            with theirs, self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(environment),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise ModelError(
                f"SGLang's process cannot be started: {error.strerror}.",
                where="sglang",
                remedy="Look whether the machine has memory and processes left.",
            ) from error
        self._connection = Connection(ours.detach())
        self._lock = threading.Lock()
        self._sinks: dict[str, Callable[[Event], None]] = {}
        self._calls: dict[int, Future[bool]] = {}
        self._numbers = itertools.count()
        self._reader: threading.Thread | None = None
        self._death: str | None = None
        self._is_closed = False

    def load(self, arguments: Mapping[str, Any], say: Callable[[str], None]) -> Facts:
        """Have it load a model.

        Args:
            arguments: keywords of SGLang's ServerArgs.
            say: told now and then that loading goes on.

        Raises:
            ModelError: SGLang refuses the model or the options, or its processes failed.
        """
        with signs_of_life(say, f"loading {self._source} into SGLang", self._process.pid):
            try:
                self._connection.send(dict(arguments))
                (message,) = self._connection.recv()
            except (EOFError, OSError):
                raise self._not_loaded(self._last_words()) from None
        if isinstance(message, NotLoaded):
            raise self._not_loaded(f": {message.reason}.")
        assert isinstance(message, Loaded)
        self._reader = threading.Thread(target=self._read, name="llem-sglang-read", daemon=True)
        self._reader.start()
        return message.facts

    def begin(self, items: Sequence[Item], sink: Callable[[Event], None]) -> None:
        """Send requests to be answered beside one another. What comes of them goes to `sink`, from a thread of its own; the last
        of each is one with a `finish`, or a `Broken`."""
        with self._lock:
            self._raise_if_dead()
            self._sinks |= dict.fromkeys((item.name for item in items), sink)
        self._send(Begin(tuple(items)))

    def abort(self, names: Iterable[str]) -> None:
        """End requests whose answers nobody takes any more; their sinks hear nothing more of them."""
        with self._lock:
            left = [name for name in names if self._sinks.pop(name, None) is not None]
        if left and self._death is None:
            with suppress(LlemError):
                self._send(Abort(tuple(left)))

    def call(self, method: Method) -> bool:
        """Ask, and wait for the answer. Raises LlemError where it could not be done or SGLang's process has ended."""
        future: Future[bool] = Future()
        number = next(self._numbers)
        with self._lock:
            self._raise_if_dead()
            self._calls[number] = future
        self._send(Call(number, method))
        return future.result()

    def check(self) -> None:
        """Raise LlemError where SGLang's process has ended."""
        with self._lock:
            self._raise_if_dead()

    def close(self) -> None:
        """End it, with all below it."""
        if self._is_closed:
            return
        self._is_closed = True
        started = below(self._process.pid)
        if self._reader is not None and self._death is None:
            with suppress(OSError, ValueError):
                self._connection.send(Call(next(self._numbers), "close"))
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_S)
        self._kill(started)
        if self._reader is not None:
            self._reader.join()
        self._connection.close()
        if self._is_temporary:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self) -> None:
        while True:
            try:
                messages: list[FromHost] = self._connection.recv()
            except (EOFError, OSError):
                break
            for message in messages:
                self._hand_over(message)
        self._end()

    def _hand_over(self, message: FromHost) -> None:
        if isinstance(message, Answer):
            with self._lock:
                future = self._calls.pop(message.number, None)
            if future is not None and message.reason:
                future.set_exception(LlemError(f"SGLang says: {message.reason}.", where="sglang", remedy=REMEDY))
            elif future is not None:
                future.set_result(message.done)
        elif isinstance(message, (Arrived, Broken)):
            is_last = isinstance(message, Broken) or message.finish is not None
            with self._lock:
                sink = self._sinks.pop(message.name, None) if is_last else self._sinks.get(message.name)
            if sink is not None:
                sink(message)

    def _end(self) -> None:
        """Tell everybody who waits that the process has ended, and end what it left."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILLED_S)
        if self._is_closed:
            reason = "SGLang's process was ended."
        else:
            reason = f"SGLang's process ended in the run, {_ending_of(self._process.returncode)}{self._last_words()}"
        with self._lock:
            self._death = reason
            sinks, self._sinks = self._sinks, {}
            calls, self._calls = self._calls, {}
        for name, sink in sinks.items():
            sink(Broken(name, reason, is_refused=False))
        for future in calls.values():
            future.set_exception(self._dead(reason))

    def _send(self, message: ToHost) -> None:
        try:
            with self._lock:
                self._connection.send(message)
        except OSError as error:
            raise self._dead(self._death or "SGLang's process has ended.") from error

    def _raise_if_dead(self) -> None:
        if self._death is not None:
            raise self._dead(self._death)

    @staticmethod
    def _dead(reason: str) -> LlemError:
        return LlemError(reason, where="sglang", remedy=REMEDY)

    def _not_loaded(self, why: str) -> ModelError:
        return ModelError(f"SGLang cannot load it{why}", where=self._source, remedy=REMEDY)

    def _last_words(self) -> str:
        """The cause that its log names, as the end of a sentence; the log's end goes where the worker's log is."""
        tail = log_tail(self._log)
        if tail:
            print(f"{LOG} ends with:\n{tail}", file=sys.stderr, flush=True)
        cause = cause_in(tail)
        return f": {cause}." if cause else "; its log says nothing of it."

    def _kill(self, started: Sequence[psutil.Process]) -> None:
        """Kill its group, which is there as long as one of it is, and whoever has left that group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILLED_S)
        kill(started, _KILLED_S)


def _ending_of(code: int | None) -> str:
    """The end of a process in words."""
    if code is None:
        return "and has not been collected"
    if code < 0:
        with suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"with exit code {code}"
