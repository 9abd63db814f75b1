"""One attempt at an experiment, on a node: what a Ray task does. The worker itself runs in processes apart from Ray's."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llem.plugin_api import LlemError
from llem_ray import here
from llem_ray.messages import Correspondence
from llem_ray.parcels import Storage, sizes

_START_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Order:
    """The order that a task gets.

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
    """A task's report at its end; what it left comes as a second value.

    Attributes:
        exit: how the worker ended, the fields of an `Exit`.
        sizes: the files that it left, in bytes.
    """

    exit: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)


def attempt(order: Order, mailbox: Any) -> tuple[Outcome, dict[str, bytes]]:
    """Run the worker of one experiment to its end, on this node. Called by Ray."""
    facts = here.facts()
    environment = {
        "LLEM_NODE": facts["node"],
        "LLEM_NODE_EXCLUSIVE": "1" if order.alone or here.holds_all() else "0",
        **order.environment,
    }
    wanted = {
        "document": _with_facts(order.document, {**order.facts, **facts}),
        "environment": environment,
        "gpus": order.gpus,
    }
    with _keeper(wanted) as keeper:
        lines = _Lines(keeper)
        first = lines.next(_START_S)
        if first is None or "refused" in first:
            said = (first or {}).get("refused") or {"kind": None, "what": "the worker did not start in time"}
            return Outcome(exit={"cause": said["what"], "error": said["kind"], "node": facts["node"]}), {}
        job = Path(first["started"])
        with Correspondence(order.attempt, mailbox, job, keeper, facts):
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


def _with_facts(document: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    provenance = dict(document.get("provenance") or {})
    runner = provenance.get("runner")
    provenance["runner"] = {**(runner if isinstance(runner, dict) else {}), **facts}
    return {**document, "provenance": provenance}


@contextmanager
def _keeper(wanted: Mapping[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """The process between Ray's and the worker; when this is left it is let go, and removes what there was."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "llem_ray.keeper"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        data = json.dumps(wanted).encode() + b"\n"
        while data:
            data = data[process.stdin.write(data) or 0 :]
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
