"""Accelerators of a machine, as typed facts: what runs side by side, what is left in memory and what a node is are asked here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class AcceleratorMemory:
    """Memory of an accelerator (MiB). What is not known is None, never 0.

    Attributes:
        total_mb: what it has.
        used_mb: what is in use now, whoever holds it.
    """

    total_mb: float | None = None
    used_mb: float | None = None


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """One accelerator, as it is now. What is not known is None, never 0.

    Attributes:
        id: stable over reboots and unique on the host, such as a GPU's UUID; as the samplers name it.
        kind: `gpu`, or the word for what it is.
        model: the product's name.
        driver: version of its driver.
        memory: what it has, and what is in use.
        limits: settings that bound its power and speed, by name with the unit in it, such as `power_w`.
        processes: the pids that hold it now; None where that cannot be told.
    """

    id: str
    kind: str
    model: str | None = None
    driver: str | None = None
    memory: AcceleratorMemory = field(default_factory=AcceleratorMemory)
    limits: Mapping[str, float] = field(default_factory=dict)
    processes: frozenset[int] | None = None


@dataclass(frozen=True, kw_only=True)
class AcceleratorSpec:
    """Registration of a vendor's accelerators, by `llem_accelerators`.

    Attributes:
        name: the word for the vendor's interface, such as `nvml`.
        api_version: the `API_VERSION` that it was written for.
        summary: one line for `llem plugins`.
        find: `package.module:function`; takes nothing and returns the accelerators that this process may use, a sequence of
            `Accelerator`: empty where there is none of its kind, or no driver. Raises nothing over what a machine lacks.
        requires: import names that must be present; looked up, never imported.
    """

    name: str
    api_version: int
    summary: str
    find: str
    requires: tuple[str, ...] = ()
