"""Registrations of llem itself, by the same hooks as any plugin's."""

from __future__ import annotations

from collections.abc import Sequence

from llem.hookspecs import API_VERSION, hookimpl
from llem.specs.accelerator import AcceleratorSpec
from llem.specs.check import CheckSpec
from llem.specs.command import CommandSpec
from llem.specs.dataset import DatasetSpec
from llem.specs.runner import RunnerSpec
from llem.specs.sampler import SamplerSpec
from llem.specs.scenario import ScenarioSpec


@hookimpl
def llem_runners() -> Sequence[RunnerSpec]:
    """The local runner: a fresh process on this machine."""
    return [
        RunnerSpec(
            name="local",
            api_version=API_VERSION,
            summary="a fresh process on this machine for each experiment",
            runner="llem.runners.local:LocalRunner",
            by_gpu=True,
            reclaim="llem.runners.leftovers:reclaim",
            placements=frozenset({"same_node"}),
        )
    ]


@hookimpl
def llem_energy_samplers() -> Sequence[SamplerSpec]:
    """NVML, RAPL, and an estimate for machines without either."""
    return [
        SamplerSpec(
            name="nvml",
            api_version=API_VERSION,
            summary="NVIDIA GPUs by NVML: total energy counter and power",
            methods=frozenset({"counter", "power"}),
            scopes=frozenset({"gpu", "module"}),
            sampler="llem.samplers.nvml:NvmlSampler",
        ),
        SamplerSpec(
            name="rapl",
            api_version=API_VERSION,
            summary="CPU packages, cores and DRAM by RAPL (powercap in sysfs)",
            methods=frozenset({"counter"}),
            scopes=frozenset({"cpu", "dram", "host"}),
            sampler="llem.samplers.rapl:RaplSampler",
        ),
        SamplerSpec(
            name="estimate",
            api_version=API_VERSION,
            summary="an estimate, not a measurement: CPU utilisation times rated power (TDP)",
            methods=frozenset({"estimate"}),
            scopes=frozenset({"cpu"}),
            sampler="llem.samplers.estimate:EstimateSampler",
            yields_to=frozenset({"rapl"}),
        ),
    ]


@hookimpl
def llem_accelerators() -> Sequence[AcceleratorSpec]:
    """The cards of NVIDIA. A machine's processors are facts of every host, and have no driver to ask."""
    return [
        AcceleratorSpec(
            name="nvml",
            api_version=API_VERSION,
            summary="NVIDIA GPUs, by NVML",
            find="llem.samplers.nvml_accelerators:find",
            confine="llem.samplers.nvml_accelerators:confine",
            device_files=("/dev/nvidia", "/dev/dxg"),
            libraries=("libcuda.so", "libnvidia-ml.so"),
            look="nvidia-smi",
        ),
    ]


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    """Checks that concern every study."""
    return [
        CheckSpec(name=name, api_version=API_VERSION, summary=summary, check=f"llem.preflight.{function}")
        for name, summary, function in (
            ("meters", "which energy samplers work here, and why the others do not", "checks:check_meters"),
            (
                "accelerators",
                "which accelerators are seen here, and of which nothing is known",
                "devices:check_accelerators",
            ),
            ("output", "the results folder can be written and has room", "checks:check_output"),
            (
                "models",
                "models and tokenizers are there: folders and files, and names of the hub",
                "checks:check_models",
            ),
            ("datasets", "datasets can be read and have enough prompts", "checks:check_datasets"),
            ("requirements", "what each backend needs is installed where it runs", "checks:check_requirements"),
            (
                "parallel",
                "experiments can run side by side on different GPUs, where that is asked for",
                "devices:check_parallel",
            ),
            ("governor", "the CPU frequency governor does not disturb the figures", "checks:check_governor"),
            ("load", "nothing else keeps this machine busy", "checks:check_load"),
        )
    ]


@hookimpl
def llem_datasets() -> Sequence[DatasetSpec]:
    """The datasets that llem brings or can read."""
    return [
        DatasetSpec(
            name="aienergyscore",
            api_version=API_VERSION,
            summary="1,000 prompts of llem's own making in the shape of AIEnergyScore's text_generation set",
            loader="llem.datasets.aienergyscore:load_builtin",
        ),
        DatasetSpec(
            name="aienergyscore:official",
            api_version=API_VERSION,
            summary="the genuine AIEnergyScore/text_generation, from the hub or a local file (dataset.path), checked",
            loader="llem.datasets.aienergyscore:load_official",
        ),
        DatasetSpec(
            name="jsonl",
            api_version=API_VERSION,
            summary="a JSON Lines file (dataset.path), one prompt a line",
            loader="llem.datasets.jsonl:load",
        ),
        DatasetSpec(
            name="hub",
            api_version=API_VERSION,
            summary="a dataset of the Hugging Face hub (dataset.path, split, revision)",
            loader="llem.datasets.hub:load",
            requires=("datasets",),
            install="pip install 'llem[hub]'",
        ),
        DatasetSpec(
            name="synthetic",
            api_version=API_VERSION,
            summary="random token ids, exactly dataset.input_tokens of them, seeded",
            loader="llem.datasets.synthetic:load",
        ),
    ]


@hookimpl
def llem_scenarios() -> Sequence[ScenarioSpec]:
    """Both closed loops."""
    return [
        ScenarioSpec(
            name="offline",
            api_version=API_VERSION,
            summary="batches as the backend forms them, one after another",
            generator="llem.scenarios.offline:Offline",
        ),
        ScenarioSpec(
            name="single_stream",
            api_version=API_VERSION,
            summary="one request at a time, token by token",
            generator="llem.scenarios.single_stream:SingleStream",
            needs=frozenset({"streaming"}),
            at_once=1,
        ),
    ]


@hookimpl
def llem_commands() -> Sequence[CommandSpec]:
    """The commands of the core, in the order of `llem --help`."""
    return [
        CommandSpec(name=name, api_version=API_VERSION, summary=summary, command=f"llem.cli.{name}:{name}")
        for name, summary in (
            ("init", "write a first study, from a few questions or from flags"),
            ("run", "run a study, or one experiment from options"),
            ("resume", "go on with a study that was started before"),
            ("show", "show a study or a result as a table"),
            ("config", "show, describe or begin a configuration"),
            ("plugins", "list what is installed, and what was set aside"),
            ("completion", "complete words in bash, zsh or fish"),
            ("doctor", "check this machine and say what to do"),
        )
    ]
