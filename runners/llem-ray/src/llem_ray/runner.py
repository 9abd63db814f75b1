"""The runner `ray`: hands experiments to a Ray cluster."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from llem.plugin_api import BACKENDS, EXPERIMENT, Exit, ExperimentConfig, Finding, Job, RunnerContext, RunningJob
from llem_ray.bridge_client import Line
from llem_ray.errors import ClusterLost
from llem_ray.options import RayOptions
from llem_ray.resource_request import need_of

_UNCONFIRMED_S = 180.0
"""Time beyond its grace that an end may take; the process that speaks to Ray gives up before that."""


class RayRunner:
    """Runs each experiment in a task of its own. Used by several threads."""

    def __init__(self, context: RunnerContext) -> None:
        self._context = context
        self._options = context.options if isinstance(context.options, RayOptions) else RayOptions.model_validate({})
        self._line: Line | None = None
        self._lock = threading.Lock()
        self._ids = itertools.count(1)

    def preflight(self, experiments: Sequence[ExperimentConfig]) -> Iterable[Finding]:
        """Nothing here: the checks of this plugin look at the cluster."""
        return []

    def capacity(self) -> int:
        """As many as the options say: Ray keeps the queue."""
        return self._options.capacity

    def start(self, job: Job) -> RunningJob:
        """Hand the experiment over; it waits in Ray's queue for a node that is free.

        Raises:
            ClusterError: the cluster cannot be reached; its class is the failure's type.
        """
        line = self._connected()
        need = need_of(job.config, self._context.registry.find(BACKENDS, job.config.backend), self._options)
        order = {
            "directory": str(job.directory),
            "document": json.loads((job.directory / EXPERIMENT).read_text(encoding="utf-8")),
            "environment": dict(job.environment),
            "need": need.document(),
            "placement": asdict(job.placement) if job.placement is not None else None,
        }
        return RayJob(line, f"{os.getpid()}-{next(self._ids)}", order)

    def close(self) -> None:
        """Leave the cluster."""
        with self._lock:
            if self._line is not None:
                self._line.close()
                self._line = None

    def _connected(self) -> Line:
        with self._lock:
            if self._line is not None and self._line.lost is not None:
                self._line.close()
                self._line = None
            if self._line is None:
                self._line = Line(self._options)
            return self._line


class RayJob:
    """An experiment in the cluster's hands.

    Raises:
        ClusterLost: the connection has broken meanwhile.
    """

    def __init__(self, line: Line, name: str, order: Mapping[str, Any]) -> None:
        self._line = line
        self._name = name
        self._changed = threading.Condition()
        self._queued = True
        self._exit: Exit | None = None
        line.start(name, order, self._receive)

    def poll(self) -> Exit | None:
        """Its end, or None while it runs or waits."""
        return self.wait(0)

    def wait(self, timeout_s: float) -> Exit | None:
        """Sleep until it ends or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._exit is not None, timeout_s)
            return self._exit

    def queued(self) -> bool:
        """Tell whether it waits for a node."""
        return self._queued and self._exit is None

    def stop(self, grace_s: float) -> Exit:
        """End it on its node, or take it out of the queue; a later call shortens the time."""
        self._line.stop(self._name, grace_s)
        ending = self.wait(grace_s + _UNCONFIRMED_S)
        return ending or Exit(cause="its end on the cluster could not be confirmed", error=ClusterLost.__name__)

    def _receive(self, message: Mapping[str, Any]) -> None:
        with self._changed:
            if "exit" in message:
                self._exit = Exit(**message["exit"])
            elif "lost" in message:
                self._exit = Exit(cause=str(message["lost"]).rstrip("."), error=ClusterLost.__name__)
            else:
                self._queued = "queued" in message
            self._changed.notify_all()
