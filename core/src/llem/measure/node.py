"""Where an experiment ran: the node, whether it was the experiment's alone, and what hardware its figures are of."""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from llem.results.models import ResultWarning

NODE = "LLEM_NODE"
"""Names the node where a runner knows better than the worker: in a container the host name is another."""

EXCLUSIVE = "LLEM_NODE_EXCLUSIVE"
"""`1` where the node is this experiment's alone, `0` where others may run there; anything else: not known."""

_NAMES = (NODE, "SLURMD_NODENAME")


def node_facts(environ: Mapping[str, str]) -> dict[str, Any]:
    """`node`: its name, None where nothing tells it; `exclusive`: true, false, or None where it is not known."""
    told = next((environ[name] for name in _NAMES if environ.get(name)), None)
    return {
        "node": told or platform.node() or None,
        "exclusive": {"1": True, "0": False}.get(environ.get(EXCLUSIVE, "")),
    }


def gpu_facts(meters: Mapping[str, Any]) -> dict[str, Any]:
    """`models` of the GPUs that the experiment may use, one entry each, and their `driver`; None where no meter tells."""
    cards = list(_cards(meters))
    drivers = {str(driver) for card, of_all in cards if (driver := card.get("driver") or of_all)}
    return {
        "models": sorted(str(card["name"]) for card, _ in cards if card.get("name")) or None,
        "driver": ", ".join(sorted(drivers)) or None,
    }


def _cards(meters: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """What samplers tell of each GPU, with the driver that one tells for all; a card that two of them read once."""
    seen: set[object] = set()
    for facts in meters.values():
        cards = facts.get("gpus") if isinstance(facts, Mapping) else None
        for card in cards if isinstance(cards, list) else ():  # a plugin's facts are in no fixed shape
            if isinstance(card, Mapping) and card.get("uuid") not in seen:
                seen.add(card.get("uuid"))
                yield card, facts.get("driver")


def sharing_warnings(exclusive: bool | None, scopes: Collection[str]) -> list[ResultWarning]:
    """What a reader must know where others may have run on the node: CPU and memory are metered as a whole.

    Args:
        exclusive: as `node_facts` tells it.
        scopes: of the devices whose energy was measured or estimated.
    """
    shared = [name for scope, name in (("cpu", "CPU"), ("dram", "DRAM"), ("host", "host")) if scope in scopes]
    if exclusive is not False or not shared:
        return []
    return [
        ResultWarning(
            code="cpu_energy_shared",
            message=f"the node was not this experiment's alone: its energy of {', '.join(shared)} holds the work of others too.",
        )
    ]
