"""Sums over the devices that the headline adds up."""

from __future__ import annotations

import pytest

from llem.measure.watts import Watts, headline_devices, whole_sum
from llem.specs.sampler import Device

METHODS = frozenset({"counter", "power"})
CARD = Device(id="GPU-1", name="a card", scope="gpu", methods=METHODS)
OTHER = Device(id="GPU-2", name="another card", scope="gpu", methods=METHODS)
PACKAGE = Device(id="package:0", name="a package", scope="cpu", methods=METHODS)
GUESS = Device(id="cpu", name="an estimate", scope="cpu", methods=frozenset({"estimate"}))


def test_a_part_is_not_the_whole() -> None:
    assert whole_sum(["a", "b"], {"a": 1.0, "b": 2.0, "c": 4.0}) == 3.0
    assert whole_sum(["a", "b"], {"a": 1.0}) is None
    assert whole_sum([], {"a": 1.0}) is None
    assert whole_sum(["a"], {"a": 0.0}) == 0.0


def test_two_meters_of_one_card_mean_the_same_joules() -> None:
    assert whole_sum(["a", "a"], {"a": 5.0}) == 5.0
    watts = Watts(lambda start, end: {"GPU-1": 300.0}, [CARD, CARD], ["GPU-1"])
    assert watts.between(0, 1) == 300.0


@pytest.mark.parametrize(
    ("metered", "used", "expected"),
    [
        ([CARD, OTHER, PACKAGE], ["GPU-2"], [OTHER]),
        ([CARD, PACKAGE, GUESS], ["cpu"], [PACKAGE]),
        ([GUESS], ["cpu"], [GUESS]),
        ([], ["cpu"], []),
    ],
)
def test_the_headline_is_of_the_devices_that_did_the_work(
    metered: list[Device], used: list[str], expected: list[Device]
) -> None:
    assert headline_devices(metered, used) == expected


def test_an_estimate_judges_nothing() -> None:
    watts = Watts(lambda start, end: {"cpu": 50.0}, [GUESS], ["cpu"])
    assert (watts.between(0, 1), watts.measured(0, 1)) == (50.0, None)
