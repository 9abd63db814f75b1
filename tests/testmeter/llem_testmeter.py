"""A third-party energy sampler for tests: a CPU that draws 50 W whatever happens, by counter and by power."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from llem.hookspecs import API_VERSION, hookimpl
from llem.specs import Device, Reading, SamplerSpec

WATTS = 50.0


class TestmeterSampler:
    """One device, exact at any time."""

    __test__ = False

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        return [Device(id="testmeter:0", name="a steady CPU", scope="cpu", methods=frozenset({"counter", "power"}))]

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
            scopes=frozenset({"cpu"}),
            sampler="llem_testmeter:TestmeterSampler",
        )
    ]
