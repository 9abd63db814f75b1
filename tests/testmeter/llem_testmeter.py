"""A third-party energy sampler for tests: a device that draws 50 W whatever happens, by counter and by power.

It is a CPU, or a GPU where TESTMETER_SCOPE says `gpu`: a device that other work on the machine leaves alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Literal

from llem.hookspecs import API_VERSION, hookimpl
from llem.plugin_api import Device, Reading, SamplerSpec

WATTS = 50.0


class TestmeterSampler:
    """One device, exact at any time."""

    __test__ = False

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        scope: Literal["cpu", "gpu"] = "gpu" if os.environ.get("TESTMETER_SCOPE") == "gpu" else "cpu"
        methods: frozenset[Literal["counter", "power"]] = frozenset({"counter", "power"})
        return [Device(id="testmeter:0", name="a steady device", scope=scope, methods=methods)]

    def read(self) -> Sequence[Reading]:
        t_ns = time.monotonic_ns()
        return [Reading("testmeter:0", t_ns, energy_j=WATTS * t_ns / 1e9, power_w=WATTS)]

    def environment(self) -> Mapping[str, object]:
        return {"power_limit_w": WATTS}

    def close(self) -> None: ...


@hookimpl
def llem_energy_samplers() -> Sequence[SamplerSpec]:
    return [
        SamplerSpec(
            name="testmeter",
            api_version=API_VERSION,
            summary="always 50 W",
            methods=frozenset({"counter", "power"}),
            scopes=frozenset({"cpu", "gpu"}),
            sampler="llem_testmeter:TestmeterSampler",
        )
    ]
