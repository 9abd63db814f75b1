"""Idle power: how it is averaged, when it counts as steady, and the cache that spares measuring it again.

A cached baseline serves only the same boot of the same machine, with the same devices under the same power limits,
measured over at least as long as is asked now, and not older than `baseline.max_age_s`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llem.measure.warmup import coefficient_of_variation
from llem.results.job_directory import write_json

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

SLICES = 10
"""Into so many equal parts the idle phase is cut to see whether power was steady."""

SLICE_READINGS = 5
"""A slice holds at least so many readings, or steadiness is not judged."""

UNSTEADY_CV = 0.10
"""Mean powers of the slices that vary by more than this are a machine that was not idle."""

MeanPower = Callable[[int, int], Mapping[str, float]]
"""Mean power in W by device between two instants (ns); a device that said nothing is left out."""


@dataclass(frozen=True, kw_only=True)
class IdlePower:
    """An idle baseline.

    Attributes:
        idle_w: mean power by device.
        duration_s: averaged over so long.
        measured_at_s: on the clock that counts since boot, sleep included.
    """

    idle_w: Mapping[str, float]
    duration_s: float
    measured_at_s: float

    @property
    def age_s(self) -> float:
        """Seconds since it was measured."""
        return boot_clock_s() - self.measured_at_s


def boot_clock_s() -> float:
    """Seconds since boot; goes on while the machine sleeps, and no clock setting moves it."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def unsteady_devices(mean_power: MeanPower, start_ns: int, end_ns: int, hz: float) -> dict[str, float]:
    """Devices whose idle power varied too much, each with the coefficient of variation over equal slices of the phase.

    Args:
        mean_power: answers for any interval.
        start_ns, end_ns: the idle phase.
        hz: readings per second; slices are chosen so that each holds enough of them.

    Returns:
        Empty where power was steady, or where the phase is too short to tell.
    """
    slices = min(SLICES, int((end_ns - start_ns) / 1e9 * hz / SLICE_READINGS))
    if slices < 3:
        return {}
    edges = [start_ns + (end_ns - start_ns) * i // slices for i in range(slices + 1)]
    parts = [mean_power(edges[i], edges[i + 1]) for i in range(slices)]
    found = {}
    for device in sorted(set().union(*parts)):
        values = [part[device] for part in parts if device in part]
        cv = coefficient_of_variation(values)
        if cv is not None and cv > UNSTEADY_CV:
            found[device] = cv
    return found


class BaselineCache:
    """Idle baselines of this boot, a small file each.

    Args:
        folder: where they are kept.
        identity: what must be the same for a baseline to serve: devices, limits, settings of estimates.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        boot = BOOT_ID.read_text(encoding="ascii").strip() if BOOT_ID.exists() else None
        key = hashlib.sha256(json.dumps([boot, identity], sort_keys=True).encode()).hexdigest()[:32]
        self._path = folder / "baselines" / f"{key}.json" if boot else None

    def find(self, devices: Sequence[str], duration_s: float, max_age_s: float) -> IdlePower | None:
        """The stored baseline, if it names all these devices, is long enough and not too old."""
        if self._path is None:
            return None
        try:
            data = json.loads(self._path.read_text(encoding="utf-8"))
            stored = IdlePower(
                idle_w={str(device): float(watts) for device, watts in data["idle_w"].items()},
                duration_s=float(data["duration_s"]),
                measured_at_s=float(data["measured_at_s"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # there is none, or it is damaged: measuring again mends both
        fits = set(devices) <= set(stored.idle_w) and stored.duration_s >= duration_s
        return stored if fits and 0 <= stored.age_s <= max_age_s else None

    def store(self, idle: IdlePower) -> str | None:
        """Keep a baseline. Returns why it could not be kept, or None."""
        if self._path is None:
            return None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, asdict(idle))
        except OSError as error:
            return f"the idle baseline could not be cached in {self._path.parent}: {error.strerror or error}"
        return None
