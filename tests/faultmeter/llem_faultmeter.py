"""A third-party energy sampler for tests that is honest until the measured window opens, and then lies as it was told.

FAULTMETER names the lie; `none` is an honest meter of 300 W. It looks into the experiment's events for the window, which no
real meter could.
"""

from __future__ import annotations

import json
import math
import os
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from llem.hookspecs import API_VERSION, hookimpl
from llem.plugin_api import Device, Reading, SamplerSpec

WATTS = 300.0
LIE_AFTER_S = 0.5
BOTH = frozenset({"counter", "power"})
PACKAGE = Device(id="package:0", name="a package that lies", scope="cpu", methods=BOTH, max_power_w=700)


class FaultSampler:
    """One package, or one under two names, at 300 W with the noise of a sensor."""

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        self._lie = os.environ.get("FAULTMETER", "none")
        self._events = Path(sys.argv[1]) / "events.jsonl" if len(sys.argv) > 1 else None
        self._window_ns: int | None = None
        self._held_j: float | None = None
        self._joules, self._last_ns = 0.0, time.monotonic_ns()
        self._chance = random.Random(1)
        if self._lie == "two_names":
            zones = ("rapl:package-0-die-0", "rapl:package-0-die-1")
            return [Device(id=i, name="a package", scope="cpu", methods=frozenset({"counter"})) for i in zones]
        methods = BOTH - {"counter"} if self._lie in ("negative", "no_power", "milliwatts", "silent") else BOTH
        return [replace(PACKAGE, methods=methods)]

    def read(self) -> Sequence[Reading]:
        t_ns = time.monotonic_ns()
        watts = WATTS * (1 + self._chance.gauss(0, 0.01))
        self._joules += watts * (t_ns - self._last_ns) / 1e9
        self._last_ns = t_ns
        if self._lie == "two_names":
            zones = ("rapl:package-0-die-0", "rapl:package-0-die-1")
            return [Reading(zone, t_ns + i, energy_j=self._joules + 5 * i) for i, zone in enumerate(zones)]
        honest = Reading(PACKAGE.id, t_ns, energy_j=self._joules, power_w=watts)
        if self._lie in ("negative", "no_power", "milliwatts", "silent"):
            honest = replace(honest, energy_j=None)
        return self._told(honest) if self._window_s(t_ns) > LIE_AFTER_S or self._lie == "stuck" else [honest]

    def _told(self, honest: Reading) -> Sequence[Reading]:
        joules, watts = honest.energy_j, honest.power_w
        assert watts is not None
        if self._held_j is None:
            self._held_j = joules
        match self._lie:
            case "stuck":
                return [replace(honest, energy_j=0.0)]
            case "frozen":
                return [replace(honest, energy_j=self._held_j)]
            case "jump" if joules is not None:
                return [replace(honest, energy_j=joules + 6.5e6)]
            case "reset" if joules is not None and self._held_j is not None:
                return [replace(honest, energy_j=joules - self._held_j)]
            case "negative":
                return [replace(honest, power_w=-watts)]
            case "no_power":
                return [replace(honest, power_w=0.0)]
            case "milliwatts":
                return [replace(honest, power_w=1000 * watts)]
            case "nan":
                return [replace(honest, energy_j=math.nan, power_w=math.nan)]
            case "wall_clock":
                return [replace(honest, t_ns=time.time_ns())]
            case "silent":
                raise OSError("the driver is gone")
        return [honest]

    def _window_s(self, now_ns: int) -> float:
        """Since the measured window opened."""
        if self._window_ns is None and self._events is not None and self._events.exists():
            for line in self._events.read_text().splitlines():
                event = json.loads(line) if line.endswith("}") else {}
                if event.get("name") == "window" and event.get("state") == "start":
                    self._window_ns = now_ns
        return (now_ns - self._window_ns) / 1e9 if self._window_ns is not None else -1.0

    def environment(self) -> Mapping[str, object]:
        return {}

    def close(self) -> None: ...


@hookimpl
def llem_energy_samplers() -> Sequence[SamplerSpec]:
    return [
        SamplerSpec(
            name="faultmeter",
            api_version=API_VERSION,
            summary="lies once the window is open",
            methods=BOTH,
            scopes=frozenset({"cpu", "gpu"}),
            sampler="llem_faultmeter:FaultSampler",
        )
    ]
