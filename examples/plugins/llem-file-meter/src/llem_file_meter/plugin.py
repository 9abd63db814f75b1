"""Registrations of llem-file-meter. It imports no driver: llem reads this in every command."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, SamplerSpec, hookimpl


@hookimpl
def llem_energy_samplers() -> Sequence[SamplerSpec]:
    """The sampler `file-meter`."""
    return [
        SamplerSpec(
            name="file-meter",
            api_version=API_VERSION,
            summary="a file that a meter of yours keeps writing: watts, and joules where it counts them",
            methods=frozenset(
                {"power", "counter"}
            ),  # counter: cumulative energy; power; estimate: worked out, not measured
            scopes=frozenset({"host"}),  # what its figures cover: gpu, module, cpu, dram or host
            sampler="llem_file_meter.sampler:FileMeterSampler",  # imported where it reads
            requires=(),  # import names of the packages that it needs
            install="pip install llem-file-meter",
        )
    ]
