"""Registrations of llem-zeus. Importing this does not import Zeus."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, SamplerSpec, hookimpl


@hookimpl
def llem_energy_samplers() -> Sequence[SamplerSpec]:
    """The sampler `zeus`. It reads what nvml, amd and rapl read, so that it waits to be named."""
    return [
        SamplerSpec(
            name="zeus",
            api_version=API_VERSION,
            summary="GPUs, CPU packages and DRAM as Zeus reads them",
            methods=frozenset({"counter", "power"}),
            scopes=frozenset({"gpu", "module", "cpu", "dram", "host"}),
            sampler="llem_zeus.sampler:ZeusSampler",
            on_request=True,
            requires=("zeus",),
            install="pip install llem-zeus",
        )
    ]
