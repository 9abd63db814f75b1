"""Looks at a cluster before a study: which nodes fit, and what is on them. Runs in the process that speaks to Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from llem_ray import node_probe
from llem_ray.cluster import Cluster, on_node
from llem_ray.nodes import Node, fitting, settled
from llem_ray.resource_request import ResourceRequest

MOST_VISITS = 64
"""Nodes that are visited; in a larger cluster the others are taken to be like them."""
VISIT_S = 90.0


async def look(cluster: Cluster, question: Mapping[str, Any]) -> dict[str, Any]:
    """The cluster's nodes, or the answers of a question to them.

    Args:
        question: `needs` of the experiments, and what `node_probe.visit` asks of each node.

    Returns:
        `nodes`: name, cpus, gpus, resources, labels of each; `fits`: for each need the names of the nodes that could run
        it, `without_gpu` where its wish for one is not met; `visits`: name to what was found, or `trouble`.
    """
    nodes = cluster.nodes()
    needs = [settled(need, nodes) for need in map(ResourceRequest.of, question["needs"])]
    fits = [fitting(need, nodes) for need in needs]
    used = {node.id: node for found in fits for node in found}
    visited = list(used.values())[:MOST_VISITS]
    visits = await asyncio.gather(*(_visit(cluster, node, dict(question)) for node in visited))
    await asyncio.to_thread(_clear, question, visited)
    wished = [bool(document["gpu_wish"]) for document in question["needs"]]
    return {
        "nodes": [_told(node) for node in nodes],
        "fits": [
            {
                "need": need.text,
                "nodes": [node.name for node in found],
                "without_gpu": wish and not need.gpus,
            }
            for need, found, wish in zip(needs, fits, wished, strict=True)
        ],
        "visits": {node.name: found for node, found in zip(visited, visits, strict=True)},
    }


async def _visit(cluster: Cluster, node: Node, question: dict[str, Any]) -> dict[str, Any]:
    ray = cluster.ray
    ray.cloudpickle.register_pickle_by_value(node_probe)
    try:
        ref = (
            ray.remote(node_probe.visit)
            .options(
                num_cpus=0,
                max_retries=0,
                scheduling_strategy=on_node(node.id),
                runtime_env=cluster.options.runtime_env or None,
            )
            .remote({**question, "mark": _mark(node)})
        )
        found: dict[str, Any] = await asyncio.wait_for(_value(ref), VISIT_S)
    except TimeoutError:
        return {"trouble": f"it did not answer within {VISIT_S:g} s"}
    except ray.exceptions.RayError as error:
        return {"trouble": f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"}
    if question["storage"] is not None and found["storage"] is None:
        found["storage"] = await asyncio.to_thread(_read_back, question["storage"], _mark(node))
    return found


async def _value(ref: Any) -> Any:
    return await ref


def _mark(node: Node) -> str:
    return f".llem-look-{node.id[:16]}"


def _read_back(storage: str, mark: str) -> str | None:
    """The fault of the storage as seen from here; None where a node's mark is found."""
    import fsspec

    try:
        system, base = fsspec.core.url_to_fs(storage)
        with system.open(f"{base}/{mark}", "rb") as stream:
            stream.read()
    except Exception as error:  # noqa: BLE001 - whatever a storage raises is the answer
        return f"what it writes is not found here: {type(error).__name__}: {error}"
    return None


def _clear(question: Mapping[str, Any], nodes: list[Node]) -> None:
    if question["storage"] is None:
        return
    import fsspec

    for node in nodes:
        try:
            system, base = fsspec.core.url_to_fs(question["storage"])
            system.rm_file(f"{base}/{_mark(node)}")
        except Exception:  # noqa: BLE001 - it may never have been written; that has been said
            continue


def _told(node: Node) -> dict[str, Any]:
    return {"name": node.name, "cpus": node.cpus, "gpus": node.gpus, "labels": dict(node.labels)}
