"""Carbon and cost of energy, from factors that the user gives. Nothing is assumed: without a factor there is no figure.

    carbon = energy x PUE x intensity      cost = energy x PUE x price

Energy is that of the metered devices alone; the power usage effectiveness (PUE, ISO/IEC 30134-2) makes up for the building's
cooling and losses, not for what was not metered. 1 kWh is 3.6 MJ.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import ConfigError, PluginError

J_PER_KWH = 3_600_000.0

CODECARBON = "codecarbon:"
"""Before a country's code of three letters: the intensity that the installed CodeCarbon has for it."""


@dataclass(frozen=True)
class Factors:
    """The factors by which energy becomes carbon and cost.

    Attributes:
        intensity_g_per_kwh: grams of CO2 equivalent for each kWh; None gives no carbon.
        price_per_kwh: None gives no cost; currency: what it is in, as text.
        pue: at least 1.
        source: where the intensity comes from.
    """

    intensity_g_per_kwh: float | None = None
    price_per_kwh: float | None = None
    currency: str = ""
    pue: float = 1.0
    source: str = "given"

    @property
    def text(self) -> str:
        """All factors on one line, so that a figure can be checked."""
        parts = []
        if self.intensity_g_per_kwh is not None:
            parts.append(f"{self.intensity_g_per_kwh:g} g CO2e/kWh ({self.source})")
        if self.price_per_kwh is not None:
            parts.append(f"{self.price_per_kwh:g}{' ' + self.currency if self.currency else ''}/kWh")
        return ", ".join([*parts, f"PUE {self.pue:g}"]) if parts else ""


@dataclass(frozen=True)
class Footprint:
    """Of an amount of energy; None where its factor is not given.

    Attributes:
        carbon_g: grams of CO2 equivalent; cost: in the currency of the factors.
    """

    carbon_g: float | None
    cost: float | None


def footprint(energy_j: float, factors: Factors) -> Footprint:
    """Carbon and cost of so many joules."""
    kwh = energy_j / J_PER_KWH * factors.pue
    return Footprint(
        carbon_g=None if factors.intensity_g_per_kwh is None else kwh * factors.intensity_g_per_kwh,
        cost=None if factors.price_per_kwh is None else kwh * factors.price_per_kwh,
    )


def read_factors(
    intensity: str | None = None, price: float | None = None, *, currency: str = "", pue: float | None = None
) -> Factors | None:
    """Factors as they are typed; None where neither intensity nor price is given.

    Args:
        intensity: grams of CO2 equivalent for each kWh, or `codecarbon:FRA`.

    Raises:
        ConfigError: a factor is out of range, or there is no such country.
        PluginError: CodeCarbon is asked for and not installed.
    """
    if intensity is None and price is None:
        if pue is not None:
            raise ConfigError("--pue has no effect alone.", remedy="Give --carbon-intensity or --price too.")
        return None
    if pue is not None and not 1 <= pue < 100:
        raise ConfigError(
            f"a PUE of {pue:g} cannot be: all energy of the building is at least that of its machines.",
            remedy="Give 1 or more, such as 1.2.",
        )
    if price is not None and not 0 <= price < float("inf"):
        raise ConfigError(f"a price of {price:g} for each kWh cannot be.", remedy="Give 0 or more.")
    grams, source = (None, "given") if intensity is None else _intensity(intensity)
    return Factors(grams, price, currency, 1.0 if pue is None else pue, source)


def _intensity(text: str) -> tuple[float, str]:
    if text.lower().startswith(CODECARBON):
        return codecarbon_intensity(text[len(CODECARBON) :])
    try:
        grams = float(text)
    except ValueError:
        grams = -1.0
    if not 0 <= grams < float("inf"):
        raise ConfigError(
            f"`{text}` is no carbon intensity.",
            remedy="Give grams of CO2e for each kWh, such as 56, or codecarbon:FRA.",
        )
    return grams, "given"


def codecarbon_intensity(country: str) -> tuple[float, str]:
    """The yearly mean intensity of a country in the data of the installed CodeCarbon, with what to cite.

    Args:
        country: ISO 3166 code of three letters.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        package = distribution("codecarbon")
        # Its data file is read where it lies: importing its code would load pandas, and speak up on standard output.
        path = Path(str(package.locate_file("codecarbon/data/private_infra/global_energy_mix.json")))
        text = path.read_text(encoding="utf-8")
    except (PackageNotFoundError, OSError) as error:
        raise PluginError(
            f"CodeCarbon's factors are not here ({error}).", remedy="pip install codecarbon, or give the intensity."
        ) from error
    version = package.version
    mix: Mapping[str, Mapping[str, Any]] = json.loads(text)
    found = mix.get(country.upper())
    if found is None or not isinstance(found.get("carbon_intensity"), (int, float)):
        raise ConfigError(
            f"CodeCarbon {version} has no carbon intensity for `{country}`.",
            remedy="Give a country's code of three letters, such as codecarbon:FRA, or grams for each kWh.",
        )
    return float(found["carbon_intensity"]), f"CodeCarbon {version}, {found['country_name']}, {found['year']}"
