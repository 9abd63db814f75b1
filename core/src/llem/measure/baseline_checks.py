"""Cross-checks of idle power. Pure functions: an idle baseline is believed as far as everything else that is known allows.

Idle power is a floor: no phase of an experiment draws less, the same machine a moment later does not, and no device idles
above its limit. What breaks that was taken under load, by a meter that lied, or on another machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llem.results.models import Baseline, DeviceEnergy
from llem.specs.sampler import Device

RELATIVE, ABSOLUTE_W = 0.25, 2.0
"""Idle power may be above what cannot be below it by such a share and so many watts: meters and idle machines are noisy."""

LIMIT_TOLERANCE = 0.10
"""Power may be above the limit in force by such a share."""

ROUNDING = 1e-6
"""A share of a window's energy that is no more than arithmetic's rounding: adjusted energy is zero there, on either side."""

PRESENT_S = 1.0
"""Seconds for which power is read before a cached baseline is used: idle power is never above it."""

LEAST_S = 0.5
"""A phase that is to contradict idle power lasts at least so long."""


def impossible(device: Device, watts: float, limit_w: float | None = None) -> str | None:
    """Reason for which a device cannot idle at this power; None where it can.

    Args:
        limit_w: the highest power that it may draw; None where that is not known.
    """
    if not math.isfinite(watts):
        return f"{watts} W is no power"
    if watts < 0:
        return f"{watts:.4g} W is negative"
    # A part of a device may be switched off, as the graphics in a processor's package.
    if watts == 0 and device.methods != {"estimate"} and device.contained_in is None:
        return "0 W is what a meter that stands still says"
    if limit_w is not None and watts > limit_w * (1 + LIMIT_TOLERANCE):
        return f"{watts:.4g} W is above its limit of {limit_w:.4g} W"
    return None


def contradicts(idle_w: float, other_w: float) -> bool:
    """True where idle power is above power that cannot be below it by more than noise explains."""
    return idle_w > other_w * (1 + RELATIVE) + ABSOLUTE_W


def contradictions(idle_w: Mapping[str, float], other_w: Mapping[str, float], what: str) -> dict[str, str]:
    """Devices whose idle power is contradicted, each with both numbers.

    Args:
        other_w: power that cannot be below idle power; what: its name, such as `power with the model loaded`.
    """
    return {
        device: f"idle power of {watts:.4g} W is above {what}, {other_w[device]:.4g} W"
        for device, watts in idle_w.items()
        if device in other_w and contradicts(watts, other_w[device])
    }


def limits_w(facts: Mapping[str, Any]) -> dict[str, float]:
    """The power limit of each device that one is known of, from what samplers tell of their devices.

    Args:
        facts: by sampler, as `Meter.environment` gives them.
    """
    found: dict[str, float] = {}
    for told in facts.values():
        for card in told.get("gpus") or () if isinstance(told, Mapping) else ():
            if isinstance(card, Mapping) and isinstance(card.get("uuid"), str):
                known = [
                    w for key in ("power_limit_max_w", "power_limit_w") if (w := _number(card.get(key))) is not None
                ]
                if known:
                    found[card["uuid"]] = max(known)
    return found


def usable_idle_w(baseline: Baseline | None) -> dict[str, float]:
    """Idle power of each device of which it is believed."""
    if baseline is None:
        return {}
    return {device: watts for device, watts in baseline.idle_w.items() if device not in baseline.doubtful}


def without_negative(devices: Iterable[DeviceEnergy]) -> Iterator[tuple[DeviceEnergy, str | None]]:
    """Each device, and why its adjusted energy is now null where it was below zero."""
    for device in devices:
        if device.adjusted_j is None or device.adjusted_j >= 0:
            yield device, None
            continue
        mean_w, idle_w = device.mean_w, device.idle_w
        assert mean_w is not None
        assert idle_w is not None
        if device.energy_j is not None and -device.adjusted_j <= ROUNDING * device.energy_j:
            device.adjusted_j = 0.0
            yield device, None
            continue
        device.adjusted_j = None
        yield device, f"its mean power in the window, {mean_w:.4g} W, is below its idle power, {idle_w:.4g} W"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None
