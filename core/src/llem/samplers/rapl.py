"""CPU and DRAM energy by RAPL, as Linux' powercap shows it in sysfs (Intel, and AMD by the same driver)."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llem.errors import SamplerClosed, SamplerUnavailable
from llem.specs.sampler import Device, Reading, Scope

POWERCAP = Path("/sys/class/powercap")
MOST_W = 1_000.0
"""No zone draws more on average: what would need more is no wrap-around but a reset, or a lost count."""

_OPEN = "sudo chmod a+r /sys/class/powercap/*/energy_uj"

_CAUTION = "The command below opens them until the next boot; leave it on a machine that you share, whose users it lets watch each other."

_REMEDY = (
    f"Let users read it until the next boot: {_OPEN}; for good, by a udev rule "
    "that does so. Kernels keep it from users because of CVE-2020-8694 (a fast reader can learn about other "
    "users' work), so do it on machines you share with nobody."
)


@dataclass(frozen=True)
class Zone:
    """One zone of powercap.

    Attributes:
        folder: its folder, named as the kernel names it, such as `intel-rapl:0:0`.
        name: such as `package-0`, `core`, `dram`, `psys`.
        parent: folder name of the zone that it is part of, or None.
        range_uj: the counter starts again from 0 after this value; None where it is not said.
        mirror_of: folder name of the zone whose counter it shows once more, or None.
        limit_w: the highest power limit in force, or None.
    """

    folder: Path
    name: str
    parent: str | None
    range_uj: int | None
    mirror_of: str | None = None
    limit_w: float | None = None

    @property
    def scope(self) -> Scope:
        """`psys` is the whole platform; DRAM is beside the package; all else is CPU."""
        if self.name.startswith("psys"):
            return "host"
        return "dram" if self.name.startswith("dram") else "cpu"

    def read_uj(self) -> int:
        """The counter (microjoules). Raises OSError or ValueError."""
        return int((self.folder / "energy_uj").read_text())


def find_zones(root: Path = POWERCAP) -> list[Zone]:
    """All energy zones below a powercap folder, parents first.

    Some machines show a package twice, by register (`intel-rapl`) and by memory map (`intel-rapl-mmio`): one counter, so that
    the second is `mirror_of` the first.
    """
    zones: dict[str, Zone] = {}
    try:
        folders = sorted(
            (p for p in root.iterdir() if re.fullmatch(r"[\w-]+(:\d+)+", p.name)),
            key=lambda p: (p.name.split(":")[0], [int(n) for n in p.name.split(":")[1:]]),
        )
    except OSError:
        return []
    for folder in folders:
        try:
            name = (folder / "name").read_text().strip()
            present = (folder / "energy_uj").exists()
        except OSError:
            continue
        parent = folder.name.rpartition(":")[0]
        parent = parent if ":" in parent else ""
        if present and (not parent or parent in zones):
            mirrored = zones[parent].mirror_of is not None if parent else False
            mirror_of = None if parent else _first(zones.values(), folder, name)
            if not mirrored:
                range_uj = _number(folder / "max_energy_range_uj")
                zones[folder.name] = Zone(folder, name, parent or None, range_uj, mirror_of, _limit_w(folder))
    return list(zones.values())


def _first(zones: Iterable[Zone], folder: Path, name: str) -> str | None:
    """The folder of the zone of another control type that has the same name."""
    control = folder.name.split(":")[0]
    return next(
        (z.folder.name for z in zones if not z.parent and z.name == name and z.folder.name.split(":")[0] != control),
        None,
    )


def _limit_w(folder: Path) -> float | None:
    """The highest of its limits in force (PL1, PL2, peak), in watts; None where none is enforced or readable."""
    if _number(folder / "enabled") is None:
        return None
    limits = [_number(path) for path in folder.glob("constraint_*_power_limit_uw")]
    known = [limit for limit in limits if limit is not None and limit > 0]
    return max(known) / 1e6 if known else None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text()) or None
    except (OSError, ValueError):
        return None


class WrappingCounter:
    """Undoes the wrap-around of a counter.

    Args:
        range_uj: the value after which it starts again from 0; None where it never may.
    """

    def __init__(self, range_uj: int | None) -> None:
        self._range_uj = range_uj
        self._last: tuple[int, int] | None = None
        self._total_uj = 0
        self._failed = False

    def take(self, t_ns: int, value_uj: int | None) -> int | None:
        """Cumulative microjoules since the first value; None from the first reading on that cannot be trusted.

        That is one that failed, went backwards by other than a wrap-around, or came so late after the one before that
        the counter may have gone round unseen.
        """
        if value_uj is None:
            self._failed = True
        if self._failed or value_uj is None:
            return None
        if self._last is not None:
            most_uj = MOST_W * (t_ns - self._last[0]) / 1e3
            step = value_uj - self._last[1]
            if step < 0 and self._range_uj is not None:
                step += self._range_uj + 1
                # A counter that is read within the same instant may not have moved; one quantum is always plausible.
                if step > most_uj + 1e6:
                    step = -1
            if step < 0 or (self._range_uj is not None and most_uj > self._range_uj):
                self._failed = True
                return None
            self._total_uj += step
        self._last = (t_ns, value_uj)
        return self._total_uj


class RaplSampler:
    """Every readable zone as a device. A zone inside another says so, and is never added to a total."""

    root = POWERCAP
    """Where powercap stands."""

    def __init__(self) -> None:
        self._zones: dict[str, tuple[Zone, WrappingCounter]] = {}

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        zones = find_zones(self.root)
        if not zones:
            raise SamplerUnavailable(
                f"there are no RAPL zones in {self.root}.",
                remedy="It needs an Intel CPU or an AMD CPU from Zen on, the kernel module intel_rapl_msr, and no virtual machine.",
            )
        readable, closed = self._sort(zones)
        if not readable:
            raise SamplerClosed(
                f"RAPL's counters are not readable for this user ({closed}).",
                command=_OPEN,
                caution=_CAUTION,
                remedy=_REMEDY,
            )
        ids = _ids(zones)
        self._zones = {ids[z.folder.name]: (z, WrappingCounter(z.range_uj)) for z in readable}
        names = {z.folder.name for z in readable}
        return [
            Device(
                id=ids[z.folder.name],
                name=f"RAPL {ids[z.folder.name].removeprefix('rapl:')}",
                scope=z.scope,
                methods=frozenset({"counter"}),
                contained_in=_whole(z, names, ids),
                update_period_s=0.001,
                max_power_w=z.limit_w,
                note="; ".join(filter(None, (_mirrored(z, names, ids), f"not readable: {closed}" if closed else None)))
                or None,
            )
            for z in readable
        ]

    @staticmethod
    def _sort(zones: Sequence[Zone]) -> tuple[list[Zone], str]:
        """Zones that can be read, and the others in words."""
        readable: list[Zone] = []
        closed: list[str] = []
        for zone in zones:
            try:
                zone.read_uj()
                readable.append(zone)
            except (OSError, ValueError) as error:
                closed.append(f"{zone.folder.name}: {getattr(error, 'strerror', None) or error}")
        return readable, "; ".join(closed)

    def read(self) -> Sequence[Reading]:
        readings = []
        for id_, (zone, counter) in self._zones.items():
            before = time.monotonic_ns()
            value: int | None
            try:
                value = zone.read_uj()
            except (OSError, ValueError):
                value = None
            t_ns = (before + time.monotonic_ns()) // 2
            total_uj = counter.take(t_ns, value)
            readings.append(Reading(id_, t_ns, energy_j=None if total_uj is None else total_uj / 1e6))
        return readings

    def environment(self) -> Mapping[str, object]:
        return {
            id_: {"zone": zone.folder.name, "name": zone.name, "max_energy_range_uj": zone.range_uj}
            for id_, (zone, _) in self._zones.items()
        }

    def close(self) -> None:
        self._zones = {}


def _whole(zone: Zone, present: Collection[str], ids: Mapping[str, str]) -> str | None:
    """The device that already holds what a zone shows."""
    if zone.mirror_of in present:
        return ids[zone.mirror_of or ""]
    return ids[zone.parent] if zone.parent in present and zone.parent and zone.scope == "cpu" else None


def _mirrored(zone: Zone, present: Collection[str], ids: Mapping[str, str]) -> str | None:
    if zone.mirror_of not in present:
        return None
    return f"{zone.folder.name} shows the counter of {ids[zone.mirror_of or '']} once more, which is counted"


def _ids(zones: Sequence[Zone]) -> dict[str, str]:
    """Folder name to device id: `rapl:package-0`, `rapl:package-0/core`; the folder's name makes an id unique."""
    paths = {z.folder.name: z.name for z in zones if z.parent is None}
    for zone in zones:
        if zone.parent is not None:
            paths[zone.folder.name] = f"{paths[zone.parent]}/{zone.name}"
    mirrors = {z.folder.name for z in zones if z.mirror_of is not None}
    shown = [path for folder, path in paths.items() if folder not in mirrors]
    apart = {folder for folder, path in paths.items() if folder in mirrors or shown.count(path) > 1}
    return {folder: f"rapl:{path}" + (f"@{folder}" if folder in apart else "") for folder, path in paths.items()}
