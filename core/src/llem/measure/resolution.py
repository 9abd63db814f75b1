"""What a meter can resolve: how long a window must be for its counter, and where averaged power tells nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from llem.specs.sampler import Device

MIN_PERIODS = 50
"""A window is at least so many update periods of the device long."""

AVERAGED_FIELD = "nvmlDeviceGetPowerUsage"
"""NVML's field that shows an average over the last second on cards after GA100."""


def rests_on_average(device: Device) -> bool:
    """Its energy can be told by power alone, and that is an average over a time that the device names."""
    averaged = device.methods == {"power"} and power_field(device.note) == AVERAGED_FIELD
    return averaged and device.update_period_s is not None


def resolves(device: Device, window_s: float) -> bool:
    """False for a window that is shorter than one update of the device, and for averaged power in a window that is short
    beside the time it averages over: it then shows what was before the window as much as the window itself.
    """
    period_s = device.update_period_s or 0.0
    return window_s >= period_s * (MIN_PERIODS if rests_on_average(device) else 1)


def resolved_window_s(devices: Iterable[Device], used: Collection[str]) -> float:
    """The shortest window that the meters in use can resolve: `MIN_PERIODS` of the slowest counter or averaged power."""
    periods = [
        device.update_period_s
        for device in devices
        if ("counter" in device.methods or rests_on_average(device))
        and device.update_period_s is not None
        and (device.scope != "gpu" or device.id in used)
    ]
    return MIN_PERIODS * max(periods, default=0.0)


def power_field(note: str | None) -> str | None:
    """The name of the power field that a device's note gives, as `power field NAME`."""
    words = (note or "").replace(";", " ").replace(",", " ").replace(":", " ").split()
    return next(
        (name for a, b, name in zip(words, words[1:], words[2:], strict=False) if (a, b) == ("power", "field")), None
    )
