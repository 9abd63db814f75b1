"""The options that give carbon and cost, for every command that shows energy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from llem_analysis.footprint import Factors

Command = TypeVar("Command", bound=Callable[..., Any])


def footprint_options(command: Command) -> Command:
    """Adds the options; the command gets `carbon_intensity`, `price`, `currency` and `pue`, for `factors_of`."""
    for option in (
        click.option("--pue", type=float, help="Power usage effectiveness of the building, 1 or more; 1 if left out."),
        click.option("--currency", default="", metavar="NAME", help="What the price is in, such as EUR."),
        click.option("--price", type=float, help="Price for each kWh: gives cost."),
        click.option(
            "--carbon-intensity",
            metavar="G_PER_KWH",
            help="Grams of CO2e for each kWh, or codecarbon:FRA for CodeCarbon's yearly mean of a country: gives carbon.",
        ),
    ):
        command = option(command)
    return command


def factors_of(carbon_intensity: str | None, price: float | None, currency: str, pue: float | None) -> Factors | None:
    """The factors that were typed; None where there are none."""
    from llem_analysis.footprint import read_factors

    return read_factors(carbon_intensity, price, currency=currency, pue=pue)


def footprint_text(joules: float, factors: Factors, per: str) -> str:
    """`1.2 g CO2e and 0.0003 EUR per 1,000 output tokens`."""
    from llem_analysis.footprint import footprint
    from llem_analysis.wording import amount

    found = footprint(joules, factors)
    parts = []
    if found.carbon_g is not None:
        parts.append(f"{amount(found.carbon_g)} g CO2e")
    if found.cost is not None:
        parts.append(f"{amount(found.cost)}{' ' + factors.currency if factors.currency else ' (cost)'}")
    return f"{' and '.join(parts)} {per} ({factors.text})"
