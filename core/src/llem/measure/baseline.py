"""Idle power: how it is averaged, when it counts as steady, and the cache that spares measuring it again.

A cached baseline serves only the same boot of the same machine, with the same devices under the same power limits,
measured over at least as long as is asked now, and not older than `baseline.max_age_s`.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
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
        other_share: of the CPU that others used meanwhile; None where that is not known.
    """

    idle_w: Mapping[str, float]
    duration_s: float
    measured_at_s: float
    other_share: float | None = None

    @property
    def age_s(self) -> float:
        """Seconds since it was measured."""
        return boot_clock_s() - self.measured_at_s


def boot_clock_s() -> float:
    """Seconds since boot; goes on while the machine sleeps, and no clock setting moves it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


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
        self._boot = BOOT_ID.read_text(encoding="ascii").strip() if BOOT_ID.exists() else None
        key = hashlib.sha256(json.dumps([self._boot, identity], sort_keys=True).encode()).hexdigest()[:32]
        self._path = folder / "baselines" / f"{key}.json" if self._boot else None

    def find(self, devices: Sequence[str], duration_s: float, max_age_s: float) -> IdlePower | None:
        """The stored baseline, if it names all these devices, is long enough and not too old."""
        stored = self._read(self._path) if self._path is not None else None
        if stored is None or not set(devices) <= set(stored.idle_w):
            return None
        return stored if stored.duration_s >= duration_s and 0 <= stored.age_s <= max_age_s else None

    def lowest(self, devices: Sequence[str], max_age_s: float) -> dict[str, float]:
        """The lowest idle power of each of these devices that any other baseline of this boot tells, and not too old a one.

        Others are of the same machine, metered together with other devices or under other limits.
        """
        found: dict[str, float] = {}
        for path in self._path.parent.glob("*.json") if self._path is not None else ():
            other = self._read(path) if path != self._path else None
            if other is None or not 0 <= other.age_s <= max_age_s:
                continue
            for device in devices:
                if (watts := other.idle_w.get(device)) is not None and watts > 0:
                    found[device] = min(watts, found.get(device, watts))
        return found

    def store(self, idle: IdlePower) -> str | None:
        """Keep a baseline. Returns why it could not be kept, or None."""
        if self._path is None:
            return None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, {"boot": self._boot, **asdict(idle)})
        except OSError as error:
            return f"the idle baseline could not be cached in {self._path.parent}: {error.strerror or error}"
        return None

    def discard(self) -> None:
        """Throw the stored baseline away, so that nobody uses it again."""
        if self._path is not None:
            with suppress(OSError):  # another experiment has, or the folder is not ours to change
                self._path.unlink()

    def _read(self, path: Path) -> IdlePower | None:
        """A baseline of this boot; None where there is none or it is damaged: measuring again mends both."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data.get("boot", self._boot) != self._boot:
                return None
            share = data.get("other_share")
            return IdlePower(
                idle_w={str(device): _finite(watts) for device, watts in data["idle_w"].items()},
                duration_s=_finite(data["duration_s"]),
                measured_at_s=_finite(data["measured_at_s"]),
                other_share=None if share is None else _finite(share),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


def _finite(value: object) -> float:
    """Raises ValueError or TypeError where it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)
