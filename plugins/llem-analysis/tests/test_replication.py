"""Equivalence: its two errors and its cycles over simulated studies of known truth, and verdicts on written ones."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from llem.errors import ConfigError, ResultError
from llem_analysis import replication
from llem_analysis.equivalence import ERROR, EXIT, LEVEL, MARGIN, Equivalence, equivalence, p_values, verdict_of
from llem_analysis.replicas import JudgedFigure, Replication, overall

WriteDesign = Callable[..., Path]
SIZES = [{"pytorch.batch_size": size} for size in (1, 2, 4)]
SEEDS = (1, 2, 3, 4, 5)
PAIRS = 1_000
CYCLES = 5


def energy(point: Mapping[str, Any]) -> float:
    return 4.0 / float(point["pytorch.batch_size"])


def drawn(rng: random.Random, middle: float, noise: float, cycles: int = CYCLES) -> dict[int, float]:
    return {cycle: rng.gauss(middle, noise * middle) for cycle in range(1, cycles + 1)}


def verdicts(
    ratio: float, noise: float, pairs: int = PAIRS, seed: int = 1, there: int = CYCLES, here: int = CYCLES
) -> Counter[str]:
    """Verdicts over so many pairs of studies whose true means have this ratio."""
    rng = random.Random(seed)
    found: Counter[str] = Counter()
    for _ in range(pairs):
        found[verdict_of(*p_values(drawn(rng, 0.5, noise, there), drawn(rng, 0.5 * ratio, noise, here), MARGIN))] += 1
    return found


def within_chance(count: int, of: int, share: float) -> bool:
    """No more than a share of this size gives in 999 of 1,000 such simulations."""
    return count <= share * of + 3.09 * math.sqrt(share * (1 - share) * of)


# --- The two errors.


@pytest.mark.parametrize("noise", [0.005, 0.02, 0.1])
@pytest.mark.parametrize("ratio", [1 + MARGIN, 1 / (1 + MARGIN)])
def test_at_the_margin_each_error_is_at_most_one_in_twenty(ratio: float, noise: float) -> None:
    found: Counter[str] = Counter()
    for seed in SEEDS:
        found += verdicts(ratio, noise, seed=seed)
    of = len(SEEDS) * PAIRS
    assert within_chance(found["equivalent"], of, ERROR), found
    assert within_chance(found["different"], of, ERROR), found
    assert found["different"] > 0, "a test that tells nothing has no error either"
    if noise < 0.05:
        assert found["equivalent"] > 0


def test_the_same_truth_is_equivalent_and_twice_the_margin_is_different() -> None:
    assert verdicts(1.0, 0.01)["equivalent"] >= 0.9 * PAIRS
    assert verdicts((1 + MARGIN) ** 2, 0.01)["different"] >= 0.9 * PAIRS
    assert verdicts((1 + MARGIN) ** -2, 0.01)["different"] >= 0.9 * PAIRS


def test_noise_that_is_wide_beside_the_margin_decides_nothing() -> None:
    found = verdicts(1.0, 0.3)
    assert found["undecided"] >= 0.94 * PAIRS


def test_the_verdict_is_that_of_the_interval() -> None:
    rng, seen = random.Random(5), Counter[str]()
    for number in range(500):
        found = equivalence(drawn(rng, 0.5, 0.02), drawn(rng, 0.45 + number / 5_000, 0.02))
        assert found.interval is not None
        assert found.interval.level == LEVEL
        low, high = found.interval.low, found.interval.high
        inside = low > 1 / (1 + MARGIN) and high < 1 + MARGIN
        outside = low > 1 + MARGIN or high < 1 / (1 + MARGIN)
        assert (found.verdict == "equivalent") == inside
        if found.verdict == "different":
            assert outside
        elif outside:  # the noise is wide beside the margin
            assert found.p_different is not None
            assert ERROR <= found.p_different < 2 * ERROR
        seen[found.verdict] += 1
    assert min(seen[word] for word in EXIT) > 50


def test_original_and_replica_may_change_places() -> None:
    rng = random.Random(6)
    for _ in range(100):
        one, other = drawn(rng, 0.5, 0.02), drawn(rng, 0.5 * rng.uniform(0.9, 1.1), 0.02)
        assert equivalence(one, other).verdict == equivalence(other, one).verdict


def test_values_that_do_not_vary_are_told_by_themselves() -> None:
    same = dict.fromkeys((1, 2, 3), 100.0)
    assert equivalence(same, same).verdict == "equivalent"
    assert equivalence(same, dict.fromkeys((1, 2, 3), 104.0)).verdict == "equivalent"
    assert equivalence(same, dict.fromkeys((1, 2, 3), 106.0)).verdict == "different"


# --- How many cycles it takes.


@pytest.mark.parametrize("ratio", [1.0, 1.02, 1.08, 0.92])
def test_so_many_cycles_decide_in_four_of_five_studies(ratio: float) -> None:
    noise, rng, asked = 0.03, random.Random(7), []
    for _ in range(200):
        found = equivalence(drawn(rng, 0.5, noise, 12), drawn(rng, 0.5 * ratio, noise, 4))
        if found.cycles is not None and found.ratio is not None and abs(found.ratio / ratio - 1) < 0.004:
            asked.append(found.cycles)
    # From what is seen of four cycles it is a guess; its middle, where the ratio that was seen is the true one, is what it says.
    middle = sorted(asked)[len(asked) // 2]
    decided = verdicts(ratio, noise, 500, there=12, here=middle)
    assert decided["equivalent"] + decided["different"] > 0.7 * 500, (middle, decided)
    right = "equivalent" if abs(math.log(ratio)) < math.log1p(MARGIN) else "different"
    assert decided[right] > 0.7 * 500


def test_a_noisy_original_cannot_be_made_up_for() -> None:
    rng = random.Random(8)
    found = equivalence(drawn(rng, 0.5, 0.2, 3), drawn(rng, 0.51, 0.2, 3))
    assert found.verdict == "undecided"
    assert found.cycles is None
    assert "3 cycles of the original vary too much" in (found.reason or "")


def test_too_few_cycles_are_undecided() -> None:
    few, enough = {1: 1.0, 2: 1.01}, {1: 1.0, 2: 1.01, 3: 0.99}
    here = equivalence(enough, few)
    assert here.verdict == "undecided"
    assert (here.reason or "").startswith("it takes 3 cycles or more")
    there = equivalence(few, enough)
    assert there.verdict == "undecided"
    assert "the original has 2 of the 3 cycles" in (there.reason or "")
    assert there.cycles is None


# --- Studies.


def pair_of_studies(
    write: WriteDesign, factor: float, noise: float = 0.005, cycles: int = 5, **more: Any
) -> tuple[Path, Path]:
    plain = {"energy": energy, "speed": lambda p: 100 * p["pytorch.batch_size"], "ttft": lambda _: 0.2}
    common = {**plain, "cycles": cycles, "noise": noise, "relative": True}
    before = write(SIZES, **common, name="before")
    after = write(SIZES, **{**common, "energy": lambda p: factor * energy(p)}, name="after", seed=2, **more)
    return before, after


def by_metric(found: Replication) -> dict[str, set[str]]:
    verdicts_of: dict[str, set[str]] = {}
    for figure in found.figures:
        verdicts_of.setdefault(figure.metric, set()).add(figure.verdict)
    return verdicts_of


def test_each_figure_of_each_configuration_is_judged(write_design: WriteDesign) -> None:
    found = replication(*pair_of_studies(write_design, 1.0))
    assert (found.verdict, found.exit_code, found.matched_by) == ("equivalent", 0, "configuration")
    assert by_metric(found) == {name: {"equivalent"} for name in ("j_per_output_token", "tokens_per_s", "ttft_p50_s")}
    assert len(found.figures) == 9
    text = found.text()
    assert text.startswith("equivalent: 9 figures of 9 lie within 5 % of the original.")
    assert "90 % interval" in text
    json.dumps(found.document(), allow_nan=False)


def test_energy_that_differs_is_told_beside_figures_that_do_not(write_design: WriteDesign) -> None:
    studies = pair_of_studies(write_design, 1.12)
    found = replication(*studies)
    assert (found.verdict, found.exit_code) == ("different", 1)
    assert by_metric(found) == {
        "j_per_output_token": {"different"},
        "tokens_per_s": {"equivalent"},
        "ttft_p50_s": {"equivalent"},
    }
    assert replication(*studies, margin=0.2).verdict == "equivalent"


def test_a_figure_at_the_margin_is_undecided_with_the_cycles_that_it_takes(write_design: WriteDesign) -> None:
    found = replication(*pair_of_studies(write_design, 1.03, noise=0.02), ["j_per_output_token"])
    assert (found.verdict, found.exit_code) == ("undecided", 5)
    open_ = [one for one in found.figures if one.verdict == "undecided"]
    assert open_
    assert all("cycles here would" in (one.reason or "") for one in open_)


def test_one_figure_beyond_the_margin_among_many_may_be_chance(write_design: WriteDesign) -> None:
    wrong = 0
    for seed in range(20):
        folder = f"at-{seed}"
        common = {"cycles": 5, "noise": 0.01, "relative": True}
        before = write_design(SIZES, energy=energy, **common, name=f"{folder}-a", seed=2 * seed)
        after = write_design(SIZES, energy=lambda p: 1.05 * energy(p), **common, name=f"{folder}-b", seed=2 * seed + 1)
        wrong += replication(before, after).verdict == "different"
    assert wrong <= 4  # of 20, at 5 %: more come in three of 1,000 such simulations


def test_a_configuration_that_the_replica_lacks_leaves_it_undecided(write_design: WriteDesign) -> None:
    before = write_design(SIZES, energy=energy, cycles=5, noise=0.002, relative=True, name="before")
    after = write_design(SIZES[:2], energy=energy, cycles=5, noise=0.002, relative=True, name="after", seed=2)
    found = replication(before, after)
    assert found.verdict == "undecided"
    assert found.missing == ("pytorch.batch_size=4",)
    assert "the replica lacks 1 configuration" in found.text()


# --- Unlike hardware, and no fair comparison.


def machine(model: str, cpus: int = 8) -> dict[str, Any]:
    return {"each": lambda _p, _c: {"environment": {"cpu": {"model": model, "logical_cpus": cpus}}}}


@pytest.mark.parametrize("here", [machine("Xeon"), machine("EPYC", 64)])
def test_on_unlike_hardware_only_ratios_between_configurations_are_judged(
    write_design: WriteDesign, here: dict[str, Any]
) -> None:
    common = {"cycles": 5, "noise": 0.005, "relative": True}
    before = write_design(SIZES, energy=energy, **common, name="before", **machine("EPYC"))
    after = write_design(SIZES, energy=lambda p: 3 * energy(p), **common, name="after", seed=2, **here)
    found = replication(before, after)
    assert found.verdict == "equivalent"
    assert [(one.name, one.against) for one in found.figures] == [
        (f"pytorch.batch_size={size}", "pytorch.batch_size=1") for size in (2, 4)
    ]
    assert all(one.judged and one.judged.ratio == pytest.approx(1, abs=0.02) for one in found.figures)
    assert "its figures are not judged by themselves" in found.text()

    turned = write_design(
        SIZES,
        energy=lambda p: 3 / energy(p),
        **common,
        name="turned",
        seed=3,
        **here,
    )
    assert replication(before, turned).verdict == "different"


def test_on_unlike_hardware_one_configuration_has_no_ratio(write_design: WriteDesign) -> None:
    common = {"energy": energy, "cycles": 5, "noise": 0.005, "relative": True}
    before = write_design(SIZES[:1], **common, name="before", **machine("EPYC"))
    after = write_design(SIZES[:1], **common, name="after", seed=2, **machine("Xeon"))
    found = replication(before, after)
    assert found.verdict == "undecided"
    assert "only ratios between configurations" in (found.figures[0].reason or "")


@pytest.mark.parametrize("ratio", [1 + MARGIN, 1 / (1 + MARGIN)])
def test_at_the_margin_each_error_of_a_ratio_between_configurations_is_at_most_one_in_twenty(ratio: float) -> None:
    rng, found = random.Random(9), Counter[str]()
    of = 4_000
    for _ in range(of):
        sides = [[drawn(rng, 0.5, 0.01), drawn(rng, 0.2 * factor, 0.01)] for factor in (1.0, ratio)]
        first, second = ({c: other[c] / to[c] for c in to} for to, other in sides)
        found[verdict_of(*p_values(first, second, MARGIN))] += 1
    assert within_chance(found["equivalent"], of, ERROR), found
    assert within_chance(found["different"], of, ERROR), found


def test_an_estimate_other_prompts_and_other_versions(write_design: WriteDesign) -> None:
    before, after = pair_of_studies(write_design, 1.0)
    common = {"energy": energy, "speed": lambda _: 100.0, "cycles": 5, "noise": 0.005, "relative": True}
    guessed = write_design(SIZES, **common, name="guessed", each=lambda _p, _c: {"method": "estimate", "scope": "cpu"})
    found = replication(before, guessed)
    assert found.verdict != "equivalent"
    assert {one.reason for one in found.figures if one.metric == "j_per_output_token"} == {
        "one's energy is an estimate, the other's is measured (gpu counter, cpu estimate)"
    }
    assert any("energy: was by counter of the gpu, is by estimate of the cpu" in text for text in found.changed)
    other = write_design(SIZES, **common, name="other", each=lambda _p, _c: {"dataset_sha256": "e" * 64})
    assert all("other prompts" in (one.reason or "") for one in replication(after, other).figures)


@pytest.mark.parametrize(
    ("there", "here", "told"),
    [
        ({"name": "docker", "argument": "IMAGE"}, {"name": "local", "argument": None}, "docker:IMAGE, is local"),
        ({"name": "local", "argument": None}, {"name": "slurm", "argument": "gpu"}, "local, is slurm:gpu"),
        ({"name": "slurm", "argument": "a"}, {"name": "slurm", "argument": "b"}, None),
        ({"name": "local"}, "none", None),
    ],
)
def test_another_runner_is_told_and_figures_are_judged(
    write_design: WriteDesign, there: Any, here: Any, told: str | None
) -> None:
    common = {"energy": energy, "cycles": 5, "noise": 0.005, "relative": True}

    def ran_by(runner: Any) -> dict[str, Any]:
        return {"each": lambda _p, _c: {"environment": {"study": {"runner": runner}}}}

    before = write_design(SIZES, **common, name="before", **ran_by(there))
    after = write_design(SIZES, **common, name="after", seed=2, **ran_by(here))
    found = replication(before, after, ["j_per_output_token"])
    assert found.verdict == "equivalent"
    assert [text for text in found.changed if "runner" in text] == ([f"runner: was {told}"] if told else [])


def test_what_cannot_be_judged_is_a_paragraph(write_design: WriteDesign) -> None:
    before, after = pair_of_studies(write_design, 1.0)
    with pytest.raises(ConfigError, match="judges nothing"):
        replication(before, after, margin=0.0)
    with pytest.raises(ConfigError, match="there is no figure"):
        replication(before, after, ["tokens_per_hour"])
    apart = write_design([{"a.x": 1}, {"a.x": 2}], cycles=3, name="apart")
    with pytest.raises(ResultError, match="no settings in common"):
        replication(before, apart)


@pytest.mark.parametrize(("p", "verdict"), [(0.03, "undecided"), (0.01, "different")])
def test_one_of_many_figures_is_different_only_as_corrected_over_all(p: float, verdict: str) -> None:
    def figure(p_different: float) -> JudgedFigure:
        judged = Equivalence("different", 5, 5, 1.0, 2.0, 2.0, p_different=p_different)
        return JudgedFigure("one", "j_per_output_token", "energy", "J", judged.verdict, judged)

    assert overall([figure(p), figure(0.5), figure(0.6)], is_missing=False) == verdict
