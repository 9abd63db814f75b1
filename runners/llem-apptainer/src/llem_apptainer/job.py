"""One experiment in its container, from the start until nothing of it is left."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import EVENTS, LOG, Exit, LocalJob
from llem_apptainer.causes import REFUSED, start_error
from llem_apptainer.leftovers import SESSION, end_session
from llem_apptainer.options import ApptainerOptions
from llem_containers.baseline_cache import BaselineCache
from llem_containers.failures import OUT_OF_MEMORY, killed_for_memory, signal_of
from llem_containers.intake import Events, amend_failure, remove_folder, take
from llem_containers.sif import fatal
from llem_containers.sizes import in_words
from llem_containers.space import Space
from llem_containers.text import MOST_BYTES, clean

_TAIL = 2**16


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts that a job is made of.

    Attributes:
        image: as the user named it.
        directory: the job directory; exchange: the folder in it that the container sees; scratch: its temporary folder.
        expected: `experiment.json`, as it was given in.
        secrets: texts that must not come back.
        lifeline: the pipe that ends the worker when llem is gone (see `llem.worker`); closed at the end.
        token: the file that holds the hub's token, or None; removed as soon as it is mounted.
    """

    image: str
    options: ApptainerOptions
    directory: Path
    exchange: Path
    scratch: Path
    expected: Mapping[str, Any]
    secrets: Sequence[str]
    lifeline: int
    token: Path | None
    baseline_cache: BaselineCache


class ApptainerJob:
    """A started container. llem's own supervisor watches over it, as over a local worker: Apptainer has no daemon that would.

    Args:
        parts: what it is made of.
        begin: starts `apptainer exec`.

    Raises:
        OSError: a process cannot be started.
    """

    def __init__(self, parts: Parts, begin: Callable[[], LocalJob]) -> None:
        self._parts = parts
        self._killed_before = killed_for_memory()
        self._space = Space(
            [parts.directory, parts.scratch], parts.options.output_bytes, "runner_options.apptainer.output"
        )
        self._events = Events(parts.exchange, parts.directory / EVENTS, parts.secrets)
        self._alone = threading.RLock()
        self._asked = False
        self._reason: tuple[str, str] | None = None
        self._exit: Exit | None = None
        self._token = parts.token
        self._process = begin()

    def poll(self) -> Exit | None:
        """Its end, or None while it runs."""
        return self.wait(0)

    def wait(self, timeout_s: float) -> Exit | None:
        """Sleep in the kernel until all of it has ended or the time is over; pass events on."""
        if (ended := self._forward()) is not None:
            return ended
        found = self._process.wait(timeout_s)
        if found is None and (ended := self._forward()) is not None:
            return ended
        if found is None and not self._asked and (trouble := self._space.trouble()) is not None:
            self._reason = trouble
            found = self._process.stop(0)
        return None if found is None else self._finish(found)

    def stop(self, grace_s: float) -> Exit:
        """Ask by SIGTERM, which Apptainer passes in, kill after `grace_s`, return when all is gone."""
        self._asked = True
        return self._finish(self._process.stop(grace_s))

    def _forward(self) -> Exit | None:
        with self._alone:
            if self._exit is None:
                if (self._parts.exchange / EVENTS).exists():
                    self._remove_token()  # the worker is at work, so all is mounted
                self._events.forward()
            return self._exit

    def _remove_token(self) -> None:
        if self._token is not None:
            shutil.rmtree(self._token.parent, ignore_errors=True)
            self._token = None

    def _finish(self, found: Exit) -> Exit:
        """Take everything out, once, by whoever sees the end first."""
        with self._alone:
            if self._exit is None:
                self._exit = self._take_out(found)
            return self._exit

    def _take_out(self, found: Exit) -> Exit:
        parts = self._parts
        end_session(parts.directory / SESSION)
        self._events.forward()
        told = self._told(found)
        refused = take(parts.exchange, parts.directory, parts.expected, parts.secrets)
        os.close(parts.lifeline)
        self._remove_token()
        parts.baseline_cache.take(parts.scratch)
        remove_folder(parts.exchange)
        remove_folder(parts.scratch)
        _clean_log(parts.directory / LOG, parts.secrets)
        if refused:
            causes = [told.cause, f"what the container left was refused: {'; '.join(refused)}"]
            told = Exit(code=told.code, signal=told.signal, cause="; ".join(filter(None, causes)), error=told.error)
        if told.error is not None and told.cause is not None:
            amend_failure(parts.directory, told.error, told.cause)
        return told

    def _told(self, found: Exit) -> Exit:
        """The end in llem's words: a limit that llem kept, what Apptainer said, what the kernel counted."""
        if self._reason is not None:
            return Exit(cause=self._reason[1], error=self._reason[0])  # its signal was llem's own
        code, by = (None, found.signal) if found.code is None else signal_of(found.code)
        if not code and by is None:
            return found
        if self._asked:
            return Exit(code=code, signal=by, cause=found.cause)
        if code == REFUSED and fatal(tail := _tail(self._parts.directory / LOG)) is not None:
            refusal = start_error(tail, self._parts.image)
            return Exit(code=code, cause=refusal.what.rstrip("."), error=type(refusal).__name__)
        if (cause := self._memory_cause(by)) is not None:
            return Exit(code=code, signal=by, cause=cause, error=OUT_OF_MEMORY)
        if (full := self._space.full()) is not None:
            return Exit(code=code, signal=by, cause="; ".join(filter(None, [found.cause, full[1]])), error=full[0])
        return Exit(code=code, signal=by, cause=found.cause)

    def _memory_cause(self, by: str | None) -> str | None:
        now = killed_for_memory()
        if by != "SIGKILL" or now is None or self._killed_before is None or now <= self._killed_before:
            return None
        limit = self._parts.options.memory_bytes
        kept = (
            "" if limit is None else f"; the container's limit was {in_words(limit)} (runner_options.apptainer.memory)"
        )
        return (
            "likely out of memory: while it ran, the kernel's out-of-memory killer ended "
            f"{now - self._killed_before} process(es) of this machine{kept}"
        )


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""


def _clean_log(path: Path, secrets: Sequence[str]) -> None:
    """Take out of the log what a container must not say to a terminal, and what is more than a log may hold."""
    with suppress(OSError):  # the disk is full: the log stays as it is
        with path.open("rb") as stream:
            text = stream.read(MOST_BYTES)
            more = bool(stream.read(1))
        cleaned = clean(text, [secret.encode() for secret in secrets])
        if more:
            cleaned += f"\nllem: the log ends here, at {MOST_BYTES // 2**20} MiB\n".encode()
        if cleaned != text:
            path.write_bytes(cleaned)
