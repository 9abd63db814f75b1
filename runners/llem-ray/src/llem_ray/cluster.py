"""The cluster as experiments see it: its nodes, the mailbox, and tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llem_ray import task
from llem_ray.mailbox import CONCURRENCY, Mailbox, Parcel
from llem_ray.nodes import Node, living
from llem_ray.options import RayOptions
from llem_ray.placement import Place, Places
from llem_ray.resource_request import ResourceRequest

if TYPE_CHECKING:
    from llem_ray.experiment import Experiment

_NODES_AGE_S = 1.0
_AGAIN_S = 1.0


class Cluster:
    """Joined already; used within one event loop.

    Attributes:
        attempts: those under way by name; output of others is dropped.
        places: what runs where.
        changed: set when a node may have become free.
        names: of all nodes that ever lived, by id.
    """

    def __init__(self, ray: Any, options: RayOptions) -> None:
        self.ray = ray
        self.options = options
        self.attempts: dict[str, Experiment] = {}
        self.places = Places()
        self.changed = asyncio.Event()
        self.names: dict[str, str] = {}
        self._nodes: list[Node] = []
        self._nodes_at = float("-inf")
        self._orders: dict[str, float] = {}
        here = ray.get_runtime_context().get_node_id()
        self._mailbox = (
            ray.remote(Mailbox)
            .options(
                num_cpus=0,
                max_concurrency=CONCURRENCY,
                max_restarts=-1,
                scheduling_strategy=on_node(here, soft=True),
                runtime_env=options.runtime_env or None,
            )
            .remote()
        )
        self._task = ray.remote(task.attempt)

    def nodes(self) -> list[Node]:
        """The nodes that live, as of a second ago or less."""
        if time.monotonic() - self._nodes_at > _NODES_AGE_S:
            self._nodes = living(self.ray.nodes())
            self._nodes_at = time.monotonic()
            self.names.update({node.id: node.name for node in self._nodes})
        return self._nodes

    async def change(self, timeout_s: float, ordered: asyncio.Event) -> None:
        """Sleep until something has ended, an order has come, or the time is over."""
        self.changed.clear()
        waiters = [asyncio.ensure_future(event.wait()) for event in (self.changed, ordered)]
        await asyncio.wait(waiters, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for waiter in waiters:
            waiter.cancel()

    def submit(self, order: task.Order, need: ResourceRequest, place: Place) -> tuple[Any, Any]:
        """Hand an attempt to Ray; returns references to its outcome and to what it left."""
        outcome, content = self._task.options(**self.task_options(need, place.node)).remote(order, self._mailbox)
        return outcome, content

    def task_options(self, need: ResourceRequest, node: Node | None) -> dict[str, Any]:
        """Ray's options for a task of this need, on a node or where Ray likes."""
        cpus, gpus = need.cpus, float(need.gpus)
        if need.exclusive and node is not None:
            cpus, gpus = node.cpus, float(node.gpus)
        options: dict[str, Any] = {
            "num_cpus": cpus,
            "num_gpus": gpus,
            "resources": dict(need.resources),
            "num_returns": 2,
            "max_retries": 0,
            "scheduling_strategy": on_node(node.id) if node is not None else "SPREAD",
        }
        if need.memory is not None:
            options["memory"] = need.memory
        if node is None and need.labels:
            options["label_selector"] = dict(need.labels)
        if self.options.runtime_env:
            options["runtime_env"] = self.options.runtime_env
        return options

    async def order(self, attempt: str, grace_s: float) -> None:
        """Order an attempt to end."""
        self._orders[attempt] = grace_s
        await self._leave_order(attempt, grace_s)

    def forget(self, attempt: str) -> None:
        """An attempt has ended."""
        if self._orders.pop(attempt, None) is not None:
            self._mailbox.forget.remote(attempt)

    def size_of(self, ref: Any) -> int:
        """Bytes of an object, before it is fetched; 0 where Ray does not tell, as of small ones."""
        found: Mapping[str, Any] = self.ray.experimental.get_object_locations([ref]).get(ref) or {}
        return int(found.get("object_size") or 0)

    async def deliver(self) -> None:
        """Bring what the mailbox gets to the experiments, for ever."""
        while True:
            try:
                parcels: list[Parcel] = await self._mailbox.fetch.remote()
            except self.ray.exceptions.RayError:
                # Its process was killed, and Ray makes another: what was ordered is told anew.
                await self._tell_again()
                continue
            for parcel in parcels:
                experiment = self.attempts.get(parcel.attempt)
                if experiment is not None:
                    experiment.receive(parcel)

    async def _tell_again(self) -> None:
        told: set[str] = set()
        while True:
            await asyncio.sleep(_AGAIN_S)
            for attempt, grace_s in list(self._orders.items()):
                if attempt not in told and await self._leave_order(attempt, grace_s):
                    told.add(attempt)
            if told >= set(self._orders):
                return

    async def _leave_order(self, attempt: str, grace_s: float) -> bool:
        """Tell whether the mailbox took it; it does not while its process is made anew."""
        try:
            await self._mailbox.stop.remote(attempt, grace_s)
        except self.ray.exceptions.RayError:
            return False
        return True


def on_node(node_id: str, *, soft: bool = False) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node_id, soft=soft)
