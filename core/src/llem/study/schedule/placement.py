"""Where the cycles of one configuration run (`execution.placement`): what each job is told of those before it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from llem.config.study import PlacementChoice
from llem.specs.runner import Placement


class Placements:
    """Remembers on which nodes the cycles of each configuration ran. May be asked from any thread.

    Args:
        choice: `execution.placement`. For `any` nothing is kept, and every job may run anywhere.
    """

    def __init__(self, choice: PlacementChoice) -> None:
        self._choice = choice
        self._nodes: dict[str, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def of(self, config_hash: str) -> Placement | None:
        """The place that the next job of this configuration is told; None where it may run anywhere."""
        if self._choice == "any":
            return None
        with self._lock:
            nodes = self._nodes.get(config_hash, ())
        return Placement(rule=self._choice, key=config_hash, nodes=nodes)

    def ended(self, config_hash: str, environment: Mapping[str, Any]) -> None:
        """A job of this configuration ended; `environment` is its result's, which may not tell the node."""
        node = environment.get("node")
        if self._choice == "any" or not isinstance(node, str):
            return
        with self._lock:
            self._nodes[config_hash] = (*self._nodes.get(config_hash, ()), node)
