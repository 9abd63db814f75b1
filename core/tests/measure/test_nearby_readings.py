"""Power asked for while the window is open looks at the readings nearby, and finds what all of them would tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem.measure.energy import energy_between
from llem.measure.series import Series, Track
from llem.specs.sampler import Device

S = 10**9
GPU = Device(id="GPU-1", name="Card", scope="gpu", methods=frozenset({"counter", "power"}), update_period_s=0.1)


def track(powers: list[float | None], period_ns: int) -> Track:
    made, energy_j = Track("meter", GPU), 0.0
    for i, power_w in enumerate(powers):
        energy_j += (power_w or 0.0) * period_ns / S
        made.append(i * period_ns, energy_j, power_w, {})
    return made


@given(
    powers=st.lists(st.just(0.0) | st.floats(0, 1000), min_size=8, max_size=200),
    period_ns=st.integers(S // 1000, 10 * S),
    share=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_energy_from_the_readings_nearby_is_the_energy_from_all(
    powers: list[float], period_ns: int, share: tuple[float, float]
) -> None:
    whole = track(list(powers), period_ns)
    start, end = (round(s * whole.t_ns[-1]) for s in sorted(share))
    near = whole.around(start, end)
    assert near.key == whole.key
    for made in (whole, near):
        assert len(made.t_ns) == len(made.energy_j) == len(made.power_w) == len(made.telemetry)
    expected = energy_between(Series(tracks=[whole]), whole, start, end)
    assert energy_between(Series(tracks=[near]), near, start, end) == (
        None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-9)
    )


def test_an_hour_of_readings_is_not_looked_through() -> None:
    whole = track([100.0] * 72_000, S // 20)
    near = whole.around(3599 * S, 3600 * S)
    assert 20 <= len(near.t_ns) < 100
    assert near.t_ns[-1] == whole.t_ns[-1]
