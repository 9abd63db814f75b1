"""The check that experiments can run side by side on different GPUs (`execution.parallel: by_gpu`)."""

from __future__ import annotations

from collections.abc import Iterator

from llem.samplers.nvml import used_memory
from llem.specs.check import Finding, PreflightContext
from llem.specs.kinds import BACKENDS, RUNNERS

_LEAVE = "Leave execution.parallel at none, which runs one experiment at a time"


def check_parallel(context: PreflightContext) -> Iterator[Finding]:
    """Nothing to say where it is not asked for. Errors: too few GPUs, and no runner that could use them."""
    if context.parallel != "by_gpu":
        return
    registry = context.registry
    runners = {backend: text.partition(":")[0] for backend, text in context.runners.items()}
    sharing = {backend for backend, name in runners.items() if registry.find(RUNNERS, name).by_gpu}
    if not sharing:
        names = ", ".join(f"`{name}`" for name in sorted(set(runners.values())))
        yield Finding(
            level="error",
            message=f"execution.parallel is by_gpu, and it has no effect on what this study runs in ({names}): "
            "only the runner `local` shares out this machine's GPUs.",
            remedy=f"{_LEAVE}, or run a backend by the runner `local`.",
        )
        return
    gpus = list(used_memory())
    if len(gpus) < 2:
        seen = f"one GPU ({gpus[0]})" if gpus else "no NVIDIA GPU"
        yield Finding(
            level="error",
            message=f"execution.parallel is by_gpu, and llem sees {seen} on this machine: two or more are needed.",
            remedy=f"{_LEAVE}; or look at nvidia-smi and CUDA_VISIBLE_DEVICES, if there should be more.",
        )
        return
    for experiment in context.experiments:
        if experiment.backend not in sharing:
            continue
        needed = registry.find(BACKENDS, experiment.backend).gpus_of(experiment.options)
        if needed is not None and needed > len(gpus):
            yield Finding(
                level="error",
                message=f"an experiment of {experiment.backend} takes {needed} GPUs, and llem sees {len(gpus)} on this machine.",
                remedy="Split the model over fewer, or run it where there are as many.",
            )
