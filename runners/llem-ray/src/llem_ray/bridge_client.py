"""llem's end of the line to the process that speaks to Ray."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Any

from llem_ray.errors import ClusterLost, ClusterUnreachable, cluster_error
from llem_ray.options import RayOptions

_READY_S = 120.0
_END_S = 120.0
_TAIL = 2_000

Message = Mapping[str, Any]


class Line:
    """A started process that has joined the cluster. Used by several threads.

    Args:
        options: the runner's.

    Raises:
        ClusterError: the cluster could not be joined.
    """

    def __init__(self, options: RayOptions) -> None:
        self._words: IO[bytes] = tempfile.TemporaryFile(prefix="llem-ray-")  # noqa: SIM115 - open as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "llem_ray.bridge"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
            start_new_session=True,  # Ctrl+C is llem's to answer
        )
        self._lock = threading.Lock()
        self._jobs: dict[str, Callable[[Message], None]] = {}
        self._seen: queue.Queue[Message] = queue.Queue()
        self._first: queue.Queue[Message] = queue.Queue()
        self.lost: ClusterLost | None = None
        self._reader = threading.Thread(target=self._read, name="llem-ray", daemon=True)
        self._reader.start()
        self._send(options.model_dump(mode="json"))
        self.ready = self._await_ready(options)

    def _await_ready(self, options: RayOptions) -> Mapping[str, Any]:
        try:
            first = self._first.get(timeout=_READY_S)
        except queue.Empty:
            self._process.kill()
            self.close()
            raise ClusterUnreachable(
                f"no Ray cluster answered within {_READY_S:g} s.",
                where=options.address,
                remedy="Look whether it runs with `ray status`; `ray stop` clears away one that died here.",
            ) from None
        if "failed" in first:
            self.close()
            raise cluster_error(first["failed"])
        if "ready" not in first:
            self.close()
            raise self.lost or ClusterLost("the process that speaks to Ray ended.")
        found: Mapping[str, Any] = first["ready"]
        return found

    def start(self, job: str, order: Mapping[str, Any], receive: Callable[[Message], None]) -> None:
        """Have an experiment started. `receive` gets what is told of it, in another thread; last an `exit` or a `lost`."""
        with self._lock:
            if self.lost is None:
                self._jobs[job] = receive
        if self.lost is not None:
            raise self.lost
        self._send({"do": "start", "job": job, **order})

    def stop(self, job: str, grace_s: float) -> None:
        """Have an experiment ended."""
        self._send({"do": "stop", "job": job, "grace_s": grace_s})

    def look(self, order: Mapping[str, Any], timeout_s: float) -> Message:
        """Have the nodes looked at. Raises ClusterLost."""
        self._send({"do": "look", **order})
        try:
            found = self._seen.get(timeout=timeout_s)
        except queue.Empty:
            raise ClusterLost(f"the cluster's nodes did not answer within {timeout_s:g} s.") from None
        if "lost" in found:
            raise self.lost or ClusterLost("the process that speaks to Ray ended.")
        return found

    def close(self) -> None:
        """End the process, and with it everything of it on the nodes."""
        assert self._process.stdin is not None
        with self._lock, suppress(BrokenPipeError):  # it may have ended
            self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._words.close()

    def _send(self, order: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        data = json.dumps(order).encode() + b"\n"
        with self._lock:
            try:
                self._process.stdin.write(data)
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError):
                return  # it has ended: the reader tells everybody

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.endswith(b"\n"):
                break  # it was killed while it spoke
            message: Message = json.loads(line)
            job = message.get("job") or message.get("started") or message.get("queued")
            if job is not None:
                receive = self._jobs.pop(job, None) if "exit" in message else self._jobs.get(job)
                if receive is not None:
                    receive(message)
            elif "seen" in message:
                self._seen.put(message["seen"])
            else:
                self._first.put(message)
        lost = ClusterLost(
            f"the connection to the Ray cluster broke: {self._last_words()}.",
            remedy="Look whether its head still runs with `ray status`; then `llem resume` the study.",
        )
        with self._lock:
            self.lost = lost
            left, self._jobs = self._jobs, {}
        for receive in left.values():
            receive({"lost": str(lost.what)})
        self._first.put({"lost": True})
        self._seen.put({"lost": True})

    def _last_words(self) -> str:
        """The last words of the process."""
        size = self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, size - _TAIL))
        lines = [line for line in self._words.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[-300:].rstrip(".") if lines else "the process that speaks to Ray ended without a word"
