"""Memory and processes that others have on accelerators before an experiment starts."""

from __future__ import annotations

from collections.abc import Collection

from llem.accelerators.asking import accelerators_here
from llem.config.experiment import MeasurementConfig
from llem.specs.backend import BackendSpec
from llem.specs.registry import SpecRegistry


def residual_memory(
    registry: SpecRegistry, backend: BackendSpec, measurement: MeasurementConfig, used: Collection[str] = ()
) -> list[dict[str, str]]:
    """Warnings for the result, `code` and `message` each; empty for a clean machine, and where nothing tells of any.

    Asked at a moment when no experiment runs on these accelerators, so whatever is in use there belongs to somebody else.

    Args:
        used: ids of those to look at; empty for all.
    """
    if "gpu" not in backend.capabilities:
        return []
    found = []
    for one in accelerators_here(registry):
        if used and one.id not in used:
            continue
        used_mb = one.memory.used_mb
        if used_mb is not None and used_mb > measurement.residual_memory_mb:
            found.append(
                {
                    "code": "residual_gpu_memory",
                    "message": f"{one.id} has {used_mb:.0f} MiB in use before the start, "
                    f"more than {measurement.residual_memory_mb:g} (measurement.residual_memory_mb).",
                }
            )
        if one.processes:
            listed = ", ".join(map(str, sorted(one.processes)))
            found.append(
                {
                    "code": "gpu_shared",
                    "message": f"{one.id} is shared with process(es) {listed}: their work is in its energy and speed.",
                }
            )
    return found
