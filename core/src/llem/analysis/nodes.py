"""Which results may be averaged: those of nodes that are alike in what decides about speed and energy. Pure functions over rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NODE, EXCLUSIVE = "environment.node", "environment.exclusive"
CPU, GPUS, DRIVER = "environment.cpu.model", "environment.gpu.models", "environment.gpu.driver"

COLUMNS = (NODE, EXCLUSIVE, CPU, GPUS, DRIVER)
"""The columns that say where a result came from."""


@dataclass(frozen=True, order=True)
class Hardware:
    """What nodes have to have in common so that their results may be averaged. None is what no result of them tells.

    Attributes:
        gpus: model of each GPU that the experiment may use, sorted.
    """

    gpus: tuple[str, ...] | None = None
    driver: str | None = None
    cpu: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether anything of it is told; results of earlier versions tell nothing."""
        return self != Hardware()

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.gpu_text, self.driver_text, self.cpu))) or "unknown"

    @property
    def gpu_text(self) -> str:
        """`2 × NVIDIA H200`; empty without GPUs."""
        models = dict.fromkeys(self.gpus or ())
        counts = {model: (self.gpus or ()).count(model) for model in models}
        return " and ".join(f"{count} × {model}" if count > 1 else model for model, count in counts.items())

    @property
    def driver_text(self) -> str:
        """`driver 550.1`; empty where it is not known."""
        return f"driver {self.driver}" if self.driver else ""


def hardware_of(row: Mapping[str, Any]) -> Hardware:
    """What a row of `results.parquet` tells of its node."""
    gpus = row.get(GPUS)
    return Hardware(tuple(gpus) if gpus else None, row.get(DRIVER), row.get(CPU))


def are_alike(rows: Iterable[Mapping[str, Any]]) -> bool:
    """Whether rows may be averaged. Those that tell nothing of their node are taken to be like the others."""
    return len({found for row in rows if (found := hardware_of(row)).is_known}) < 2


def by_hardware(rows: Sequence[Mapping[str, Any]]) -> list[tuple[Hardware, list[Mapping[str, Any]]]]:
    """Rows apart by the hardware that they are of, in the order of their first.

    Rows that tell nothing of it, such as those of experiments that never began, stay with the first.
    """
    groups: dict[Hardware, list[Mapping[str, Any]]] = {}
    untold = []
    for row in rows:
        found = hardware_of(row)
        if found.is_known:
            groups.setdefault(found, []).append(row)
        else:
            untold.append(row)
    if not groups:
        return [(Hardware(), list(rows))] if rows else []
    (first, kept), *others = groups.items()
    if untold:
        places = {id(row): number for number, row in enumerate(rows)}
        kept = sorted([*kept, *untold], key=lambda row: places[id(row)])
    return [(first, kept), *others]


def differences(kinds: Iterable[Hardware]) -> list[str]:
    """In what several kinds of node differ: `GPU`, `driver`, `CPU`; empty where they do not."""
    found = list(kinds)
    named = (("GPU", "gpus"), ("driver", "driver"), ("CPU", "cpu"))
    return [name for name, field in named if len({getattr(kind, field) for kind in found}) > 1]


def short_names(kinds: Sequence[Hardware]) -> list[str]:
    """Each kind by what tells it from the others."""
    apart = differences(kinds)
    names = []
    for kind in kinds:
        parts = {"GPU": kind.gpu_text or "no GPU", "driver": kind.driver_text, "CPU": kind.cpu or ""}
        names.append(", ".join(filter(None, (parts[name] for name in apart))) or str(kind))
    return names


def unlike(first: Hardware, second: Hardware) -> str | None:
    """A sentence where two results come from nodes that are not alike; None where they are, or nothing is told."""
    if not (first.is_known and second.is_known) or first == second:
        return None
    apart = " and ".join(differences([first, second]))
    one, other = short_names([first, second])
    return f"they ran on nodes that differ in {apart} ({one}; {other}): the difference may be that of the nodes"
