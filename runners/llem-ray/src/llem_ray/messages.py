"""Messages between a task and the driver while its worker runs."""

from __future__ import annotations

import importlib
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llem.plugin_api import EVENTS, LOG
from llem_ray.mailbox import Parcel

FORWARD_S = 0.5
"""Time between two looks whether events and log have grown."""
MOST_OUTPUT = 64 * 2**20
"""Bytes of the log, and of the events, that are passed on; the rest is left out."""
_CHUNK = 2**20
_LAST_WORDS_S = 60.0


class Correspondence:
    """Passes output to the mailbox and orders from it, in threads of their own: a task whose main thread waits for Ray gives
    up its CPUs meanwhile, and something else would run beside the experiment."""

    def __init__(
        self, attempt: str, mailbox: Any, job: Path, keeper: subprocess.Popen[bytes], facts: Mapping[str, Any]
    ) -> None:
        self._attempt = attempt
        self._mailbox = mailbox
        self._job = job
        self._keeper = keeper
        self._facts = dict(facts)
        self._over = threading.Event()
        self._offsets = {EVENTS: 0, LOG: 0}
        self._sender = threading.Thread(target=self._send, name="llem-send", daemon=True)

    def __enter__(self) -> None:
        self._sender.start()
        threading.Thread(target=self._obey, name="llem-orders", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._sender.join(_LAST_WORDS_S)

    def _send(self) -> None:
        try:
            self._put(Parcel(self._attempt, "started", facts=self._facts))
            while not self._over.wait(FORWARD_S):
                self._forward()
            self._forward()
            self._put(Parcel(self._attempt, "end"))
        except _Gone:
            self._tell_keeper(0)

    def _forward(self) -> None:
        for name, kind in ((EVENTS, "events"), (LOG, "log")):
            while data := self._new(name):
                self._put(Parcel(self._attempt, kind, data, self._offsets[name]))
                self._offsets[name] += len(data)

    def _new(self, name: str) -> bytes:
        room = min(_CHUNK, MOST_OUTPUT - self._offsets[name])
        if room <= 0:
            return b""
        try:
            with (self._job / name).open("rb") as stream:
                stream.seek(self._offsets[name])
                data = stream.read(room)
        except FileNotFoundError:
            return b""
        # Whole lines only, unless one is longer than what is sent at once.
        whole = data[: data.rfind(b"\n") + 1] if b"\n" in data else data if len(data) == room else b""
        return data if self._over.is_set() else whole

    def _put(self, parcel: Parcel) -> None:
        self._ask(lambda: self._mailbox.put.remote(parcel))

    def _obey(self) -> None:
        known: float | None = None
        try:
            while not self._over.is_set():
                grace = self._ask(lambda k=known: self._mailbox.order.remote(self._attempt, k))
                if grace is not None:
                    known = grace
                    self._tell_keeper(grace)
        except _Gone:
            self._tell_keeper(0)

    def _ask(self, call: Any) -> Any:
        """Raises _Gone where the mailbox is gone for good, and with it whoever waits for this experiment."""
        ray: Any = importlib.import_module("ray")
        while True:
            try:
                return ray.get(call())
            except ray.exceptions.ActorUnavailableError:
                if self._over.wait(1.0):
                    raise _Gone from None
            except ray.exceptions.RayError as error:
                raise _Gone from error

    def _tell_keeper(self, grace_s: float) -> None:
        assert self._keeper.stdin is not None
        try:
            self._keeper.stdin.write(f"stop {grace_s}\n".encode())
        except (BrokenPipeError, ValueError):
            return  # it has ended


class _Gone(Exception):  # noqa: N818 - an answer, not a fault
    """Nobody waits for this experiment any more."""
