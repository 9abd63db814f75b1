"""Studies whose truth is known, analysed from rows to sentences: what is claimed, and what is refused."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from llem_analysis import analyze
from llem_analysis.commands.analyze import analysis_lines
from llem_analysis.study_effects import analyse_rows
from llem_analysis.study_models import StudyAnalysis

Point = Mapping[str, Any]
BATCH, DTYPE, ATTENTION = "engine.batch", "engine.dtype", "engine.attention"
COLUMN = "energy.headline.j_per_output_token"


def grid(**axes: Sequence[Any]) -> list[dict[str, Any]]:
    names = [f"engine.{name}" for name in axes]
    return [dict(zip(names, values, strict=True)) for values in product(*axes.values())]


def rows_of(
    points: Sequence[Point],
    energy: Callable[[Point], float],
    *,
    cycles: int = 3,
    noise: float = 0.02,
    order: str = "shuffled",
    drift: float = 0.0,
    seed: int = 1,
    figures: Mapping[str, Callable[[Point], float]] = {},
) -> list[dict[str, Any]]:
    """Runs of these points: the drift is over each cycle, or under the order `sequential` over the study."""
    generator, many = random.Random(seed), len(points)
    runs = [(cycle, place) for cycle in range(cycles) for place in range(many)]
    if order == "sequential":
        runs.sort(key=lambda run: (run[1], run[0]))
    elif order == "shuffled":
        runs = [
            run for cycle in range(cycles) for run in generator.sample(runs[cycle * many : (cycle + 1) * many], many)
        ]
    rows = []
    for position, (cycle, place) in enumerate(runs):
        point = points[place]
        through = position / (len(runs) - 1) if order == "sequential" else position % many / (many - 1)
        columns = {COLUMN: energy, **figures}
        rows.append(
            {
                "directory": f"{position:05}",
                "status": "done",
                "config_hash": f"{place:04}",
                "cycle": cycle + 1,
                "position": position + 1,
                "config.backend": point.get("backend", "engine"),
                "energy.headline.method": "counter",
                "energy.headline.scope": "gpu",
                **{f"point.{key}": value for key, value in point.items()},
                **{
                    column: of(point) * math.exp(generator.gauss(0, noise)) * (1 + drift * through)
                    for column, of in columns.items()
                },
            }
        )
    return rows


def analysed(rows: Sequence[Mapping[str, Any]], figures: Sequence[str] = ("j_per_output_token",)) -> StudyAnalysis:
    return analyse_rows(rows, "study", "nowhere", figures=figures)


def texts(found: StudyAnalysis) -> str:
    return "\n".join(analysis_lines(found))


def claims(found: StudyAnalysis) -> set[tuple[str, ...]]:
    return {f.parameters for f in found.findings if f.certainty == "told" and f.parameters}


def test_one_factor_at_a_time_gives_ratios_and_is_called_saturated() -> None:
    base = {BATCH: 1, DTYPE: "float32", ATTENTION: "sdpa"}
    points = [base, {**base, BATCH: 8}, {**base, DTYPE: "bfloat16"}, {**base, ATTENTION: "eager"}]

    def energy(point: Point) -> float:
        ratio = (0.2 if point[BATCH] == 8 else 1) * (0.5 if point[DTYPE] == "bfloat16" else 1)
        return 10 * ratio * (0.98 if point[ATTENTION] == "eager" else 1)

    found = analysed(rows_of(points, energy, noise=0.002))
    (figure,) = found.figures
    assert figure.design == "saturated"
    assert any("saturated: " in note and "nothing is left to test the model with" in note for note in found.caveats)
    for name, ratio in ((BATCH, 0.2), (DTYPE, 0.5), (ATTENTION, 0.98)):
        effect = figure.effect(name)
        assert effect is not None
        step = effect.steps[0]
        assert math.exp(abs(math.log(step.ratio))) == pytest.approx(1 / ratio, rel=0.01)
        assert step.start_mean is not None
        assert step.end_mean is not None
        assert min(step.start_mean, step.end_mean) > 0
    assert claims(found) == {(BATCH,), (DTYPE,), (ATTENTION,)}
    assert "−100" not in texts(found)


def test_where_memory_runs_out_the_largest_batch_that_ran_is_best() -> None:
    points = grid(batch=[1, 8, 64, 512], dtype=["float32", "bfloat16"])
    kept = [p for p in points if p[DTYPE] == "bfloat16" or p[BATCH] < 64]
    found = analysed(rows_of(kept, lambda p: 10 / p[BATCH] * (0.5 if p[DTYPE] == "bfloat16" else 1)))
    (figure,) = found.figures
    batch, dtype = figure.effect(BATCH), figure.effect(DTYPE)
    assert batch is not None
    assert dtype is not None
    assert (batch.best, dtype.best) == (512, "bfloat16")
    assert batch.contrast.ratio == pytest.approx(1 / 512, rel=0.1)
    assert (batch.contrast.shared, batch.contrast.combinations) == (1, 2)
    assert dtype.contrast.ratio == pytest.approx(0.5, rel=0.05)
    assert (dtype.contrast.shared, dtype.contrast.combinations) == (2, 4)
    assert [level.value for level in batch.levels] == [1, 8, 64, 512]
    assert figure.effects[0].share is None
    assert "over the 1 of 2 combinations of the rest that ran with both" in texts(found)


def test_values_that_share_no_combination_are_not_compared() -> None:
    points = [p for p in grid(batch=[1, 2, 4], dtype=["a", "b"]) if (p[BATCH], p[DTYPE]) not in {(1, "b"), (4, "a")}]
    found = analysed(rows_of(points, lambda p: 8.0 / p[BATCH]))
    effect = found.figures[0].effect(BATCH)
    assert effect is not None
    assert effect.apart == ((1, 4),)
    assert {(s.start, s.end) for s in effect.steps} == {(1, 2), (2, 4)}
    assert any("1 with 4" in note for note in found.caveats)


def test_a_key_of_one_engine_has_one_answer_in_sentence_and_table() -> None:
    points = [
        *({"backend": "one", "one.dtype": d, "dataset.n": n} for d in ("wide", "narrow") for n in (10, 20)),
        *({"backend": "two", "dataset.n": n} for n in (10, 20)),
    ]
    energy = {"wide": 1.0, "narrow": 0.55}
    found = analysed(rows_of(points, lambda p: energy.get(p.get("one.dtype", ""), 0.75)))
    shown = texts(found)
    assert ("one.dtype",) in claims(found)
    assert "hardly" not in shown
    assert re.search(r"one\.dtype .*it falls by 4[3-7] %", shown)
    assert re.search(r"one\.dtype \(in one\) +wide → narrow +−4[3-7] % .*< 0\.001", shown)


def test_one_cycle_describes_and_ranks_nothing() -> None:
    points = grid(batch=[1, 2, 4], dtype=["a", "b"], attention=["x", "y"])
    found = analysed(rows_of(points, lambda _: 1.0, cycles=1))
    shown = texts(found)
    assert "one cycle ranks nothing" in shown
    for word in ("depends", "explains", "best", "share of"):
        assert not any(word in f.text for f in found.findings[:1])
    assert not any("most on" in f.text for f in found.findings)
    (figure,) = found.figures
    assert all(e.rank is None and e.share is None and e.best is None and e.told is None for e in figure.effects)
    assert "--cycles 3" in shown
    assert "--pilot STUDY" in shown


def test_the_first_sentence_of_one_cycle_names_two_metrics_and_a_later_one_the_others() -> None:
    rows = [
        {
            **row,
            "throughput.tokens_per_s": 50.0 + n,
            "latency.ttft_s.p50": 0.1 + n / 100,
            "memory.peak_memory_mb": 500.0 + n,
        }
        for n, row in enumerate(rows_of(grid(batch=[1, 2, 4]), lambda p: 10 / p["engine.batch"], cycles=1))
    ]
    figures = ("j_per_output_token", "tokens_per_s", "ttft_p50_s", "peak_memory_mb")
    first, *others = [f.text for f in analysed(rows, figures).findings]
    assert "energy per output token was " in first
    assert "throughput was 50.0 to 52.0 tokens/s." in first
    assert "memory" not in first
    assert others[-1].startswith("Besides, time to first token (median) was ")
    assert others[-1].endswith("peak device memory was 500 to 502 MiB.")


@pytest.mark.parametrize("seed", range(6))
def test_a_drift_in_each_cycle_is_taken_out_under_the_default_order(seed: int) -> None:
    points = grid(batch=[1, 2, 4], dtype=["a", "b"], attention=["x", "y"])
    found = analysed(rows_of(points, lambda _: 1.0, drift=0.04, noise=0.005, seed=seed))
    assert claims(found) == set()
    (trend,) = [f for f in found.findings if "drift" in f.text]
    assert "taken out of all effects" in trend.text
    assert found.figures[0].trend is not None
    assert found.figures[0].trend.ratio == pytest.approx(1.04, abs=0.01)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("order", "drift"), [("interleaved", 0.04), ("sequential", 0.10)])
def test_drift_and_configurations_that_kept_their_places_are_called_inseparable(
    order: str, drift: float, seed: int
) -> None:
    points = grid(batch=[1, 2, 4], dtype=["a", "b"], attention=["x", "y"])
    found = analysed(rows_of(points, lambda _: 1.0, drift=drift, order=order, noise=0.01, seed=seed))
    assert claims(found) == set()
    shown = texts(found)
    assert "cannot be told" in shown
    assert "inseparable" in shown
    assert all(e.contrast.ratio_interval is None for e in found.figures[0].effects)


@pytest.mark.parametrize(("change", "inseparable"), [(0.2, True), (0.35, False)])
def test_a_change_from_place_to_place_that_no_machine_drifts_by_is_no_drift(change: float, inseparable: bool) -> None:
    """Configurations on one line over their places, whose logarithms are so far apart."""
    points = [{BATCH: size} for size in range(5)]
    found = analysed(rows_of(points, lambda p: math.exp(change * p[BATCH] / 4), order="sequential", noise=0.005))
    trend = found.figures[0].trend
    assert trend is not None
    assert math.log(trend.ratio) == pytest.approx(change, abs=0.02)
    assert trend.inseparable is inseparable
    assert claims(found) == (set() if inseparable else {(BATCH,)})


def test_under_sequential_order_it_is_said_that_drift_may_be_behind_an_effect() -> None:
    points = grid(batch=[1, 8], dtype=["a", "b"])
    found = analysed(rows_of(points, lambda p: 8.0 / p[BATCH], order="sequential"))
    assert (BATCH,) in claims(found)
    assert any("drift and configuration cannot be told" in note for note in found.caveats)


def test_effects_that_multiply_bring_no_interaction() -> None:
    points = grid(batch=[2**k for k in range(10)], dtype=["a", "b"], attention=["x", "y"])
    found = [claims(analysed(rows_of(points, lambda p: 10.0 / p[BATCH], seed=seed))) for seed in range(12)]
    assert all((BATCH,) in one for one in found)
    assert sum(one != {(BATCH,)} for one in found) <= 2


def test_a_half_fraction_names_together_what_it_cannot_tell_apart() -> None:
    points = [p for p in grid(a=[0, 1], b=[0, 1], c=[0, 1]) if sum(p.values()) % 2 == 0]
    found = analysed(rows_of(points, lambda p: 0.8 if p["engine.a"] == p["engine.b"] else 1.0))
    (figure,) = found.figures
    assert figure.effects == ()
    assert {(a.parameter, a.others) for a in figure.refused} == {
        ("engine.a", ("engine.b × engine.c",)),
        ("engine.b", ("engine.a × engine.c",)),
        ("engine.c", ("engine.a × engine.b",)),
    }
    (text,) = [f.text for f in found.findings if f.parameters == ("engine.c",)]
    assert text.startswith("engine.c and engine.a × engine.b cannot be told apart")
    assert "changes energy per output token by +2" in text
    assert claims(found) == set()


def test_an_effect_that_only_a_saturated_model_would_tell_is_refused() -> None:
    """Half of 2⁵: main effects and interactions of two need all 16 configurations."""
    points = [p for p in grid(a=[0, 1], b=[0, 1], c=[0, 1], d=[0, 1], e=[0, 1]) if sum(p.values()) % 2 == 0]
    found = analysed(rows_of(points, lambda p: 2.0 if p["engine.a"] else 1.0))
    (figure,) = found.figures
    assert figure.effects == ()
    assert len(figure.refused) == 5
    assert all(alias.saturated for alias in figure.refused)
    assert any("engine.a" in f.text and "saturated" in f.text for f in found.findings)


def test_where_a_model_can_be_tested_its_misfit_is_in_the_error() -> None:
    """Half of 2⁶ leaves ten configurations over. An interaction of three that the model lacks widens every interval."""
    names = "abcdef"
    points = [p for p in grid(**{n: [0, 1] for n in names}) if sum(p.values()) % 2 == 0]

    def width(triple: float) -> float:
        def energy(point: Point) -> float:
            all_three = point["engine.a"] + point["engine.b"] + point["engine.c"] == 3
            return math.exp(0.3 * point["engine.d"] + (triple if all_three else 0.0))

        effect = analysed(rows_of(points, energy, noise=0.01)).figures[0].effect("engine.d")
        assert effect is not None
        interval = effect.contrast.ratio_interval
        assert interval is not None
        assert effect.contrast.start_mean is None
        return interval.width

    # With no misfit the error is that of 96 runs of 1 %; with it that of 32 configurations, ten of them left over, which an
    # interaction of three of 0.5 puts 0.5 / 8 √(8 / 7) off their model, less what other columns take of it.
    assert width(0.0) == pytest.approx(2 * 2.0 * 0.01 * 2 / math.sqrt(96) * math.exp(0.3), rel=0.35)
    assert 3 * width(0.0) < width(0.5) < 30 * width(0.0)


def test_a_figure_that_cannot_be_is_left_out_and_said_so() -> None:
    rows = rows_of(grid(batch=[1, 8]), lambda p: 8.0 / p[BATCH])
    rows[0][COLUMN], rows[1][COLUMN] = -3.0, 0.0
    found = analysed(rows)
    (figure,) = found.figures
    assert figure.values == 4
    assert any("2 of 6 runs have a value that is not possible" in note for note in found.caveats)
    assert figure.lowest is not None
    assert figure.lowest > 0


def test_an_effect_below_the_interest_has_no_sentence_of_its_own() -> None:
    points = grid(batch=[1, 8], dtype=["a", "b"])
    rows = rows_of(points, lambda p: 8.0 / p[BATCH] * (0.995 if p[DTYPE] == "b" else 1.0), noise=0.0005)
    found = analysed(rows)
    (text,) = [f.text for f in found.findings if DTYPE in f.parameters]
    assert re.fullmatch(rf"{DTYPE} \(−0\.[456] %\) changes energy per output token by less than 1 %\.", text)
    wider = analyse_rows(rows, "s", "nowhere", figures=["j_per_output_token"], interest=0.001)
    (text,) = [f.text for f in wider.findings if DTYPE in f.parameters]
    assert re.search(r"it falls by 0\.[456] %", text)


def test_two_parameters_of_two_values_get_four_sentences() -> None:
    figures = {
        "throughput.tokens_per_s": lambda p: 100.0 * p[BATCH],
        "latency.ttft_s.p50": lambda p: 0.1 * p[BATCH] ** 0.5,
        "latency.itl_s.p50": lambda p: 0.01 * (1.5 if p[DTYPE] == "b" else 1.0),
        "latency.tpot_s.p50": lambda p: 0.01 * (1.5 if p[DTYPE] == "b" else 1.0),
        "memory.peak_memory_mb": lambda p: 1000.0 * (0.5 if p[DTYPE] == "b" else 1.0),
    }
    points = grid(batch=[1, 8], dtype=["a", "b"])
    rows = rows_of(points, lambda p: 8.0 / p[BATCH] * (0.7 if p[DTYPE] == "b" else 1.0), figures=figures)
    found = analyse_rows(rows, "study", "nowhere")
    assert len(found.figures) == 6
    assert len(found.findings) <= 4
    (text,) = [f.text for f in found.findings if f.parameters == (BATCH,)]
    assert "The same step changes throughput by ×" in text


def test_correction_is_over_all_figures_together() -> None:
    points = grid(batch=[1, 2], dtype=["a", "b"])
    rows = rows_of(points, lambda _: 1.0, figures={"throughput.tokens_per_s": lambda _: 5.0})
    both = analysed(rows, ("j_per_output_token", "tokens_per_s"))
    alone = analysed(rows)
    ps = [e.p_adjusted for e in both.figures[0].effects]
    smallest = min(e.p for f in both.figures for e in f.effects if e.p is not None)
    assert all(p is not None and p >= smallest for p in ps)
    for one, other in zip(alone.figures[0].effects, both.figures[0].effects, strict=True):
        assert one.p == other.p
        assert one.p_adjusted is not None
        assert other.p_adjusted is not None
        assert one.p_adjusted <= other.p_adjusted


def test_an_interaction_is_told_with_its_extremes_and_their_intervals() -> None:
    points = grid(batch=[1, 4, 16], dtype=["a", "b"])
    found = analysed(rows_of(points, lambda p: 8.0 / (p[BATCH] if p[DTYPE] == "b" else 1)))
    (text,) = [f.text for f in found.findings if len(f.parameters) == 2]
    ends = dict(re.findall(r"(\S+) %? ?\([^)]* to [^)]*\) where (?:engine\.dtype|it) is (\w)", text.replace("by ", "")))
    assert "from 1 to 16" in text
    assert {where: shown for shown, where in ends.items()}["b"] in ("−93", "−94")
    assert set(ends.values()) == {"a", "b"}


@pytest.mark.parametrize("seed", range(8))
def test_every_claim_of_a_sentence_is_one_of_the_table(seed: int) -> None:
    points = grid(batch=[1, 2, 4], dtype=["a", "b"], attention=["x", "y"])
    found = analysed(rows_of(points, lambda p: 1.02 ** (p[BATCH] + 2 * (p[DTYPE] == "b")), seed=seed))
    (figure,) = found.figures
    told = {(e.parameter,) for e in figure.effects if e.told} | {i.parameters for i in figure.interactions if i.told}
    assert claims(found) <= told
    for effect in figure.effects:
        interval = effect.contrast.ratio_interval
        assert interval is not None
        assert interval.low <= effect.contrast.ratio <= interval.high
        if effect.told:
            assert interval.low > 1 or interval.high < 1
    untold = [name for f in found.findings if f.certainty == "not told" for name in f.parameters]
    assert all(effect.told is False for effect in figure.effects if effect.parameter in untold)


def test_the_spread_of_an_earlier_study_says_how_many_cycles_one_would_need(write_design: Callable[..., Path]) -> None:
    points = grid(batch=[1, 8])

    def energy(point: Point) -> float:
        return 1.0 if point[BATCH] == 1 else 1.05

    once = write_design(points, energy=energy, name="once")
    assert "how much one configuration varies" in analyze(once).findings[1].text
    earlier = write_design(points, energy=energy, cycles=6, noise=0.02, relative=True, name="earlier")
    named = analyze(once, pilot=earlier).findings[1].text
    assert re.search(r"takes about \d+ cycles, if cycles vary by \S+ % as in earlier\.$", named)
    (earlier / "manifest.json").write_text("{}")
    assert analyze(once).findings[1].text == named


def test_the_p_of_a_parameter_counts_every_step_that_could_have_been_the_largest() -> None:
    found = analysed(rows_of(grid(batch=[1, 2, 4, 8], dtype=["a", "b"]), lambda _: 1.0))
    effect = found.figures[0].effect(BATCH)
    assert effect is not None
    assert effect.p is not None
    assert len(effect.steps) == 6
    assert effect.p == pytest.approx(min(1.0, 6 * min(step.p for step in effect.steps if step.p is not None)))


def test_a_value_that_is_not_told_from_the_next_best_is_not_called_best() -> None:
    def energy(point: Point) -> float:
        return 10.0 if point[BATCH] == 1 else 2.0

    near = analysed(rows_of(grid(batch=[1, 8, 16], dtype=["a", "b"]), energy)).figures[0].effect(BATCH)
    assert near is not None
    assert near.told
    assert near.contrast.end in (8, 16)
    assert near.best is None


def test_where_nothing_is_told_there_are_no_shares() -> None:
    points = grid(batch=[1, 2, 4], dtype=["a", "b"])
    (nothing,) = analysed(rows_of(points, lambda _: 1.0)).figures
    assert not any(e.told for e in nothing.effects)
    assert all(e.share is None and e.share_total is None for e in nothing.effects)
    assert nothing.unexplained is None
    (something,) = analysed(rows_of(points, lambda p: 8.0 / p[BATCH])).figures
    assert something.effects[0].share is not None


def test_a_step_of_another_figure_is_told_only_where_it_is_told_there() -> None:
    """Throughput changes with batch size, but from 1 to 8 it does not: the sentence on energy leaves it out."""
    figures = {"throughput.tokens_per_s": lambda p: 200.0 if p[BATCH] == 4 else 100.0}
    rows = rows_of(grid(batch=[1, 4, 8], dtype=["a", "b"]), lambda p: 8.0 / p[BATCH], noise=0.01, figures=figures)
    found = analysed(rows, ("j_per_output_token", "tokens_per_s"))
    throughput = found.figures[1].effect(BATCH)
    assert throughput is not None
    assert throughput.told
    (text,) = [f.text for f in found.findings if f.parameters == (BATCH,)]
    assert "From 1 to 8" in text
    assert "throughput" not in text
