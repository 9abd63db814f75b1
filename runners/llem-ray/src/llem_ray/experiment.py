"""One experiment on the cluster, through as many attempts as it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.plugin_api import Exit, LlemError, Placement
from llem_ray.endings import NO_NODE, NODE_FAILED, Lost, ending_of
from llem_ray.job_output import Outbox
from llem_ray.mailbox import Parcel
from llem_ray.nodes import fitting, settled
from llem_ray.parcels import Storage, refuse_large, take
from llem_ray.placement import Place
from llem_ray.resource_request import ResourceRequest
from llem_ray.task import Order, Outcome

if TYPE_CHECKING:
    from llem_ray.cluster import Cluster

_LOOK_S = 5.0
_CONFIRM_S = 60.0
"""Time after its grace in which an order to end may be confirmed; then Ray's process is killed with all below."""
_LAST_WORDS_S = 30.0
_DEATH_S = 60.0
"""Time that Ray may take to see that a node is dead, before it is asked to run something there again."""


@dataclass(kw_only=True)
class Experiment:
    """An experiment that is to be run, and how far it is.

    Attributes:
        id: unique in this process.
        directory: the job directory.
        document: content of `experiment.json`.
        environment: variables for the worker.
        tell: called with a name of a node when an attempt starts, with None when one was lost.
        grace_s: of the order to stop; None while there is none.
    """

    id: str
    directory: Path
    document: Mapping[str, Any]
    environment: Mapping[str, str]
    need: ResourceRequest
    placement: Placement | None
    tell: Callable[[str | None], None]
    grace_s: float | None = None
    _ordered: asyncio.Event = field(default_factory=asyncio.Event)
    _node: str | None = None
    _node_id: str | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _trouble: str | None = None
    _abandoned: bool = False
    _outbox: Outbox = field(init=False)

    def __post_init__(self) -> None:
        self._outbox = Outbox(self.directory)

    def stop(self, grace_s: float) -> None:
        """Order it to end; a later order shortens the time."""
        if (
            self.grace_s is None or grace_s < self.grace_s
        ):  # else whoever waits for orders would be woken for nothing, again and again
            self.grace_s = grace_s
            self._ordered.set()

    def abandon(self) -> None:
        """End it at once and write nothing more: its job directory may be another llem's by now."""
        self._abandoned = True
        self.stop(0)

    def receive(self, parcel: Parcel) -> None:
        """Take what its attempt tells."""
        if self._abandoned:
            return
        if parcel.kind == "started":
            facts = parcel.facts or {}
            self._node, self._node_id = str(facts.get("node")), facts.get("node_id")
            self.tell(self._node)
        elif parcel.kind == "end":
            self._ended.set()
        else:
            try:
                self._outbox.write(parcel)
            except OSError as error:
                self._trouble = self._trouble or f"the job directory cannot be written: {error.strerror or error}"
                self.stop(0)

    async def run(self, cluster: Cluster) -> Exit:
        """Attempt it until it ends by itself, is stopped, or was lost too often."""
        lost: list[Lost] = []
        avoid: set[str] = set()
        while True:
            place = await self._place(cluster, avoid)
            if isinstance(place, Exit):
                return place
            need = settled(self.need, cluster.nodes())
            cluster.places.enter(self.id, need, self.placement, place)
            self._node, self._node_id, self._ended = None, None, asyncio.Event()
            found = await self._attempt(cluster, need, place, lost)
            cluster.places.leave(self.id, need, self.placement, place, lost=isinstance(found, Lost))
            cluster.changed.set()
            if isinstance(found, Exit):
                return self._with_trouble(found)
            lost.append(found)
            if self.grace_s is not None:
                return Exit(cause=found.what, error=found.kind, node=self._node)
            if len(lost) > cluster.options.max_retries:
                return self._exhausted(lost)
            self.tell(None)
            self._outbox.begin_anew(len(lost), f"attempt {len(lost)} was lost: {found.what}; it starts anew.")
            avoid |= await self._see_it_gone(cluster, found, place)

    async def _place(self, cluster: Cluster, avoid: set[str]) -> Place | Exit:
        """Wait for a node that it may go to."""
        since = time.monotonic()
        while self.grace_s is None:
            nodes = cluster.nodes()
            need = settled(self.need, nodes)
            place = cluster.places.choose(need, self.placement, nodes, avoid)
            if place is not None:
                return place
            if fitting(need, nodes):
                since = time.monotonic()  # it has only to wait for its turn
            elif time.monotonic() - since > cluster.options.wait_for_nodes_s:
                return self._no_node(cluster, need)
            await cluster.change(_LOOK_S, self._ordered)
        return Exit(cause="it was cancelled before it started")

    async def _attempt(self, cluster: Cluster, need: ResourceRequest, place: Place, lost: list[Lost]) -> Exit | Lost:
        """One attempt, from the hand-over to its results."""
        name = f"{self.id}.{len(lost) + 1}"
        order = self._order(cluster, name, need, place, lost)
        cluster.attempts[name] = self
        outcome, content = cluster.submit(order, need, place)
        try:
            ended = await self._watch(cluster, name, outcome)
            if ended is not None:
                return ended
            told: Outcome = await outcome
            with suppress(TimeoutError):  # the mailbox may be lost meanwhile, and the last of the log with it
                await asyncio.wait_for(self._ended.wait(), _LAST_WORDS_S)
            if self._abandoned:
                return Exit(node=self._node)
            data = await self._results(cluster, order, told, content)
            await asyncio.to_thread(take, data, self.directory, order.limit)
            return Exit(**told.exit)
        except LlemError as error:
            return Exit(cause=str(error).rstrip("."), error=type(error).__name__, node=self._node)
        except OSError as error:
            self._trouble = f"the job directory cannot be written: {error.strerror or error}"
            return Exit(node=self._node)
        except cluster.ray.exceptions.RayError as error:
            return ending_of(error, self._node, cluster.names)
        finally:
            del cluster.attempts[name]
            cluster.forget(name)

    def _order(self, cluster: Cluster, name: str, need: ResourceRequest, place: Place, lost: list[Lost]) -> Order:
        warnings = [*self.document.get("warnings", ())]
        warnings += [{"code": "attempt_lost", "message": f"an attempt was lost: {one.what}."} for one in lost]
        if place.moved_from is not None and place.node is not None:
            text = (
                f"earlier cycles ran on {place.moved_from}, which cannot be used any more: it ran on {place.node.name}."
            )
            warnings.append({"code": "node_changed", "message": text})
        folder = f"{self.document.get('position', 0):06d}-{self.document['config_hash'][:16]}-{name}"
        root = cluster.options.storage
        return Order(
            attempt=name,
            document={**self.document, "warnings": warnings},
            environment=dict(self.environment),
            gpus=need.gpus,
            alone=need.exclusive,
            facts={"attempt": len(lost) + 1, "lost_attempts": [one.what for one in lost]},
            limit=round(cluster.options.output_limit_mb * 2**20),
            storage=None if root is None else (root, str(self.document.get("study") or "llem"), folder),
        )

    async def _watch(self, cluster: Cluster, name: str, outcome: Any) -> Exit | None:
        """Sleep until the attempt has ended; pass orders on. An exit only where its end cannot be waited for."""
        finished = asyncio.ensure_future(_quietly(outcome))
        ordered: float | None = None
        deadline = float("inf")
        unfit_since: float | None = None
        killed = False
        while not finished.done():
            if self.grace_s is not None and (ordered is None or self.grace_s < ordered):
                ordered = self.grace_s
                self._ordered.clear()
                await cluster.order(name, ordered)
                if self._node is None:
                    cluster.ray.cancel(outcome, force=False)
                deadline = time.monotonic() + ordered + _CONFIRM_S
            if time.monotonic() > deadline:
                if killed:
                    return Exit(cause=f"its end on the node {self._node} could not be confirmed", node=self._node)
                cluster.ray.cancel(outcome, force=True)
                killed, deadline = True, time.monotonic() + _CONFIRM_S
            if self._node is None and ordered is None:
                need = settled(self.need, cluster.nodes())
                fits = bool(fitting(need, cluster.nodes()))
                unfit_since = None if fits else unfit_since or time.monotonic()
                if unfit_since and time.monotonic() - unfit_since > cluster.options.wait_for_nodes_s:
                    cluster.ray.cancel(outcome, force=True)
                    return self._no_node(cluster, need)
            waiter = asyncio.ensure_future(self._ordered.wait())
            await asyncio.wait({finished, waiter}, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
            waiter.cancel()
        return None

    async def _results(self, cluster: Cluster, order: Order, told: Outcome, content: Any) -> Mapping[str, bytes]:
        refuse_large(told.sizes, order.limit)
        if order.storage is None:
            refuse_large({"the object": await asyncio.to_thread(cluster.size_of, content)}, order.limit + 2**20)
            data: Mapping[str, bytes] = await content
            return data
        storage = Storage(*order.storage)
        found = await asyncio.to_thread(storage.fetch, told.sizes, order.limit)
        await asyncio.to_thread(storage.remove)
        return found

    async def _see_it_gone(self, cluster: Cluster, found: Lost, place: Place) -> set[str]:
        """Wait until Ray too knows that a node is dead, so that the next attempt does not go there."""
        dead = self._node_id or found.node_id or (place.node.id if place.node else None)
        if found.kind != NODE_FAILED or dead is None:
            return set()
        end = time.monotonic() + _DEATH_S
        while time.monotonic() < end and self.grace_s is None:
            if dead not in {node.id for node in cluster.nodes()}:
                break
            await cluster.change(1.0, self._ordered)
        return {dead}

    def _no_node(self, cluster: Cluster, need: ResourceRequest) -> Exit:
        cause = (
            f"no node of the cluster can run it, and none came within {cluster.options.wait_for_nodes_s:g} s: it needs "
        )
        return Exit(cause=cause + need.text, error=NO_NODE)

    def _exhausted(self, lost: list[Lost]) -> Exit:
        tried = f"all {len(lost)} attempts were lost" if len(lost) > 1 else "its only attempt was lost"
        whats = "; ".join(dict.fromkeys(one.what for one in lost))
        return Exit(cause=f"{tried}: {whats} (runner_options.ray.max_retries)", error=lost[-1].kind, node=self._node)

    def _with_trouble(self, found: Exit) -> Exit:
        if self._trouble is None:
            return found
        return Exit(cause=self._trouble, error="OutputLost", node=found.node)


async def _quietly(ref: Any) -> None:
    """Wait for a task to end, whatever became of it."""
    try:
        await ref
    except Exception:  # noqa: BLE001 - asked for again, and told apart, by whoever wants the value
        return
