"""The gate before the window, test by test: counting, trends, energy, saturation."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llem_serving.steadiness import LoadPart, SteadyGate, growing, saturates
from llem_serving.steadiness.counting import dispersion_p, shortfall
from llem_serving.steadiness.part import recent
from llem_serving.steadiness.trend import autocorrelation, block_means, trend_of

VALUES = st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), min_size=1, max_size=20)
PARTS = st.lists(st.builds(LoadPart, st.integers(0, 500), st.integers(0, 500)), max_size=8)


def part(
    arrivals: int = 200, completions: int = 200, level: float = 0.0, seed: int = 0, joules: float = 400.0
) -> LoadPart:
    """A part whose requests in flight and TTFT lie around a level by noise without memory."""
    noise = random.Random(seed)
    return LoadPart(
        arrivals,
        completions,
        output_tokens=1000,
        energy_j=joules,
        in_flight=[8 + 10 * level + noise.gauss(0, 1) for _ in range(40)],
        ttft_s=[0.1 + 0.1 * level + noise.expovariate(50) for _ in range(completions)],
    )


def feed(parts: Sequence[LoadPart]) -> tuple[str, SteadyGate]:
    gate = SteadyGate()
    answers = [gate.feed(one) for one in parts]
    return answers[-1], gate


def test_three_parts_alike_are_steady_and_fewer_are_not() -> None:
    parts = [part(seed=seed) for seed in range(3)]
    assert feed(parts[:2])[0] == "not_yet"
    assert feed(parts[:2])[1].reasons == ("fewer than 3 parts",)
    answer, gate = feed(parts)
    assert (answer, gate.reasons) == ("steady", ())
    assert gate.parts == tuple(parts)


def test_completions_that_stay_behind_are_not_steady() -> None:
    answer, gate = feed([part(completions=n, seed=n) for n in (196, 197, 195)])
    assert answer == "not_yet"
    assert "stay behind arrivals" in gate.reasons[0]


def test_completions_that_vary_more_than_counting_allows_are_not_steady() -> None:
    answer, gate = feed([part(completions=n, seed=seed) for seed, n in ((2, 260), (3, 140), (4, 200))])
    assert answer == "not_yet"
    assert "vary more than counting noise" in gate.reasons[0]


def test_arrivals_that_vary_by_themselves_are_no_unsteadiness() -> None:
    assert (
        feed([part(arrivals=n, completions=n, seed=seed) for seed, n in ((3, 300), (4, 100), (5, 200))])[0] == "steady"
    )


def test_bursts_of_arrivals_have_the_noise_that_they_are_known_to_have() -> None:
    parts = [part(completions=n, seed=seed) for seed, n in ((2, 260), (3, 140), (4, 200))]
    gate = SteadyGate(arrival_cv2=16.0)
    assert [gate.feed(one) for one in parts][-1] == "steady"


def test_energy_for_each_token_may_vary_by_a_twentieth() -> None:
    assert feed([part(joules=joules, seed=3) for joules in (380.0, 400.0, 419.0)])[0] == "steady"
    answer, gate = feed([part(joules=joules, seed=3) for joules in (370.0, 400.0, 430.0)])
    assert answer == "not_yet"
    assert gate.reasons == ("J per output token varies by 7.5%",)
    wide = SteadyGate(energy_cv=0.08)
    assert [wide.feed(part(joules=joules, seed=3)) for joules in (370.0, 400.0, 430.0)][-1] == "steady"


def test_energy_for_each_token_may_vary_as_the_count_of_few_answers_does() -> None:
    parts = [part(joules=joules, seed=3) for joules in (370.0, 400.0, 430.0)]
    few, many = ([replace(one, squared_tokens=one.output_tokens**2 // n) for one in parts] for n in (40, 4000))
    assert few[0].token_noise() == pytest.approx(1 / 40, rel=1e-3)
    assert few[0].token_noise(9.0) == pytest.approx(9 / 40, rel=1e-3)
    assert few[0].token_noise(0.2) == few[0].token_noise(), "answers have their own noise where arrivals have none"
    assert feed(few)[0] == "steady"
    answer, gate = feed(many)
    assert answer == "not_yet"
    assert gate.reasons == ("J per output token varies by 7.5%",)


def test_energy_that_is_not_measured_decides_nothing() -> None:
    bare = LoadPart(200, 200, 1000, None, part().in_flight, part().ttft_s)
    assert bare.j_per_output_token is None
    assert LoadPart(1, 1, 0, 5.0).j_per_output_token is None
    assert feed([bare, part(seed=1, joules=100.0), part(seed=2, joules=900.0)])[0] == "steady"
    assert feed([part(seed=seed, joules=0.0) for seed in range(3)])[0] == "steady"


@pytest.mark.parametrize(("levels", "word"), [((0, 0.2, 0.4), "rise"), ((0.4, 0.2, 0), "fall")])
def test_a_trend_is_not_steady_in_either_direction(levels: Sequence[float], word: str) -> None:
    answer, gate = feed([part(level=level, seed=seed) for seed, level in enumerate(levels)])
    assert answer == "not_yet"
    assert any(f"in flight {word}" in reason for reason in gate.reasons)
    assert any(f"TTFT {word}" in reason for reason in gate.reasons)


def test_latency_that_wanders_is_too_little_seen_to_be_called_steady() -> None:
    wander = [0.1, 0.2, 0.3, 0.4, 0.4, 0.3, 0.2, 0.1, 0.1, 0.2, 0.3, 0.2]
    parts = [
        LoadPart(
            200, 200, in_flight=part(seed=n).in_flight, ttft_s=[x for x in wander[4 * n : 4 * n + 4] for _ in range(50)]
        )
        for n in range(3)
    ]
    answer, gate = feed(parts)
    assert answer == "not_yet"
    assert "too little is seen" in gate.reasons[0]
    still = [LoadPart(200, 200, in_flight=[x for x in wander[4 * n : 4 * n + 4] for _ in range(9)]) for n in range(3)]
    assert "too little is seen" in feed(still)[1].reasons[0], "of requests in flight, where no first token is seen"


def test_a_system_that_filled_at_first_becomes_steady() -> None:
    filling = [part(completions=100, seed=90), part(completions=150, seed=91)]
    assert feed([*filling, *(part(seed=seed) for seed in range(4))])[0] == "steady"


def test_nothing_at_all_is_steady_without_a_trace_of_an_error() -> None:
    assert feed([LoadPart(0, 0)] * 3)[0] == "steady"


def test_a_load_that_grows_all_the_time_is_saturated_and_one_that_swings_is_unsteady() -> None:
    assert feed([part(completions=180, level=n, seed=n) for n in range(6)])[1].verdict() == "saturated"
    swings = [part(completions=200 + (-1) ** n * 80, level=n % 2, seed=n) for n in range(6)]
    assert feed(swings)[1].verdict() == "unsteady"
    assert SteadyGate().verdict() == "unsteady"
    only_filled = [
        part(completions=n, level=level, seed=n) for n, level in ((100, 0), (150, 1), (200, 1.5), (201, 1.5))
    ]
    assert feed([*only_filled, part(seed=5, level=1.5), part(seed=6, level=1.5)])[1].verdict() == "unsteady"


def test_what_grows_without_completions_behind_or_the_other_way_round_is_no_saturation() -> None:
    fills = [part(completions=n, level=level, seed=n) for n, level in ((100, 0.0), (150, 1.0))]
    kept_up = [part(level=2.0 + n / 4, seed=n) for n in range(4)]
    assert feed([*fills, *kept_up])[1].verdict() == "unsteady"
    assert feed([part(completions=180, seed=n) for n in range(6)])[1].verdict() == "unsteady"


def test_saturation_that_is_certain_ends_a_run_early_with_the_number_that_wait() -> None:
    parts = [part(completions=150, level=5 * n, seed=n) for n in range(5)]
    assert saturates(parts[:2]) is None
    found = saturates(parts)
    assert found is not None
    assert found.in_flight == parts[-1].in_flight[-1]
    assert (found.arrivals, found.completions) == (1000, 750)
    assert found.shortfall > 4
    assert saturates([*parts, part(completions=210, level=21)]) is None, "it answers more than come"
    assert saturates([part(completions=185, level=n, seed=n) for n in range(3)]) is None, "that may be chance"


def test_a_system_that_only_fills_is_not_given_up() -> None:
    filling = [part(completions=150, level=n, seed=n) for n in range(5)]
    flat = [LoadPart(one.arrivals, one.completions, in_flight=one.in_flight, ttft_s=part().ttft_s) for one in filling]
    assert saturates(flat) is None


def test_a_server_that_answers_nothing_any_more_saturates() -> None:
    dead = [LoadPart(200, 0, in_flight=[200 * n + 5 * k for k in range(40)]) for n in range(4)]
    found = saturates([part(), *dead])
    assert found is not None
    assert found.in_flight == 795


def test_before_any_first_token_nothing_is_given_up_or_called_saturated() -> None:
    unseen = [LoadPart(200, 0, in_flight=range(200 * n, 200 * n + 20)) for n in range(6)]
    assert saturates(unseen) is None
    assert not growing(unseen)
    first = LoadPart(200, 0, in_flight=range(20), ttft_s=[0.1] * 200)
    assert saturates([first, *unseen]) is not None


def test_the_later_two_thirds_are_recent_and_three_parts_at_least() -> None:
    parts = [LoadPart(n, n) for n in range(9)]
    assert [len(recent(parts[:n])) for n in range(10)] == [0, 1, 2, 3, 3, 4, 4, 5, 6, 6]
    assert recent(parts)[-1] is parts[-1]


def test_dispersion_is_of_three_parts() -> None:
    with pytest.raises(ValueError, match="three parts"):
        dispersion_p([LoadPart(1, 1)] * 4)
    assert dispersion_p([LoadPart(0, 0)] * 3) == 1.0


def test_dispersion_by_hand() -> None:
    """Differences 20, -20, 0 with variances of 400 each: χ² = 2 × 400 / 400 = 2, and its tail is exp(-1)."""
    found = dispersion_p([LoadPart(210, 190), LoadPart(190, 210), LoadPart(200, 200)])
    assert found == pytest.approx(2.718281828**-1)


def test_dispersion_agrees_with_the_chi_square_test_of_a_table() -> None:
    stats = pytest.importorskip("scipy.stats")
    table = [(230, 180), (190, 220), (205, 199)]
    ours = dispersion_p([LoadPart(*one) for one in table])
    theirs = stats.chi2_contingency(table, correction=False)
    # The table's expectation uses the pooled share; near one half the two variances agree.
    assert ours == pytest.approx(theirs.pvalue, rel=0.02)


def test_the_shortfall_by_hand() -> None:
    assert shortfall([LoadPart(120, 100), LoadPart(80, 0)]) == pytest.approx(100 / 300**0.5)
    assert shortfall([LoadPart(200, 100)], arrival_cv2=4.0) == pytest.approx(100 / 900**0.5)
    assert shortfall([]) == 0


@given(PARTS, st.integers(2, 5))
def test_the_shortfall_has_the_sign_of_what_is_missing_and_grows_with_its_evidence(
    parts: list[LoadPart], times: int
) -> None:
    found = shortfall(parts)
    missing = sum(one.arrivals - one.completions for one in parts)
    assert (found > 0) == (missing > 0)
    assert abs(shortfall(parts * times)) == pytest.approx(abs(found) * times**0.5)
    assert abs(shortfall(parts, 4.0)) <= abs(found)
    assert shortfall(parts, 0.0) == found


@given(st.lists(VALUES, max_size=6))
def test_blocks_of_parts_lie_within_their_values_and_are_as_many_for_each(parts: list[list[float]]) -> None:
    means = block_means(parts)
    told = [values for values in parts if values]
    assert len(means) == len(told) * max(1, min(4, min(map(len, told), default=0) // 5))
    if told:
        each = len(means) // len(told)
        for place, mean in enumerate(means):
            values = told[place // each]
            assert min(values) - 1e-9 <= mean <= max(values) + 1e-9


@given(VALUES)
def test_a_trend_turns_with_the_values_and_does_not_know_their_unit(values: list[float]) -> None:
    found = trend_of(values)
    assert trend_of([-value for value in values]).score == -found.score
    assert trend_of([4 * value for value in values]).score == found.score
    assert abs(found.corrected) <= abs(found.score)
    assert 0 <= found.p <= 1


@pytest.mark.parametrize(
    "values", [[1, 2, 3, 4, 5, 6, 7], [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7], [2, 2, 1, 1, 0, 0, 0]]
)
def test_the_score_is_that_of_kendalls_test(values: list[float]) -> None:
    """Without ties and corrections the score is S / √var S; scipy's asymptotic p of tau has no continuity correction."""
    stats = pytest.importorskip("scipy.stats")
    n = len(values)
    s = sum((b > a) - (b < a) for i, a in enumerate(values) for b in values[i + 1 :])
    ours = trend_of(values).score
    p = stats.kendalltau(range(n), values, method="asymptotic").pvalue
    without = stats.norm.isf(p / 2)
    assert abs(ours) == pytest.approx(without * (abs(s) - 1) / abs(s), rel=1e-6)
    assert (ours > 0) == (s > 0)


def test_a_straight_line_is_a_trend_and_constant_values_are_none() -> None:
    assert trend_of(range(12)).p < 1e-4
    flat = trend_of([5.0] * 12)
    assert (flat.score, flat.corrected) == (0.0, 0.0)
    assert flat.autocorrelation == pytest.approx(-1 / 12)
    assert trend_of([1.0, 2.0]).score == 0
    assert trend_of([1.0, 3.0, 2.0, 4.0]).autocorrelation is None


def test_neighbours_that_hang_together_weaken_a_trend() -> None:
    wave = [0, 0.2, 0.4, 0.4, 0.3, 0.3, 0.5, 0.8, 0.9, 0.9, 0.7, 0.8]
    assert trend_of(wave).corrected < 0.8 * trend_of(wave).score


@given(st.lists(st.integers(-1000, 1000).map(float), min_size=2, max_size=20))
def test_autocorrelation_lies_between_minus_one_and_one(values: list[float]) -> None:
    assert -1 <= autocorrelation(values) <= 1
    assert autocorrelation([value + 7 for value in values]) == pytest.approx(autocorrelation(values), abs=1e-9)
