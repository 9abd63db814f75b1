"""The node that a task runs on, and what the task holds of it. Asked in a task."""

from __future__ import annotations

import importlib
import os
from typing import Any

from llem_ray.nodes import Node, living


def facts() -> dict[str, Any]:
    """Facts of the node that a result is from."""
    ray, node = _ray(), _node()
    context = ray.get_runtime_context()
    return {
        "node": node.name if node else os.uname().nodename,
        "node_id": context.get_node_id(),
        "ray_version": ray.__version__,
        "held": context.get_assigned_resources(),
    }


def holds_all() -> bool:
    """Tell whether this task holds all CPUs and GPUs of its node."""
    held, node = _ray().get_runtime_context().get_assigned_resources(), _node()
    return node is not None and held.get("CPU", 0) >= node.cpus and held.get("GPU", 0) >= node.gpus


def _node() -> Node | None:
    ray = _ray()
    own = ray.get_runtime_context().get_node_id()
    return next((node for node in living(ray.nodes()) if node.id == own), None)


def _ray() -> Any:
    return importlib.import_module("ray")
