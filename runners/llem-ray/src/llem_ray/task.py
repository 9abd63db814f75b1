"""One attempt at an experiment, on a node: what a Ray task does. The worker itself runs in processes apart from Ray's."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llem.errors import LlemError
from llem.results.job_directory import EVENTS, EXPERIMENT, LOG, write_json
from llem_ray.keeper import ENVIRONMENT, JOB
from llem_ray.mailbox import Parcel
from llem_ray.parcels import Storage, sizes

FORWARD_S = 0.5
"""How often it is looked whether events and log have grown."""
MOST_OUTPUT = 64 * 2**20
"""Bytes of the log, and of the events, that are passed on; the rest is left out."""
_CHUNK = 2**20
_START_S = 120.0
_LAST_WORDS_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a task gets.

    Attributes:
        attempt: its name, unique in the study.
        document: the content of `experiment.json`.
        environment: variables for the worker.
        gpus: how many GPUs the worker shall see.
        alone: the driver knows that the attempt holds all of a node; else that is found out there.
        facts: about the attempt, for the result.
        limit: the most bytes that results may take.
        storage: root and folders of the shared storage, or None for the object store.
    """

    attempt: str
    document: dict[str, Any]
    environment: dict[str, str]
    gpus: int
    alone: bool
    facts: dict[str, Any]
    limit: int
    storage: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a task tells at its end; what it left comes as a second value.

    Attributes:
        exit: how the worker ended, the fields of an `Exit`.
        sizes: the files that it left, in bytes.
    """

    exit: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


def attempt(order: Order, mailbox: Any) -> tuple[Outcome, dict[str, bytes]]:
    """Run the worker of one experiment to its end, on this node. Called by Ray."""
    folder = Path(tempfile.mkdtemp(prefix="llem-ray-"))
    job = folder / JOB
    job.mkdir()
    facts = node_facts()
    environment = {
        "LLEM_NODE": facts["node"],
        "LLEM_NODE_EXCLUSIVE": "1" if order.alone or _holds_all() else "0",
        **order.environment,
    }
    (folder / ENVIRONMENT).write_text(json.dumps(environment), encoding="utf-8")
    write_json(job / EXPERIMENT, _with_facts(order.document, {**order.facts, **facts}))
    with _keeper(folder, order.gpus) as keeper:
        lines = _Lines(keeper)
        first = lines.next(_START_S)
        if first is None or "refused" in first:
            said = (first or {}).get("refused") or {"kind": None, "what": "the worker did not start in time"}
            return Outcome(exit={"cause": said["what"], "error": said["kind"], "node": facts["node"]}), {}
        with _Correspondence(order.attempt, mailbox, job, keeper, facts):
            last = lines.next(None)
        exit_ = dict((last or {}).get("exit") or {"cause": "the process that keeps the worker on the node was ended"})
        exit_["node"] = facts["node"]
        try:
            found = sizes(job, order.limit)
            if order.storage is not None:
                Storage(*order.storage).give(job, found)
                return Outcome(exit=exit_, sizes=found), {}
            return Outcome(exit=exit_, sizes=found), {name: (job / name).read_bytes() for name in found}
        except LlemError as error:
            return Outcome(exit={**exit_, "cause": str(error).rstrip("."), "error": type(error).__name__}), {}


def node_facts() -> dict[str, Any]:
    """What a result tells of the node that it is from."""
    import ray

    from llem_ray.nodes import living

    context = ray.get_runtime_context()
    here = next((node for node in living(ray.nodes()) if node.id == context.get_node_id()), None)
    return {
        "node": here.name if here else os.uname().nodename,
        "node_id": context.get_node_id(),
        "ray_version": ray.__version__,
        "held": context.get_assigned_resources(),
    }


def _holds_all() -> bool:
    """Whether this task holds all CPUs and GPUs of its node."""
    import ray

    from llem_ray.nodes import living

    context = ray.get_runtime_context()
    held = context.get_assigned_resources()
    here = next((node for node in living(ray.nodes()) if node.id == context.get_node_id()), None)
    return here is not None and held.get("CPU", 0) >= here.cpus and held.get("GPU", 0) >= here.gpus


def _with_facts(document: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    provenance = dict(document.get("provenance") or {})
    runner = provenance.get("runner")
    provenance["runner"] = {**(runner if isinstance(runner, dict) else {}), **facts}
    return {**document, "provenance": provenance}


@contextmanager
def _keeper(folder: Path, gpus: int) -> Iterator[subprocess.Popen[bytes]]:
    """The process between Ray's and the worker; when this is left it is let go, and removes the folder."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "llem_ray.keeper", str(folder), str(gpus)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.stdin.close()
        # Its end of the pipe closes when everything of the experiment is gone.
        while process.stdout.read(4096):
            continue
        process.stdout.close()
        process.wait()


class _Lines:
    """The lines that a keeper prints."""

    def __init__(self, keeper: subprocess.Popen[bytes]) -> None:
        assert keeper.stdout is not None
        self._stream = keeper.stdout
        self._data = b""

    def next(self, timeout_s: float | None) -> dict[str, Any] | None:
        """Sleep until there is a line; None where none can come any more, or not in time."""
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._data:
            poller = select.poll()
            poller.register(self._stream, select.POLLIN)
            # A request of Ray to end this task is seen between two waits.
            if not poller.poll(1000):
                if end is not None and time.monotonic() > end:
                    return None
                continue
            data = self._stream.read(4096)
            if not data:
                return None
            self._data += data
        line, _, self._data = self._data.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found


class _Correspondence:
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
        import ray
        from ray.exceptions import ActorUnavailableError, RayError

        while True:
            try:
                return ray.get(call())
            except ActorUnavailableError:
                if self._over.wait(1.0):
                    raise _Gone from None
            except RayError as error:
                raise _Gone from error

    def _tell_keeper(self, grace_s: float) -> None:
        assert self._keeper.stdin is not None
        try:
            self._keeper.stdin.write(f"stop {grace_s}\n".encode())
        except (BrokenPipeError, ValueError):
            return  # it has ended


class _Gone(Exception):  # noqa: N818 - an answer, not a fault
    """Nobody waits for this experiment any more."""
