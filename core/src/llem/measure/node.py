"""Where an experiment ran: the node, whether it was the experiment's alone, and what hardware its figures are of."""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from llem.results.facts import DeviceFacts
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


def gpu_facts(devices: Sequence[DeviceFacts]) -> dict[str, Any]:
    """`models` of the GPUs that the experiment may use, one entry each, and their `driver`; None where nothing tells."""
    drivers = {device.driver for device in devices if device.driver}
    return {
        "models": sorted(device.model for device in devices if device.model) or None,
        "driver": ", ".join(sorted(drivers)) or None,
    }


def sharing_warnings(exclusive: bool | None, scopes: Collection[str]) -> list[ResultWarning]:
    """Warnings where others may have run on the node: CPU and memory are metered as a whole.

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
