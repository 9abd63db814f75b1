"""The phase before the engine loads: idle power from the cache where it serves, else measured now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import platformdirs

from llem.config.experiment import BaselineConfig, MeasurementConfig
from llem.measure.baseline import BaselineCache, IdlePower, boot_clock_s, unsteady_devices
from llem.measure.draft import Draft
from llem.measure.meter import Meter
from llem.measure.phases import IDLE_BASELINE
from llem.measure.progress import rest
from llem.results.models import Baseline
from llem.specs.sampler import Device

SHARED = frozenset({"gpu_shared", "residual_gpu_memory"})
"""Warnings that somebody else was on a device before the start."""


def idle_baseline(config: BaselineConfig, measurement: MeasurementConfig, meter: Meter, draft: Draft) -> Baseline:
    """Idle power of each device.

    Args:
        config: how long, and whether a cached one may serve.
        measurement: rate of the meters, and what an estimate rests on.
        meter: started.
        draft: takes the warning `baseline_unsteady`.
    """
    if not meter.devices:
        return Baseline(enabled=True)
    cache = None
    if config.cache:
        identity = cache_identity(meter.devices, measurement.cpu_tdp_w, meter.environment())
        cache = BaselineCache(platformdirs.user_cache_path("llem"), identity)
        stored = cache.find([device.id for device in meter.devices], config.duration_s, config.max_age_s)
        if stored is not None:
            return Baseline(
                enabled=True,
                source="cached",
                duration_s=stored.duration_s,
                age_s=stored.age_s,
                idle_w=dict(stored.idle_w),
            )
    start = time.monotonic_ns()
    rest(draft.events, IDLE_BASELINE, config.duration_s)
    end = time.monotonic_ns()
    idle_w = dict(meter.mean_power(start, end))
    if not idle_w:
        return Baseline(enabled=True)
    unsteady = unsteady_devices(meter.mean_power, start, end, measurement.sample_hz)
    for device, cv in unsteady.items():
        draft.warn(
            "baseline_unsteady",
            f"power of {device} varied by {cv:.0%} while the machine should have been idle; something else ran, "
            "so idle_w and adjusted energy are doubtful.",
        )
    duration_s = (end - start) / 1e9
    # What somebody else drew while it was measured must not pass for this machine's idle power later.
    shared = any(w.code in SHARED for w in draft.warnings) or draft.environment.get("exclusive") is False
    if cache is not None and not unsteady and not shared:
        problem = cache.store(IdlePower(idle_w=idle_w, duration_s=duration_s, measured_at_s=boot_clock_s()))
        if problem is not None:
            draft.tell("baseline_cache", problem)
    return Baseline(enabled=True, source="measured", duration_s=duration_s, idle_w=idle_w)


def cache_identity(
    devices: Sequence[Device], cpu_tdp_w: float | None, environment: Mapping[str, Any]
) -> dict[str, Any]:
    """What must be the same for an idle baseline to serve again: the devices, how each is read, and their power limits."""
    return {
        "devices": sorted([d.id, d.name, sorted(d.methods), d.note] for d in devices),
        "cpu_tdp_w": cpu_tdp_w,
        "power_limits": sorted(_power_limits(environment, "")),
    }


def _power_limits(facts: object, path: str) -> Iterator[tuple[str, str]]:
    """Every fact whose name speaks of a power limit, with where it stands."""
    if isinstance(facts, Mapping):
        for key, value in facts.items():
            below = f"{path}.{key}"
            if "power_limit" in str(key):
                yield below, repr(value)
            else:
                yield from _power_limits(value, below)
    elif isinstance(facts, list | tuple):
        for index, value in enumerate(facts):
            yield from _power_limits(value, f"{path}.{index}")
