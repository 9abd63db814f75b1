"""The nodes of a cluster, and on which of them a job shall run whose place is not free."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from dataclasses import dataclass

from llem.plugin_api import LlemError, Placement
from llem_slurm.commands import run
from llem_slurm.options import SlurmOptions

_FRESH_S = 60.0
_AWAY = ("DOWN", "DRAIN", "FAIL", "UNKNOWN", "POWERED_DOWN", "MAINT", "FUTURE", "NO_RESPOND")


@dataclass(frozen=True)
class Node:
    """A node as sinfo tells.

    Attributes:
        gpus: kind to number; the kind is empty where the site names none.
        serves: whether jobs can start there, now or when others have ended.
    """

    name: str
    serves: bool
    features: frozenset[str]
    gpus: Counter[str]

    def has(self, gpus: int, kind: str | None) -> bool:
        """Tell whether it has so many GPUs (of a kind)."""
        return (self.gpus[kind] if kind else self.gpus.total()) >= gpus


def nodes_of(partition: str | None) -> list[Node]:
    """The nodes of a partition, of the default one where none is named. Raises LlemError where Slurm does not tell."""
    where = [f"--partition={partition}"] if partition else []
    text = run(
        ["sinfo", "--Node", "--noheader", *where, "--Format=NodeList:|,StateLong:|,Gres:|,Features:|,Partition:|"]
    )
    found: dict[str, Node] = {}
    for line in text.splitlines():
        name, state, gres, features, in_partition = (part.strip() for part in line.split("|")[:5])
        if not partition and not in_partition.endswith("*"):
            continue
        away = "*" in state or any(word in state.upper() for word in _AWAY)
        found[name] = Node(name, not away, frozenset(features.split(",")), gpus_in(gres))
    return list(found.values())


def gpus_in(gres: str) -> Counter[str]:
    """GPUs in a node's `Gres`: `gpu:a100:4(S:0-1),gpu:2,lustre:1`."""
    found: Counter[str] = Counter()
    for kind, number in re.findall(r"(?:^|,)gpu(?::([^:,(]*[A-Za-z_][^:,(]*))?:(\d+)", gres):
        found[kind] += int(number)
    return found


class Placer:
    """Chooses the node of each job that the study places. May be asked from any thread.

    Every cycle of one configuration on one node, or each on another as evenly as there are nodes; different configurations
    are dealt out over all nodes either way.
    """

    def __init__(self, options: SlurmOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._given: dict[str, Counter[str]] = {}
        self._load: Counter[str] = Counter()
        self._nodes: list[Node] = []
        self._asked_at = float("-inf")

    def node_for(self, placement: Placement, gpus: int) -> str:
        """The node for one more job of this placement's key.

        Raises:
            LlemError: no node can take it.
        """
        with self._lock:
            mine = self._given.setdefault(placement.key, Counter(placement.nodes))
            if placement.rule == "same_node" and mine:
                node = next(iter(mine))
            else:
                names = [n.name for n in self._fitting(gpus)]
                if not names:
                    raise LlemError(
                        "no node can take a job that execution.placement places.",
                        where="runner_options.slurm",
                        remedy="Look at `sinfo -N -l`; widen partition, constraint or gpus.",
                    )
                node = min(names, key=lambda name: (mine[name], self._load[name]))
            mine[node] += 1
            self._load[node] += 1
            return node

    def _fitting(self, gpus: int) -> list[Node]:
        now, options = time.monotonic(), self._options
        if now - self._asked_at > _FRESH_S:
            self._nodes, self._asked_at = nodes_of(options.partition), now
        plain = options.constraint if options.constraint and re.fullmatch(r"[\w.-]+", options.constraint) else None
        left_out = set(expanded(options.exclude)) if options.exclude else set()
        only = set(expanded(options.nodelist)) if options.nodelist else None
        return [
            n
            for n in self._nodes
            if n.serves
            and n.has(gpus, options.gpu_type)
            and (plain is None or plain in n.features)
            and n.name not in left_out
            and (only is None or n.name in only)
        ]


def expanded(names: str) -> list[str]:
    """`n[1-3]` as Slurm itself writes it out."""
    return run(["scontrol", "show", "hostnames", names]).split()
