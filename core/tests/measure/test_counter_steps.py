"""The numbers of a counter's steps without one of them, and the pairs of two meters' readings, against plain walks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llem.measure.counter_faults import STILL_PERIODS, UNSEEN_J, _Rising, _Step
from llem.measure.same_meter import APART_NS, _pairs
from llem.measure.series import Track
from llem.specs.sampler import Device

DEVICE = Device(id="gpu:0", name="a card", scope="gpu", methods=frozenset({"counter"}))

steps = st.lists(
    st.builds(
        lambda at, long, joules: _Step(at, at + long, joules),
        st.integers(0, 10**9),
        st.integers(1, 50),
        st.integers(1, 20).map(float),
    ),
    max_size=8,
)
readings = st.lists(
    st.tuples(st.integers(0, 200).map(lambda ms: ms * 1_000_000), st.none() | st.integers(0, 9).map(float)),
    max_size=12,
    unique_by=lambda reading: reading[0],
).map(sorted)


@given(steps, st.data())
def test_a_step_that_is_left_out_counts_for_nothing(rising: list[_Step], data: st.DataObject) -> None:
    left_out = data.draw(st.sampled_from([None, *rising]))
    others = [step for step in rising if step is not left_out]
    usual = _Rising(rising).without(left_out)
    assert usual.count == len(others)
    assert usual.longest_s == max((step.seconds for step in others), default=0.0)
    assert usual.largest_j == max((step.joules for step in others), default=UNSEEN_J / STILL_PERIODS)
    assert usual.smallest_j == min((step.joules for step in others), default=0.0)


@given(readings, readings)
def test_each_reading_is_paired_with_the_nearest_of_the_other_meter(
    first: list[tuple[int, float | None]], second: list[tuple[int, float | None]]
) -> None:
    a, b = Track("one", DEVICE), Track("two", DEVICE)
    for track, read in ((a, first), (b, second)):
        for t_ns, energy_j in read:
            track.append(t_ns, energy_j, None, {})
    expected = []
    for t_ns, energy_j in first:
        nearest = min(second, key=lambda reading: (abs(reading[0] - t_ns), reading[0]), default=None)
        if nearest is not None and abs(nearest[0] - t_ns) <= APART_NS and None not in (energy_j, nearest[1]):
            expected.append((energy_j, nearest[1]))
    assert _pairs(a, b) == expected
