"""Ask all who registered accelerators what there is on this machine now."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llem.specs.accelerator import Accelerator, AcceleratorSpec
from llem.specs.kinds import ACCELERATORS
from llem.specs.registry import SpecRegistry, missing_requirements


@dataclass(frozen=True)
class Answer:
    """The accelerators of one maker, as they are now.

    Attributes:
        spec: whose they are.
        accelerators: those that this process may use; empty where there are none, or nobody knows.
        trouble: why nothing is known of them; None where that is known.
    """

    spec: AcceleratorSpec
    accelerators: Sequence[Accelerator] = ()
    trouble: str | None = None


def ask(registry: SpecRegistry) -> list[Answer]:
    """An answer of each that is registered. One that breaks keeps no other from answering."""
    return [_answer(spec) for spec in registry[ACCELERATORS].values()]


def accelerators_here(registry: SpecRegistry) -> list[Accelerator]:
    """All accelerators that this process may use."""
    return [accelerator for answer in ask(registry) for accelerator in answer.accelerators]


def confined_to(spec: AcceleratorSpec, ids: Sequence[str]) -> Mapping[str, str]:
    """Variables by which a process sees these accelerators of a maker and no others of it; empty where it has no such."""
    if spec.confine is None:
        return {}
    confine = pkgutil.resolve_name(spec.confine)
    found: Mapping[str, str] = confine(ids)
    return found


def variables_of(registry: SpecRegistry) -> frozenset[str]:
    """Variables by which processes are told which accelerators they may see, of every maker whose plugin says."""
    found: set[str] = set()
    for spec in registry[ACCELERATORS].values():
        try:
            found.update(confined_to(spec, ()))
        except Exception:  # noqa: BLE001 - a third party's function; nothing is shared out on its accelerators then
            continue
    return frozenset(found)


def _answer(spec: AcceleratorSpec) -> Answer:
    if missing := missing_requirements(spec.requires):
        return Answer(spec, trouble=f"the package {', '.join(missing)} is not installed")
    try:
        found = tuple(pkgutil.resolve_name(spec.find)())
        if wrong := next((one for one in found if not isinstance(one, Accelerator)), None):
            raise TypeError(f"it returns a {type(wrong).__name__}, not an Accelerator")
    except Exception as error:  # noqa: BLE001 - whatever a third party's driver does
        return Answer(spec, trouble=f"{type(error).__name__}: {error}")
    return Answer(spec, found)
