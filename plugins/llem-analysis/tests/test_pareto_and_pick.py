"""The Pareto front and the best configuration within limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from llem.errors import ConfigError, ResultError
from llem.plugins import default_registry
from llem_analysis.commands.pick import pick as command
from llem_analysis.front import on_front, pareto
from llem_analysis.metric_names import METRIC_SPECS
from llem_analysis.picking import Limit, pick

WriteDesign = Callable[..., Path]
SPECS = [METRIC_SPECS["j_per_output_token"], METRIC_SPECS["tokens_per_s"]]
SIZES = [{"pytorch.batch_size": size} for size in (1, 2, 4, 8)]


def energy(point: Mapping[str, Any]) -> float:
    return 8.0 / point["pytorch.batch_size"]


def ttft(point: Mapping[str, Any]) -> float:
    return 0.05 * float(point["pytorch.batch_size"])


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=30))
def test_the_front_is_what_nobody_beats(points: list[tuple[int, int]]) -> None:
    found = on_front([[float(a), float(b)] for a, b in points], SPECS)
    for place, (a, b) in enumerate(points):
        beaten = any(x <= a and y >= b and (x, y) != (a, b) for x, y in points)
        assert found[place] == (not beaten)


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 3), max_size=25))
def test_a_front_of_three_figures(points: list[tuple[int, int, int]]) -> None:
    specs = [*SPECS, METRIC_SPECS["peak_memory_mb"]]
    found = on_front([[float(v) for v in p] for p in points], specs)
    for place, (a, b, c) in enumerate(points):
        beaten = any(x <= a and y >= b and z <= c and (x, y, z) != (a, b, c) for x, y, z in points)
        assert found[place] == (not beaten)


def test_a_study_has_its_front_first(write_design: WriteDesign) -> None:
    points = [dict(zip(("a.x", "a.y"), v, strict=True)) for v in product((1, 2), (1, 2))]
    front = pareto(
        write_design(
            points, energy=lambda p: float(p["a.x"] + p["a.y"]), speed=lambda p: 100.0 * p["a.x"] - 10 * p["a.y"]
        )
    )
    assert [(p.settings["a.x"], p.settings["a.y"], p.on_front) for p in front.points] == [
        (1, 1, True),
        (2, 1, True),
        (1, 2, False),
        (2, 2, False),
    ]
    assert front.units == ("J", "tokens/s")
    assert not front.estimated


def test_what_lacks_a_figure_is_named(write_design: WriteDesign) -> None:
    folder = write_design(SIZES, energy=energy, ttft=lambda p: None if p["pytorch.batch_size"] == 1 else 0.1)
    front = pareto(folder, ["j_per_output_token", "ttft_p50_s"])
    assert front.missing == ("pytorch.batch_size=1",)
    assert [p.on_front for p in front.points] == [True, False, False]


def test_the_best_within_a_limit_is_picked(write_design: WriteDesign) -> None:
    found = pick(write_design(SIZES, energy=energy, ttft=ttft), limits=[Limit("ttft_p50_s", 0.2)])
    assert found.settings == {"pytorch.batch_size": 4}
    assert (found.kept, found.considered) == (3, 4)
    assert found.figures["j_per_output_token"].value == 2.0
    assert found.as_good is None, "one cycle tells nothing"
    assert "1 cycle says little about how surely it keeps the limit" in found.cautions[0]


def test_more_is_better_for_throughput(write_design: WriteDesign) -> None:
    folder = write_design(SIZES, energy=energy, speed=lambda p: 10.0 * p["pytorch.batch_size"])
    assert pick(folder, "tokens_per_s").settings == {"pytorch.batch_size": 8}
    assert pick(folder, limits=[Limit("tokens_per_s", 80.0)]).settings == {"pytorch.batch_size": 8}


def test_those_that_cycles_do_not_tell_from_the_best_are_named(write_design: WriteDesign) -> None:
    folder = write_design(SIZES, energy=lambda p: 1.0 if p["pytorch.batch_size"] > 1 else 9.0, cycles=4, noise=0.05)
    found = pick(folder)
    assert found.as_good is not None
    assert len(found.as_good) == 2
    assert "pytorch.batch_size=1" not in found.as_good


def test_a_limit_within_the_interval_is_a_caution(write_design: WriteDesign) -> None:
    folder = write_design(
        [{"a.x": 1}, {"a.x": 2}], energy=lambda p: float(p["a.x"]), ttft=lambda _: 1.0, cycles=4, noise=0.1
    )
    (caution,) = pick(folder, limits=[Limit("ttft_p50_s", 1.05)]).cautions
    assert "lies within its 95 % interval" in caution


def test_a_limit_from_below_is_a_caution_only_where_the_interval_reaches_below_it(write_design: WriteDesign) -> None:
    folder = write_design(SIZES[:2], energy=energy, speed=lambda _: 100.0, cycles=4, noise=0.1, relative=True, seed=2)
    measured = pick(folder, "tokens_per_s").figures["tokens_per_s"].measured
    (caution,) = pick(folder, limits=[Limit("tokens_per_s", 0.97 * measured)]).cautions
    assert "lies within its 95 % interval" in caution
    assert pick(folder, limits=[Limit("tokens_per_s", 0.2 * measured)]).cautions == ()


def test_limits_that_nobody_keeps_name_the_nearest(write_design: WriteDesign) -> None:
    with pytest.raises(ResultError, match=r"nearest is pytorch.batch_size=1: .*0\.0500 s \(limit 0\.0100\)"):
        pick(write_design(SIZES, energy=energy, ttft=ttft), limits=[Limit("ttft_p50_s", 0.01)])


def test_a_figure_that_nobody_has_is_named(write_design: WriteDesign) -> None:
    with pytest.raises(ResultError, match=r"no configuration has inter-token latency .*only where the engine streams"):
        pick(write_design(SIZES, energy=energy), limits=[Limit("itl_p50_s", 0.01)])


def test_estimates_are_not_ranked_against_measurements(write_design: WriteDesign) -> None:
    folder = write_design(
        SIZES, energy=energy, each=lambda p, _: {"method": "estimate"} if p["pytorch.batch_size"] == 8 else {}
    )
    with pytest.raises(ResultError, match="cannot be ranked across them"):
        pick(folder)
    with pytest.raises(ResultError, match="cannot be ranked across them"):
        pareto(folder)


def test_energy_that_is_only_limited_is_marked_as_an_estimate_too(write_design: WriteDesign) -> None:
    folder = write_design(
        SIZES, energy=energy, speed=lambda p: 1.0 * p["pytorch.batch_size"], each=lambda _p, _c: {"method": "estimate"}
    )
    assert pick(folder, "tokens_per_s", limits=[Limit("j_per_output_token", 5.0)]).estimated
    assert not pick(folder, "tokens_per_s").estimated
    done = CliRunner().invoke(
        command,
        [str(folder), "--max", "throughput", "--max-energy", "5", "-o", str(folder / "best.yaml")],
        obj=default_registry(),
    )
    assert "3 of 4 configurations keep all limits" in done.output
    assert "energy per output token: ~1.00 J" in done.output
    done = CliRunner().invoke(command, [str(folder)], obj=default_registry())
    assert "# has the lowest estimated energy per output token of designed: 4 configurations." in done.output


def test_a_footprint_is_told_whatever_the_best_was_chosen_by(write_design: WriteDesign) -> None:
    folder = write_design(SIZES, energy=energy, speed=lambda p: 1.0 * p["pytorch.batch_size"])
    found = pick(folder, "tokens_per_s", also=["j_per_output_token"])
    assert found.figures["j_per_output_token"].value == 1.0
    done = CliRunner().invoke(
        command, [str(folder), "--max", "throughput", "--price", "0.36", "--currency", "EUR"], obj=default_registry()
    )
    assert "# footprint: 0.000100 EUR per 1,000 output tokens" in done.output


def test_a_throttled_best_is_a_caution(write_design: WriteDesign) -> None:
    folder = write_design(SIZES, energy=energy, each=lambda _p, _c: {"warnings": {"thermal_throttle": "hot"}})
    assert pick(folder).cautions == (
        "its runs were throttled (`thermal_throttle`): 1 of 1.",
        "of the others, 3 of 3 runs were throttled (`thermal_throttle`).",
    )


def test_an_unknown_figure_is_refused(write_design: WriteDesign) -> None:
    with pytest.raises(ConfigError, match="no figure `enrgy`"):
        pick(write_design(SIZES, energy=energy), "enrgy")
