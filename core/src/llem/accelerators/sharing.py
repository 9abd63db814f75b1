"""Accelerators of this machine that experiments may share out among them, each its own (`execution.parallel: by_gpu`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from llem.accelerators.asking import Answer, ask, confined_to
from llem.specs.accelerator import AcceleratorSpec
from llem.specs.registry import SpecRegistry


@dataclass(frozen=True)
class Shares:
    """Accelerators of one maker that can be shown to one process and kept from another.

    Attributes:
        ids: of each, in the maker's order; empty where nothing can be shared out.
        spec: whose they are; None where there are none.
    """

    ids: Sequence[str] = ()
    spec: AcceleratorSpec | None = None

    def shown(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Variables by which a process sees these and no others."""
        return {} if self.spec is None or not ids else confined_to(self.spec, ids)


def shareable(answers: Collection[Answer]) -> list[Answer]:
    """The answers that have accelerators which can be shared out."""
    return [answer for answer in answers if answer.accelerators and answer.spec.confine is not None]


def shares_here(registry: SpecRegistry) -> Shares:
    """This machine's; none where those of several makers are visible, since an engine can use one maker's only."""
    found = shareable(ask(registry))
    return Shares() if len(found) != 1 else Shares([one.id for one in found[0].accelerators], found[0].spec)
