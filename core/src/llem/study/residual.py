"""Memory that somebody holds on the GPUs before an experiment starts, and who."""

from __future__ import annotations

from collections.abc import Collection

from llem.config.experiment import MeasurementConfig
from llem.specs.backend import BackendSpec


def find(backend: BackendSpec, measurement: MeasurementConfig, gpus: Collection[str] = ()) -> list[dict[str, str]]:
    """Warnings for the result, `code` and `message` each; empty for a clean machine, and where there is no NVML.

    Asked at a moment when no experiment runs on these GPUs, so whatever is in use there belongs to somebody else.

    Args:
        gpus: UUIDs of those to look at; empty for all.
    """
    if "gpu" not in backend.capabilities:
        return []
    from llem.samplers.nvml import used_memory

    found = []
    for uuid, memory in used_memory().items():
        if gpus and uuid not in gpus:
            continue
        used_mb, processes = memory.used_mb, memory.processes
        if used_mb is not None and used_mb > measurement.residual_memory_mb:
            found.append(
                {
                    "code": "residual_gpu_memory",
                    "message": f"{uuid} has {used_mb:.0f} MiB in use before the start, "
                    f"more than {measurement.residual_memory_mb:g} (measurement.residual_memory_mb).",
                }
            )
        if processes:
            listed = ", ".join(map(str, processes))
            found.append(
                {
                    "code": "gpu_shared",
                    "message": f"{uuid} is shared with process(es) {listed}: their work is in its energy and speed.",
                }
            )
    return found
