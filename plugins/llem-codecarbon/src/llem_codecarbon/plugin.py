"""Registrations of llem-codecarbon. Importing this does not import CodeCarbon."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, SamplerSpec, hookimpl


@hookimpl
def llem_energy_samplers() -> Sequence[SamplerSpec]:
    """The sampler `codecarbon`. It reads or estimates what llem's own samplers do, so that it waits to be named."""
    return [
        SamplerSpec(
            name="codecarbon",
            api_version=API_VERSION,
            summary="GPUs, CPU and RAM as CodeCarbon measures or, mostly, estimates them",
            methods=frozenset({"counter", "power", "estimate"}),
            scopes=frozenset({"gpu", "cpu", "dram"}),
            sampler="llem_codecarbon.sampler:CodeCarbonSampler",
            on_request=True,
            requires=("codecarbon",),
            install="pip install llem-codecarbon",
        )
    ]
