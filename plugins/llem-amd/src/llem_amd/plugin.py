"""The registration of llem-amd. Importing this loads no library of AMD's."""

from __future__ import annotations

from collections.abc import Sequence

from llem.plugin_api import API_VERSION, AcceleratorSpec, SamplerSpec, hookimpl


@hookimpl
def llem_energy_samplers() -> Sequence[SamplerSpec]:
    """The sampler `amd`."""
    return [
        SamplerSpec(
            name="amd",
            api_version=API_VERSION,
            summary="AMD GPUs by AMD SMI: energy accumulator and socket power",
            methods=frozenset({"counter", "power"}),
            scopes=frozenset({"gpu"}),
            sampler="llem_amd.sampler:AmdSampler",
        )
    ]


@hookimpl
def llem_accelerators() -> Sequence[AcceleratorSpec]:
    """AMD's cards."""
    return [
        AcceleratorSpec(
            name="amd",
            api_version=API_VERSION,
            summary="AMD GPUs, by AMD SMI",
            find="llem_amd.accelerators:find",
            confine="llem_amd.accelerators:confine",
            device_files=("/dev/kfd", "/dev/dri/"),
            libraries=("libamd_smi.so",),
            look="amd-smi",
        )
    ]
