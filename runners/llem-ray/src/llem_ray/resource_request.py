"""The resources of a node that one experiment takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from llem.plugin_api import BackendSpec, ExperimentConfig
from llem_ray.options import RayOptions


@dataclass(frozen=True, kw_only=True)
class ResourceRequest:
    """Resources of one experiment.

    Attributes:
        cpus: CPUs held.
        gpus: GPUs held and shown to the experiment.
        gpu_wish: it takes a GPU where the cluster has one, and does without elsewhere: `gpus` is then 1.
        memory: bytes reserved, None for none.
        resources: further ones by Ray's name.
        labels: that a node must have.
        nodes: the only ones, by any of their names; empty: all.
        exclusive: takes a whole node, of at least the above.
    """

    cpus: float
    gpus: int
    gpu_wish: bool = False
    memory: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    exclusive: bool = False

    def document(self) -> dict[str, Any]:
        """As plain data; `ResourceRequest.of` makes it a need again."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """From what `document` gave."""
        return cls(**{**document, "nodes": tuple(document["nodes"])})

    @property
    def text(self) -> str:
        """In words, for messages."""
        parts = [f"{self.cpus:g} CPU(s)"]
        if self.gpus:
            parts.append(f"{self.gpus} GPU(s)")
        if self.memory:
            parts.append(f"{self.memory / 2**30:g} GiB of memory")
        parts += [f"{amount:g} of {name}" for name, amount in self.resources.items()]
        parts += [f"the label {key}={value}" for key, value in self.labels.items()]
        if self.nodes:
            parts.append(f"to be one of {', '.join(self.nodes)}")
        return ", ".join(parts)


def need_of(config: ExperimentConfig, backend: BackendSpec, options: RayOptions) -> ResourceRequest:
    """The resources that an experiment takes, from its section and the runner's options."""
    gpus, wish = _gpus(config, backend) if options.num_gpus is None else (options.num_gpus, False)
    return ResourceRequest(
        cpus=options.num_cpus,
        gpus=gpus,
        gpu_wish=wish,
        memory=round(options.memory_gb * 2**30) if options.memory_gb is not None else None,
        resources=dict(options.resources),
        labels=dict(options.labels),
        nodes=tuple(options.nodes),
        exclusive=options.exclusive,
    )


def _gpus(config: ExperimentConfig, backend: BackendSpec) -> tuple[int, bool]:
    """The number of GPUs, and whether that is only a wish."""
    taken = backend.gpus_of(config.options)
    if taken == 0:
        return 0, False
    wanted = taken or 1
    device = getattr(config.options, "device", None)
    told = wanted > 1 or (isinstance(device, str) and device.startswith("cuda"))
    return wanted, "cpu" in backend.capabilities and not told
