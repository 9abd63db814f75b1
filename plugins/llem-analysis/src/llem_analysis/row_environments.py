"""Choice of the results that may be averaged: those whose environments are alike in everything that changes energy.

Pure functions over rows. One comparison serves `show`, `analyze`, `compare` and `execution.until`, the one of `llem resume`: facts
that both sides tell and that are not equal. What one of them does not tell is no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llem.plugin_api import OF_MACHINE, CpuFacts, DeviceFacts, Environment, Facts, differing, named_facts

NODE, EXCLUSIVE = "environment.node", "environment.exclusive"
CPU, GPUS, DRIVER = "environment.cpu.model", "environment.gpu.models", "environment.gpu.driver"
DEVICES, VERSIONS, IMAGE = "facts.devices", "facts.versions", "facts.image"
GOVERNOR, BOOST, SMT = "facts.cpu.governor", "facts.cpu.boost", "facts.cpu.simultaneous_multithreading"
FACTS_CPU = "facts.cpu.model"
REVISION, DATASET = "facts.model_revision", "facts.dataset_sha256"

COMPARED = (GPUS, DRIVER, CPU, DEVICES, FACTS_CPU, GOVERNOR, BOOST, SMT, VERSIONS, IMAGE, REVISION, DATASET)
"""The columns that decide whether rows may be averaged."""

COLUMNS = (NODE, EXCLUSIVE, *COMPARED)
"""The columns that say where a result came from."""


def environment_of(row: Mapping[str, Any]) -> Environment:
    """Environment as a row of `results.parquet` tells it."""
    devices = row.get(DEVICES)
    if devices is None:  # of a version that kept no facts
        models = row.get(GPUS)
        devices = [{"id": str(i), "model": m, "driver": row.get(DRIVER)} for i, m in enumerate(models or ())] or None
    return named_facts(
        Facts(
            devices=None if devices is None else [DeviceFacts.model_validate(one) for one in devices],
            cpu=CpuFacts(
                model=row.get(FACTS_CPU) or row.get(CPU),
                governor=row.get(GOVERNOR),
                boost=row.get(BOOST),
                simultaneous_multithreading=row.get(SMT),
            ),
            versions=row.get(VERSIONS) or {},
            image=row.get(IMAGE),
            model_revision=row.get(REVISION),
            dataset_sha256=row.get(DATASET),
        )
    )


def are_alike(rows: Iterable[Mapping[str, Any]]) -> bool:
    """True where rows may be averaged. What they do not tell is taken to be like the others."""
    return len(by_environment(list(rows))) < 2


class RowEnvironments:
    """Environments of rows. Most rows of a study tell the same, and are read once."""

    def __init__(self) -> None:
        self._known: dict[str, Environment] = {}

    def of(self, row: Mapping[str, Any]) -> Environment:
        """As `environment_of`."""
        key = repr([row.get(column) for column in COMPARED])
        if key not in self._known:
            self._known[key] = environment_of(row)
        return self._known[key]


def by_environment(
    rows: Sequence[Mapping[str, Any]], environments: RowEnvironments | None = None
) -> list[tuple[Environment, list[Mapping[str, Any]]]]:
    """Rows of one configuration apart by their environment, in the order of their first.

    Rows that tell nothing, such as those of experiments that never began, stay with the first.

    Args:
        environments: that were read of other rows of the study.
    """
    environments = environments or RowEnvironments()
    places, kinds = together([environments.of(row) for row in rows])
    groups: list[list[Mapping[str, Any]]] = [[] for _ in kinds]
    for place, row in zip(places, rows, strict=True):
        groups[place].append(row)
    return list(zip(kinds, groups, strict=True))


def together(environments: Sequence[Environment]) -> tuple[list[int], list[Environment]]:
    """Environments that are alike brought together: each one's place among the kinds, and the kinds with all that is known.

    Those that know more come first, so that what little is known of the others decides nothing before.
    """
    kinds: list[Environment] = []
    place_of: dict[Environment, int] = {}
    distinct = sorted(dict.fromkeys(environments), key=lambda one: -len(one.facts))
    for one in distinct:
        place = next((i for i, kind in enumerate(kinds) if not differing(kind, one)), None)
        if place is None:
            place_of[one] = len(kinds)
            kinds.append(one)
        else:
            place_of[one] = place
            kinds[place] = _merged(kinds[place], one)
    # In the order of their first, whoever knew most.
    order = list(dict.fromkeys(place_of[one] for one in environments if one.is_known or len(kinds) == 1))
    order += [place for place in range(len(kinds)) if place not in order]
    number = {place: i for i, place in enumerate(order)}
    return [number[place_of[one]] for one in environments], [kinds[place] for place in order]


def _merged(first: Environment, second: Environment) -> Environment:
    known = dict(first.facts)
    return Environment((*first.facts, *(fact for fact in second.facts if fact[0] not in known)))


def differences(kinds: Iterable[Environment]) -> list[str]:
    """In what several environments differ: `GPU`, `driver`, `power limit`, `torch`; empty where they do not."""
    texts: dict[str, set[str]] = {}
    for kind in kinds:
        for name, text in kind.facts:
            texts.setdefault(name, set()).add(text)
    found = [name for name, different in texts.items() if len(different) > 1]
    return sorted(found, key=lambda name: OF_MACHINE.index(name) if name in OF_MACHINE else len(OF_MACHINE))


def short_names(kinds: Sequence[Environment]) -> list[str]:
    """Each environment by what tells it from the others."""
    apart = differences(kinds)
    named = [Environment(tuple((name, text) for name in apart if (text := kind.get(name)))) for kind in kinds]
    return [str(name if name.is_known else kind) for name, kind in zip(named, kinds, strict=True)]
