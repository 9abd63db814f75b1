"""The process that speaks to Ray, between llem and the cluster.

Ray's library ends the process that uses it when the cluster's head dies, and takes signals over. So it lives in a process of
its own, and llem survives both. When llem is gone, in whatever way, stdin ends, and this process ends everything on the nodes.

    python -m llem_ray.bridge

stdin takes JSON lines: first the runner's options, then `start`, `stop` and `look`; stdout gives one line when the cluster is
joined (`ready` or `failed`), then `started`, `queued`, `exit` for each job, and `seen` for each look.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llem.plugin_api import Exit, Placement
from llem_ray.cluster import Cluster
from llem_ray.connection import join
from llem_ray.errors import ClusterError, told
from llem_ray.experiment import Experiment
from llem_ray.options import RayOptions
from llem_ray.resource_request import ResourceRequest

_LONGEST_LINE = 64 * 2**20
_END_S = 90.0


class Bridge:
    """Takes orders from llem and gives answers.

    Args:
        answers: file descriptor of llem's end.
    """

    def __init__(self, answers: int) -> None:
        self._answers = answers
        self._experiments: dict[str, Experiment] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Join the cluster, serve until stdin ends, leave nothing behind."""
        orders = asyncio.StreamReader(limit=_LONGEST_LINE)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        options = RayOptions.model_validate_json(await orders.readline())
        try:
            ray = join(options.address)
            cluster = Cluster(ray, options)
        except ClusterError as error:
            self._say(failed=told(error))
            return
        self._say(ready={"ray": ray.__version__, "nodes": len(cluster.nodes())})
        delivery = asyncio.ensure_future(cluster.deliver())
        while line := await orders.readline():
            self._obey(cluster, json.loads(line))
        for experiment in self._experiments.values():
            experiment.abandon()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_END_S)
        delivery.cancel()
        ray.shutdown()

    def _obey(self, cluster: Cluster, order: Mapping[str, Any]) -> None:
        match order["do"]:
            case "start":
                self._keep(self._conduct(cluster, self._experiment(order)))
            case "stop":
                if (experiment := self._experiments.get(order["job"])) is not None:
                    experiment.stop(float(order["grace_s"]))
            case "look":
                self._keep(self._look(cluster, order))

    def _keep(self, work: Any) -> None:
        made = asyncio.ensure_future(work)
        self._tasks.add(made)
        made.add_done_callback(self._tasks.discard)

    def _experiment(self, order: Mapping[str, Any]) -> Experiment:
        job, placement = order["job"], order["placement"]
        experiment = Experiment(
            id=job,
            directory=Path(order["directory"]),
            document=order["document"],
            environment=order["environment"],
            need=ResourceRequest.of(order["need"]),
            placement=Placement(**{**placement, "nodes": tuple(placement["nodes"])}) if placement else None,
            tell=lambda node: self._say(started=job, node=node) if node is not None else self._say(queued=job),
        )
        self._experiments[job] = experiment
        return experiment

    async def _conduct(self, cluster: Cluster, experiment: Experiment) -> None:
        try:
            ending = await experiment.run(cluster)
        except Exception as error:  # noqa: BLE001 - one experiment's trouble must not take the others along
            ending = Exit(cause=f"llem-ray failed: {type(error).__name__}: {error}", error=type(error).__name__)
        del self._experiments[experiment.id]
        self._say(job=experiment.id, exit=asdict(ending))

    async def _look(self, cluster: Cluster, order: Mapping[str, Any]) -> None:
        from llem_ray.cluster_probe import look

        try:
            seen = await look(cluster, order)
        except Exception as error:  # noqa: BLE001 - preflight says it, whatever it is
            seen = {"trouble": f"{type(error).__name__}: {error}"}
        self._say(seen=seen)

    def _say(self, **line: Any) -> None:
        data = json.dumps(line).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._answers, data) :]
        except BrokenPipeError:
            return  # llem is gone: the end of stdin says so too


def main() -> None:
    """Serve whoever started this process, by stdin and stdout."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what Ray prints is no answer
    asyncio.run(Bridge(answers).run())


if __name__ == "__main__":
    main()
