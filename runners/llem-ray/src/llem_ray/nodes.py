"""The nodes of a cluster, and which of them can run an experiment. Pure functions over what `ray.nodes()` tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from llem_ray.resource_request import ResourceRequest

_SLACK = 1e-4
"""Ray counts resources in ten-thousandths."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node that lives.

    Attributes:
        id: Ray's, in hex.
        name: as results tell it: the name that Ray was given for it, else its host name.
        names: everything that it may be called by in `nodes`.
        resources: all that it has, by Ray's name, free or not.
    """

    id: str
    name: str
    names: frozenset[str]
    resources: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def cpus(self) -> float:
        return self.resources.get("CPU", 0.0)

    @property
    def gpus(self) -> int:
        return int(self.resources.get("GPU", 0))


def living(listed: Iterable[Mapping[str, Any]]) -> list[Node]:
    """The nodes that live, of what `ray.nodes()` lists, in a steady order."""
    found = []
    for one in listed:
        if not one.get("Alive"):
            continue
        address, host, given = (str(one.get(key) or "") for key in _NAMES)
        found.append(
            Node(
                id=one["NodeID"],
                name=given if given and given != address else host or address,
                names=frozenset(filter(None, (one["NodeID"], address, host, given))),
                resources=dict(one.get("Resources") or {}),
                labels=dict(one.get("Labels") or {}),
            )
        )
    return sorted(found, key=lambda node: (node.name, node.id))


_NAMES = ("NodeManagerAddress", "NodeManagerHostname", "NodeName")


def fitting(need: ResourceRequest, nodes: Sequence[Node]) -> list[Node]:
    """The nodes that could run it when they are free."""
    return [node for node in nodes if _fits(need, node)]


def settled(need: ResourceRequest, nodes: Sequence[Node]) -> ResourceRequest:
    """With a mere wish for a GPU decided: one where a fitting node has one, else none."""
    if not need.gpu_wish:
        return need
    has_one = bool(fitting(need, nodes))
    return replace(need, gpu_wish=False, gpus=need.gpus if has_one else 0)


def _fits(need: ResourceRequest, node: Node) -> bool:
    if need.nodes and node.names.isdisjoint(need.nodes):
        return False
    if any(node.labels.get(key) != value for key, value in need.labels.items()):
        return False
    wanted = {"CPU": need.cpus, "GPU": float(need.gpus), "memory": float(need.memory or 0), **need.resources}
    return all(node.resources.get(name, 0.0) + _SLACK >= amount for name, amount in wanted.items())
