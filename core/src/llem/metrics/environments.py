"""Choice of the results that may be averaged: those whose environments are alike in everything that changes energy.

Pure functions over rows. One comparison serves `show`, `analyze`, `compare`, `execution.until` and `llem resume`: facts
that both sides tell and that are not equal. What one of them does not tell is no difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llem.results.facts import CpuFacts, DeviceFacts, Facts

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

_GPU, _CPU = "GPU", "CPU"
_OF_MACHINE = (
    _GPU,
    "driver",
    "CUDA",
    "power limit",
    "GPU clock",
    "memory clock",
    "persistence mode",
    "ECC",
    "MIG",
    _CPU,
    "governor",
    "boost",
    "SMT",
)
"""Facts of the machine, in the order in which they are told; configurations of one study have these in common.

All others (versions, image, model, dataset, how many GPUs are in use) may differ between configurations on purpose: only
cycles of one configuration have to agree in them.
"""


@dataclass(frozen=True)
class Environment:
    """Knowledge of the place where some results came from.

    Attributes:
        facts: name to text, in the order in which they are told; what is not known is missing.
    """

    facts: tuple[tuple[str, str], ...] = ()

    @property
    def is_known(self) -> bool:
        """Anything of it is told."""
        return bool(self.facts)

    def get(self, name: str) -> str | None:
        """A fact by its name."""
        return dict(self.facts).get(name)

    def only(self, names: Iterable[str]) -> Environment:
        """These facts of it."""
        kept = set(names)
        return Environment(tuple(fact for fact in self.facts if fact[0] in kept))

    def __str__(self) -> str:
        return ", ".join(_clause(name, text) for name, text in self.facts) or "unknown"


@dataclass(frozen=True)
class FactDifference:
    """A fact that two environments tell otherwise."""

    name: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.name}: {self.first}, {self.second}"


def differing(first: Environment, second: Environment) -> list[FactDifference]:
    """The facts that both know and that are not equal: the one comparison of environments."""
    others = dict(second.facts)
    return [
        FactDifference(name, text, others[name])
        for name, text in first.facts
        if name in others and others[name] != text
    ]


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


def named_facts(facts: Facts) -> Environment:
    """Facts by the names that people call them."""
    return Environment(tuple((name, text) for name, text in _named(facts) if text))


def _named(facts: Facts) -> Iterator[tuple[str, str | None]]:
    devices, cpu = facts.devices or [], facts.cpu
    yield _GPU, _each([device.model for device in devices], " and ")
    yield "driver", _distinct(device.driver for device in devices)
    yield "CUDA", _distinct(device.cuda for device in devices)
    yield "power limit", _distinct(_number(device.power_limit_w, "W") for device in devices)
    yield "GPU clock", _distinct(_number(device.gpu_clock_application_mhz, "MHz") for device in devices)
    yield "memory clock", _distinct(_number(device.memory_clock_application_mhz, "MHz") for device in devices)
    yield "persistence mode", _distinct(_switch(device.persistence_mode) for device in devices)
    yield "ECC", _distinct(_switch(device.ecc) for device in devices)
    yield "MIG", _distinct(_switch(device.mig) for device in devices)
    yield _CPU, cpu.model
    yield "governor", cpu.governor
    yield "boost", _switch(cpu.boost)
    yield "SMT", _switch(cpu.simultaneous_multithreading)
    used = [device.in_use for device in devices]
    yield "GPUs in use", str(used.count(True)) if any(one is not None for one in used) else None
    yield from facts.versions.items()
    yield "image", facts.image
    yield "model revision", facts.model_revision
    yield "dataset", facts.dataset_sha256


def _each(texts: Sequence[str | None], joint: str) -> str | None:
    """`2 × NVIDIA H200`; None where one of them is not known."""
    known = [text for text in texts if text is not None]
    if not known or len(known) < len(texts):
        return None
    counts = Counter(sorted(known))
    return joint.join(f"{count} × {text}" if count > 1 else text for text, count in counts.items())


def _distinct(texts: Iterable[str | None]) -> str | None:
    """Each text once; None where one of them is not known."""
    found = list(texts)
    return None if None in found else ", ".join(sorted({text for text in found if text is not None})) or None


def _number(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:g} {unit}"


def _switch(value: bool | None) -> str | None:
    return None if value is None else "on" if value else "off"


def _clause(name: str, text: str) -> str:
    """A fact on its own: `NVIDIA H200`, `driver 550.1`, `power limit 700 W`; a digest by its beginning."""
    shown = text[:19] if name in ("image", "dataset", "model revision") else text
    return shown if name in (_GPU, _CPU) else f"{name} {shown}"


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
    return sorted(found, key=lambda name: _OF_MACHINE.index(name) if name in _OF_MACHINE else len(_OF_MACHINE))


def short_names(kinds: Sequence[Environment]) -> list[str]:
    """Each environment by what tells it from the others."""
    apart = differences(kinds)
    return [", ".join(_clause(n, text) for n in apart if (text := kind.get(n))) or str(kind) for kind in kinds]


def of_machine(environment: Environment) -> Environment:
    """The facts that all configurations of a study have in common."""
    return environment.only(_OF_MACHINE)


def study_kinds(parts: Sequence[tuple[object, Environment]]) -> list[str | None]:
    """For each part of a study (its configuration and environment) the name of its kind; all None where they are alike.

    Facts of the machine count wherever they differ. Others count where cycles of one configuration differ in them: between
    configurations they may be what the study varies.
    """
    of_configuration: dict[object, list[Environment]] = {}
    for configuration, environment in parts:
        of_configuration.setdefault(configuration, []).append(environment)
    within = {name for found in of_configuration.values() for name in differences(found)}
    names = {*_OF_MACHINE, *within}
    places, kinds = together([environment.only(names) for _, environment in parts])
    if len(kinds) < 2:
        return [None] * len(parts)
    named = short_names(kinds)
    return [named[place] for place in places]
