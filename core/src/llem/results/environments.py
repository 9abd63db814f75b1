"""Facts of a place where results came from, by the names that people call them, and the one comparison of two places.

Only facts that both sides tell and that are not equal are a difference; what one of them does not tell is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from llem.results.facts import Facts

_GPU, _CPU = "GPU", "CPU"
OF_MACHINE = (
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


def of_machine(environment: Environment) -> Environment:
    """The facts that all configurations of a study have in common."""
    return environment.only(OF_MACHINE)
