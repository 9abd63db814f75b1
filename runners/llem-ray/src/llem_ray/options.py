"""Settings of the runner `ray`, below `runner_options: {ray: …}`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from llem.plugin_api import Section

_Amount = Annotated[float, Field(gt=0, le=1_000_000)]
_Label = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$", max_length=63)]


class RayOptions(Section):
    """Where and how experiments run on a Ray cluster; no part of an experiment's identity."""

    address: str = Field(
        "auto",
        min_length=1,
        description="the cluster: HOST:PORT of its head, or auto for RAY_ADDRESS or the one that this machine is part of",
    )
    num_cpus: float = Field(1.0, gt=0, le=100_000, description="CPUs that each experiment holds")
    num_gpus: int | None = Field(
        None,
        ge=0,
        le=10_000,
        description="GPUs that each experiment holds; null: as many as its backend's section asks for, else one where the "
        "backend uses GPUs",
    )
    memory_gb: float | None = Field(
        None, gt=0, le=1_000_000, description="memory (GiB) that each experiment reserves; null: none"
    )
    resources: dict[str, _Amount] = Field(
        default_factory=dict, description="further resources that each holds, by Ray's name, such as {a100: 1}"
    )
    labels: dict[str, _Label] = Field(
        default_factory=dict,
        description="labels that a node must have, such as {ray.io/node-group: gpu}; exact values, no expressions",
    )
    nodes: list[str] = Field(
        default_factory=list, description="only these nodes, by Ray's node name, host name, IP address or node id"
    )
    exclusive: bool = Field(
        False, description="each experiment takes all CPUs and GPUs of a node, so that nothing else of Ray runs there"
    )
    storage: str | None = Field(
        None,
        min_length=1,
        description="a folder that this machine and every node can reach (a path, or a URL of fsspec such as "
        "s3://bucket/llem), by which results come back; null: by Ray's object store",
    )
    output_limit_mb: float = Field(
        512.0, gt=0, le=1_000_000, description="the most (MiB) that one experiment's results may take"
    )
    max_retries: int = Field(
        3, ge=0, le=1000, description="how often an experiment starts anew whose node, or Ray's process there, died"
    )
    wait_for_nodes_s: float = Field(
        300.0,
        ge=0,
        le=604_800,
        description="how long to wait for a node when no node that lives could ever run an experiment",
    )
    capacity: int = Field(1000, ge=1, le=10_000, description="experiments handed to Ray at once")
    runtime_env: dict[str, Any] = Field(
        default_factory=dict, description="Ray's runtime environment for the nodes, passed on as it is"
    )
