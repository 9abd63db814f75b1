"""Carbon and cost: only from given factors, with CodeCarbon's where asked for."""

from __future__ import annotations

import json
from importlib.metadata import distribution
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.errors import ConfigError
from llem_analysis.footprint import Factors, footprint, read_factors


def test_a_kilowatt_hour_is_the_factors_themselves() -> None:
    found = footprint(3_600_000, Factors(56.0, 0.25, "EUR", pue=1.0))
    assert (found.carbon_g, found.cost) == (56.0, 0.25)
    assert footprint(3_600_000, Factors(56.0, pue=1.2)).carbon_g == pytest.approx(67.2)


def test_without_a_factor_there_is_no_figure() -> None:
    assert footprint(1.0, Factors(price_per_kwh=0.2)).carbon_g is None
    assert footprint(1.0, Factors(intensity_g_per_kwh=1.0)).cost is None
    assert read_factors() is None


@given(st.floats(0, 1e12), st.floats(0, 1e4), st.floats(1, 3))
def test_carbon_is_in_proportion(energy_j: float, intensity: float, pue: float) -> None:
    one = footprint(energy_j, Factors(intensity, pue=pue)).carbon_g
    two = footprint(2 * energy_j, Factors(intensity, pue=pue)).carbon_g
    assert one is not None
    assert two == pytest.approx(2 * one)


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "many", ""])
def test_what_is_no_intensity_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no carbon intensity"):
        read_factors(text)


@pytest.mark.parametrize("pue", [0.9, 0.0, -1.0, float("nan"), float("inf")])
def test_a_pue_below_one_cannot_be(pue: float) -> None:
    with pytest.raises(ConfigError, match="PUE"):
        read_factors("56", pue=pue)


def test_a_pue_alone_has_no_effect_and_is_refused() -> None:
    with pytest.raises(ConfigError, match="no effect alone"):
        read_factors(pue=1.2)


@pytest.mark.parametrize("price", [-0.1, float("nan"), float("inf")])
def test_a_negative_price_cannot_be(price: float) -> None:
    with pytest.raises(ConfigError, match="price"):
        read_factors(price=price)


def test_codecarbons_factors_are_those_of_the_installed_package() -> None:
    package = distribution("codecarbon")
    path = Path(str(package.locate_file("codecarbon/data/private_infra/global_energy_mix.json")))
    mix = json.loads(path.read_text())
    factors = read_factors("codecarbon:fra")
    assert factors is not None
    assert factors.intensity_g_per_kwh == mix["FRA"]["carbon_intensity"]
    assert f"CodeCarbon {package.version}, France, {mix['FRA']['year']}" in factors.text


def test_a_country_that_codecarbon_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="no carbon intensity for `XXX`"):
        read_factors("codecarbon:XXX")
