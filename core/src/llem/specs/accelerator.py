"""Accelerators of a machine, as typed facts: what runs side by side, what is left in memory and what a node is are asked here."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class AcceleratorMemory:
    """Memory of an accelerator (MiB). What is not known is None, never 0.

    Attributes:
        total_mb: what it has.
        used_mb: what is in use now, whoever holds it; without what the driver keeps for itself, where that is told apart.
    """

    total_mb: float | None = None
    used_mb: float | None = None


@dataclass(frozen=True, kw_only=True)
class AcceleratorLimits:
    """Limits that bound power and speed, as they are in force now. What is not known is None, never 0.

    Attributes:
        power_w: the enforced power limit.
        clock_mhz: the clock that applications run at, as set.
        memory_clock_mhz: that of its memory.
    """

    power_w: float | None = None
    clock_mhz: float | None = None
    memory_clock_mhz: float | None = None


@dataclass(frozen=True, kw_only=True)
class AcceleratorSettings:
    """Further settings that change its energy. What is not known, or what it has not, is None.

    Attributes:
        runtime: version of the interface that its driver brings, such as that of CUDA.
        persistence_mode: the driver stays loaded while nobody uses it.
        ecc: its memory corrects errors.
        partitioned: it is cut into slices that are used apart.
    """

    runtime: str | None = None
    persistence_mode: bool | None = None
    ecc: bool | None = None
    partitioned: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """One accelerator, as it is now. What is not known is None, never 0.

    Attributes:
        id: stable over reboots and unique on the host, such as a GPU's UUID; as the samplers name it.
        kind: `gpu`, or the word for what it is.
        model: the product's name.
        driver: version of its driver.
        memory: what it has, and what is in use.
        limits: what bounds its power and speed.
        settings: what else is set and changes its energy.
        processes: the pids that hold it now; None where that cannot be told.
    """

    id: str
    kind: str
    model: str | None = None
    driver: str | None = None
    memory: AcceleratorMemory = field(default_factory=AcceleratorMemory)
    limits: AcceleratorLimits = field(default_factory=AcceleratorLimits)
    settings: AcceleratorSettings = field(default_factory=AcceleratorSettings)
    processes: frozenset[int] | None = None


@dataclass(frozen=True, kw_only=True)
class AcceleratorSpec:
    """Registration of a maker's accelerators, by `llem_accelerators`.

    Attributes:
        name: the word for the interface that tells of them, such as `nvml`.
        api_version: the `API_VERSION` that it was written for.
        summary: one line for `llem plugins`.
        find: `package.module:function`; takes nothing and returns the accelerators that this process may use, a sequence of
            `Accelerator`: empty where there is none of its kind, or no driver. Raises nothing over what a machine lacks.
        confine: `package.module:function`; takes ids of its accelerators and returns the variables (name to value) by which
            a process sees these and no others, whatever the user has set. None where there is no such way: then experiments
            cannot be run side by side on them (`execution.parallel: by_gpu`).
        device_files: how the paths of its device files begin. A process that has one open has touched an accelerator, and
            no worker is forked from it.
        libraries: how the names of its driver's libraries begin; likewise.
        look: what shows people their accelerators, such as `nvidia-smi`, for messages.
        requires: import names that must be present; looked up, never imported.
    """

    name: str
    api_version: int
    summary: str
    find: str
    confine: str | None = None
    device_files: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    look: str | None = None
    requires: tuple[str, ...] = ()
