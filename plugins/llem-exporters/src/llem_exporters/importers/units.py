"""Units of imported values, and how they become llem's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TIME = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0}
_ENERGY = {"J": 1.0, "mJ": 1e-3, "kJ": 1e3, "MJ": 1e6, "mWh": 3.6, "Wh": 3600.0, "kWh": 3.6e6, "MWh": 3.6e9}
_POWER = {"W": 1.0, "mW": 1e-3, "kW": 1e3}
_MEMORY = {
    "MiB": 1.0,
    "B": 2.0**-20,
    "KiB": 2.0**-10,
    "GiB": 2.0**10,
    "kB": 1e3 / 2**20,
    "MB": 1e6 / 2**20,
    "GB": 1e9 / 2**20,
}
_COUNT = {"": 1.0, "1": 1.0, "thousand": 1e3, "million": 1e6}

PLAIN: Mapping[str, Mapping[str, float]] = {
    "s": _TIME,
    "J": _ENERGY,
    "W": _POWER,
    "MiB": _MEMORY,
    "": _COUNT,
}
"""llem's unit of a quantity to the units that it may come in, each with what it is multiplied by."""

_THINGS: Mapping[str, tuple[str, ...]] = {
    "token": ("token", "tokens", "tok"),
    "request": ("request", "requests", "req", "query", "queries", "prompt", "prompts", "sample", "samples"),
}
_DENOMINATOR = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)?\s*(?P<scale>[kM]?)\s*(?P<thing>[^\d\s]+)\s*")


@dataclass(frozen=True)
class Conversion:
    """The arithmetic that turns a told number into one in llem's unit.

    Attributes:
        factor: what it is multiplied by.
        inverse: the number is first turned around, as tokens per joule are.
    """

    factor: float = 1.0
    inverse: bool = False

    def __call__(self, value: float) -> float | None:
        """The converted number; None where it has no inverse."""
        if self.inverse:
            return self.factor / value if value else None
        return value * self.factor


def conversion(unit: str, wanted: str) -> Conversion | None:
    """The conversion of a unit to llem's.

    Args:
        unit: as it was told: `kWh`, `ms`, `Wh/1000 requests`, `tokens/J`.
        wanted: llem's unit: `J`, `s`, `J/token`, `request/s`.

    Returns:
        The conversion; None where one unit is no measure of the other's quantity.
    """
    unit = unit.strip()
    if wanted in PLAIN:
        factor = PLAIN[wanted].get(unit)
        return None if factor is None else Conversion(factor)
    above, _, below = unit.partition("/")
    top, _, bottom = wanted.partition("/")
    if top == "J":
        if (energy := _ENERGY.get(above.strip())) is not None and (count := _counted(below, bottom)) is not None:
            return Conversion(energy / count)
        if (count := _counted(above, bottom)) is not None and (energy := _ENERGY.get(below.strip())) is not None:
            return Conversion(energy / count, inverse=True)
        return None
    if (count := _counted(above, top)) is not None and (seconds := _TIME.get(below.strip())) is not None:
        return Conversion(count / seconds)
    return None


def _counted(text: str, thing: str) -> float | None:
    """The number of things that a text such as `1000 tokens` or `Mtok` names."""
    if text.strip() in _THINGS[thing]:
        return 1.0
    found = _DENOMINATOR.fullmatch(text)
    if found is None or found["thing"] not in _THINGS[thing]:
        return None
    count = float(found["number"] or 1) * {"": 1.0, "k": 1e3, "M": 1e6}[found["scale"]]
    return count if count > 0 else None


def known_units(wanted: str) -> str:
    """Units that a quantity may come in, for a message."""
    if wanted in PLAIN:
        return ", ".join(unit or "no unit" for unit in PLAIN[wanted])
    top, _, bottom = wanted.partition("/")
    if top == "J":
        energies = ", ".join(f"{unit}/{bottom}" for unit in ("J", "mJ", "Wh", "kWh"))
        return f"{energies}, J/1000 {bottom}s, {bottom}s/J, {bottom}s/kWh and their like"
    return f"{top}s/s, {top}s/min, {top}s/h"
