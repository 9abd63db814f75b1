"""The node that an experiment goes to, where that is not left to Ray. Decisions over plain data; nothing here waits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from llem.plugin_api import Placement
from llem_ray.nodes import Node, fitting
from llem_ray.resource_request import ResourceRequest


@dataclass(frozen=True)
class Place:
    """Where an attempt goes.

    Attributes:
        node: the node; None leaves it to Ray.
        moved_from: the node that it should have shared with earlier cycles, where that is gone.
    """

    node: Node | None
    moved_from: str | None = None


@dataclass
class Places:
    """Keeps count of what runs where, and chooses.

    Attributes:
        running: by node id, the experiments that were sent to it by name.
        alone: ids of nodes that one experiment holds.
    """

    running: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    alone: set[str] = field(default_factory=set)
    _sent: dict[str, Counter[str]] = field(default_factory=dict)
    _home: dict[str, str] = field(default_factory=dict)

    def choose(
        self,
        need: ResourceRequest,
        placement: Placement | None,
        nodes: Sequence[Node],
        avoid: Collection[str] = (),
    ) -> Place | None:
        """A place now, or None where there is none yet.

        Args:
            need: with the wish for a GPU decided.
            placement: with regard to other cycles.
            nodes: those that live.
            avoid: ids of nodes that are known to be dead, though Ray does not know it yet.
        """
        could = [node for node in fitting(need, nodes) if node.id not in avoid]
        if not could:
            return None
        if placement is None and not need.exclusive and not need.nodes:
            return Place(None)
        moved_from = None
        if placement is not None and placement.rule == "same_node":
            home = self._home.get(placement.key) or next(reversed(placement.nodes), None)
            at_home = [node for node in could if node.name == home]
            moved_from = home if home and not at_home else None
            could = at_home or could
        elif placement is not None:
            counts = self._sent.setdefault(placement.key, Counter(placement.nodes))
            least = min(counts[node.name] for node in could)
            could = [node for node in could if counts[node.name] == least]
        if need.exclusive:
            could = [node for node in could if node.id not in self.alone]
        if not could:
            return None
        return Place(min(could, key=lambda node: len(self.running[node.id]) / max(node.cpus, 1.0)), moved_from)

    def enter(self, name: str, need: ResourceRequest, placement: Placement | None, place: Place) -> None:
        """An experiment was sent there."""
        if place.node is None:
            return
        self.running[place.node.id].add(name)
        if need.exclusive:
            self.alone.add(place.node.id)
        if placement is not None and placement.rule == "same_node":
            self._home[placement.key] = place.node.name
        elif placement is not None:
            self._sent[placement.key][place.node.name] += 1

    def leave(self, name: str, need: ResourceRequest, placement: Placement | None, place: Place, *, lost: bool) -> None:
        """It has ended; one that was lost does not count as a cycle on that node."""
        if place.node is None:
            return
        self.running[place.node.id].discard(name)
        if need.exclusive:
            self.alone.discard(place.node.id)
        if lost and placement is not None and placement.rule == "spread":
            self._sent[placement.key][place.node.name] -= 1
