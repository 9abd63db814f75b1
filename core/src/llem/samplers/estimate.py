"""An estimate of CPU energy for machines without a meter: busy time of the host's CPUs times their rated power.

It is no measurement, and every figure that comes of it says so. Formula: busy CPU seconds / logical CPUs x rated power.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from llem.errors import SamplerUnavailable
from llem.specs.sampler import Device, Reading

DEVICE_ID = "estimate:cpu"
WATTS_PER_LOGICAL_CPU = 3.0
"""Assumed where the CPU's model is not in the table: the middle of what server, desktop and laptop CPUs are rated at."""


@dataclass(frozen=True)
class RatedPower:
    """Rated power of all CPUs that this host sees, and where the figure comes from."""

    watts: float
    source: str


def rated_power(cpuinfo: str, logical_cpus: int, setting: float | None = None) -> RatedPower:
    """Rated power (TDP) of this host's CPUs.

    Args:
        cpuinfo: the text of `/proc/cpuinfo`.
        logical_cpus: how many logical CPUs are online.
        setting: `measurement.cpu_tdp_w`, which wins.

    A virtual machine is given the share of a whole processor that its CPUs are.
    """
    if setting is not None:
        return RatedPower(float(setting), f"rated power {setting:g} W as set by measurement.cpu_tdp_w")
    model = _field(cpuinfo, "model name") or ""
    table = json.loads(resources.files(__package__).joinpath("cpu_tdp.json").read_text(encoding="utf-8"))
    known = [entry for entry in table["cpus"] if re.search(rf"(?<!\w){re.escape(entry['model'])}P?(?!\w)", model)]
    if not known:
        watts = WATTS_PER_LOGICAL_CPU * logical_cpus
        return RatedPower(
            watts,
            f"assumed rated power {watts:g} W ({WATTS_PER_LOGICAL_CPU:g} W for each of {logical_cpus} logical CPUs): the "
            f"model `{model or 'unknown'}` is not in llem's table; measurement.cpu_tdp_w sets it",
        )
    entry = max(known, key=lambda e: len(e["model"]))
    source = table["sources"][entry["source"]]
    if re.search(r"^flags\s*:.*\bhypervisor\b", cpuinfo, re.MULTILINE):
        watts = entry["tdp_w"] * logical_cpus / entry["threads"]
        share = f"{logical_cpus} of its {entry['threads']} threads, in a virtual machine"
    else:
        sockets = len(set(re.findall(r"^physical id\s*:\s*(\d+)", cpuinfo, re.MULTILINE))) or 1
        watts = entry["tdp_w"] * sockets
        share = f"{sockets} processor{'s' if sockets > 1 else ''}"
    return RatedPower(watts, f"rated power {watts:.4g} W: {entry['model']} at {entry['tdp_w']} W ({source}), {share}")


def _field(cpuinfo: str, name: str) -> str | None:
    found = re.search(rf"^{name}\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else None


def busy_ticks(stat: bytes) -> int:
    """Busy time of all CPUs together, in clock ticks since boot, from `/proc/stat`.

    Idle and waiting for I/O are not busy; stolen time ran on somebody else's account; guest time is already in user
    and nice time.
    """
    fields = stat.split(b"\n", 1)[0].split()
    if len(fields) < 8 or fields[0] != b"cpu":
        raise ValueError("/proc/stat does not begin with the line `cpu`")
    user, nice, system, _idle, _iowait, irq, softirq = (int(f) for f in fields[1:8])
    return user + nice + system + irq + softirq


class EstimateSampler:
    """CPU utilisation of the whole host times rated power, as one device of the scope `cpu`."""

    proc = Path("/proc")
    """Where the kernel's figures stand."""

    def __init__(self) -> None:
        self._rated: RatedPower | None = None
        self._cpus = 0
        self._last: tuple[int, int] | None = None

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        try:
            stat = (self.proc / "stat").read_bytes()
            busy_ticks(stat)
            cpuinfo = (self.proc / "cpuinfo").read_text(encoding="utf-8", errors="replace")
        except (OSError, ValueError) as error:
            raise SamplerUnavailable(
                f"CPU utilisation cannot be read: {error}.", remedy="It needs Linux and a readable /proc."
            ) from error
        self._cpus = len(re.findall(rb"^cpu\d+ ", stat, re.MULTILINE)) or os.cpu_count() or 1
        setting = settings.get("cpu_tdp_w")
        self._rated = rated_power(cpuinfo, self._cpus, float(setting) if isinstance(setting, int | float) else None)
        return [
            Device(
                id=DEVICE_ID,
                name=_field(cpuinfo, "model name") or "CPU",
                scope="cpu",
                methods=frozenset({"estimate"}),
                update_period_s=1 / os.sysconf("SC_CLK_TCK"),
                max_power_w=self._rated.watts,
                note=f"an estimate, not a measurement: CPU utilisation of the whole host x {self._rated.source}",
            )
        ]

    def read(self) -> Sequence[Reading]:
        if self._rated is None:
            return []
        try:
            before = time.monotonic_ns()
            ticks = busy_ticks((self.proc / "stat").read_bytes())
            t_ns = (before + time.monotonic_ns()) // 2
        except (OSError, ValueError):
            return []
        hz = os.sysconf("SC_CLK_TCK")
        telemetry = {}
        if self._last is not None and t_ns > self._last[0]:
            share = (ticks - self._last[1]) / hz / self._cpus / ((t_ns - self._last[0]) / 1e9)
            telemetry["utilization_pct"] = round(100 * min(max(share, 0.0), 1.0), 1)
        self._last = (t_ns, ticks)
        return [Reading(DEVICE_ID, t_ns, energy_j=ticks / hz / self._cpus * self._rated.watts, telemetry=telemetry)]

    def environment(self) -> Mapping[str, object]:
        if self._rated is None:
            return {}
        return {"rated_power_w": self._rated.watts, "source": self._rated.source, "logical_cpus": self._cpus}

    def close(self) -> None:
        self._rated = None
