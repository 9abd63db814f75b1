"""Analyses of whole studies: what is found in a study of known effects, and what is not claimed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from llem.errors import ConfigError, ResultError
from llem.results.aggregate import aggregate
from llem.results.models import Failure
from llem_analysis import analyze
from llem_analysis.describing import described
from llem_analysis.study_models import FigureAnalysis

WriteDesign = Callable[..., Path]


def grid(**axes: Any) -> list[dict[str, Any]]:
    names = [name.replace("__", ".") for name in axes]
    return [dict(zip(names, values, strict=True)) for values in product(*axes.values())]


BACKENDS = [
    *grid(backend=["pytorch"], dataset__output_tokens=[64, 256], pytorch__batch_size=[1, 8, 32]),
    *grid(backend=["vllm"], dataset__output_tokens=[64, 256], vllm__gpu_memory_utilization=[0.8, 0.9]),
]


def energy(point: Mapping[str, Any]) -> float:
    """Batching matters most, the length of answers a little, memory utilization not at all."""
    batch = point.get("pytorch.batch_size")
    return float((2.0 / batch**0.5 if batch else 0.7) + point["dataset.output_tokens"] / 2560)


@pytest.fixture
def study(write_design: WriteDesign) -> Path:
    return write_design(BACKENDS, energy=energy, cycles=4, noise=0.02, seed=3)


def test_effects_are_ranked_and_told_from_noise(study: Path) -> None:
    figure = analyze(study).figure("j_per_output_token")
    assert [e.parameter for e in figure.effects][:1] == ["pytorch.batch_size"]
    told = {e.parameter: e.told for e in figure.effects}
    assert told == {
        "pytorch.batch_size": True,
        "backend": True,
        "dataset.output_tokens": True,
        "vllm.gpu_memory_utilization": False,
    }
    assert [e.rank for e in figure.effects] == [1, 2, 3, 4]


def test_intervals_hold_the_true_values(study: Path) -> None:
    figure = analyze(study).figure("j_per_output_token")
    effect = next(e for e in figure.effects if e.parameter == "pytorch.batch_size")
    contrast = effect.contrast
    assert (contrast.start, contrast.end) == (1, 32)
    assert effect.best == 32
    true = {b: ((2.0 / b**0.5 + 0.025) * (2.0 / b**0.5 + 0.1)) ** 0.5 for b in (1, 8, 32)}
    assert contrast.ratio_interval is not None
    assert contrast.ratio_interval.low < true[32] / true[1] < contrast.ratio_interval.high
    assert contrast.ratio_interval.method == "t"
    for level in effect.levels:
        assert level.interval is not None
        assert level.interval.low < true[level.value] < level.interval.high
    assert effect.share_interval is not None
    assert effect.share is not None
    assert effect.share_interval.low <= effect.share <= effect.share_interval.high


def test_parameters_of_one_backend_are_nested_in_it(study: Path) -> None:
    found = {p.name: p for p in analyze(study).parameters}
    assert found["pytorch.batch_size"].backend == "pytorch"
    assert found["pytorch.batch_size"].values == (1, 8, 32)
    assert found["vllm.gpu_memory_utilization"].backend == "vllm"
    assert found["dataset.output_tokens"].backend is None


def test_findings_are_sentences_with_figures_and_intervals(study: Path) -> None:
    analysis = analyze(study)
    first = analysis.findings[0]
    assert re.match(
        r"Energy per output token depends most on pytorch\.batch_size \(among pytorch configurations\): it explains \d+ % "
        r"of the variance between configurations.*\. From 1 to 32 it falls by \d+ % \(.* J; 95 % interval of the change "
        r"−\d+ % to −\d+ %\)\.$",
        first.text,
    )
    assert first.certainty == "told"
    assert any(
        f.certainty == "not told" and f.parameters == ("vllm.gpu_memory_utilization",) for f in analysis.findings
    )


def test_the_same_study_is_analysed_the_same(study: Path) -> None:
    once = analyze(study).document()
    assert analyze(study).document() == once
    assert analyze(aggregate(study)).document() == once


def test_a_document_is_json_without_nan(study: Path) -> None:
    text = json.dumps(analyze(study).document(), allow_nan=False)
    assert json.loads(text)["figures"][0]["name"] == "j_per_output_token"


def test_one_cycle_gives_no_interval_no_test_no_rank_and_says_so(write_design: WriteDesign) -> None:
    analysis = analyze(write_design(BACKENDS, energy=energy))
    figure = analysis.figure("j_per_output_token")
    for effect in figure.effects:
        assert effect.p is None
        assert effect.rank is None
        assert effect.share is None
        assert effect.contrast.ratio_interval is None
        assert all(level.interval is None for level in effect.levels)
        assert effect.reason is not None
    assert figure.noise_sd is None
    assert {f.certainty for f in analysis.findings} == {"no cycles"}
    assert "one cycle ranks nothing" in analysis.findings[0].text


@pytest.mark.parametrize(
    ("values", "opens"), [(5, "Every configuration ran once,"), (6, "Some configurations ran once,")]
)
def test_a_study_of_which_one_configuration_ran_again_did_not_run_once(values: int, opens: str) -> None:
    figure = FigureAnalysis("j", "energy", "J", "lower", configurations=5, values=values, lowest=1.0, highest=2.0)
    first = next(iter(described([figure], interest=0.01)))
    assert first.text.startswith(opens)


def test_an_interaction_is_found_and_described(write_design: WriteDesign) -> None:
    points = grid(pytorch__batch_size=[1, 8], pytorch__dtype=["float32", "bfloat16"])

    def crossed(point: Mapping[str, Any]) -> float:
        large = point["pytorch.batch_size"] == 8
        return 2.0 - (1.5 if large and point["pytorch.dtype"] == "bfloat16" else 0.0)

    analysis = analyze(write_design(points, energy=crossed, cycles=3, noise=0.02))
    (interaction,) = analysis.figure("j_per_output_token").interactions
    assert interaction.told
    # Of logarithms: (log 4)² / 16 for each of the effects and for the interaction.
    assert interaction.share == pytest.approx(1 / 3, abs=0.02)
    assert [round(cell.mean, 1) for cell in interaction.cells] == [2.0, 2.0, 2.0, 0.5]
    (text,) = [f.text for f in analysis.findings if f.parameters == interaction.parameters]
    assert "−7" in text
    assert "where it is float32" in text or "where pytorch.dtype is float32" in text


def test_keys_that_vary_together_are_one_parameter(write_design: WriteDesign) -> None:
    rows = [{"dataset.n": 10, "dataset.output_tokens": 512}, {"dataset.n": 100, "dataset.output_tokens": 32}]
    points = [{**row, "pytorch.batch_size": size} for row in rows for size in (1, 8)]
    analysis = analyze(write_design(points, energy=lambda p: float(p["dataset.n"])))
    assert [p.name for p in analysis.parameters] == ["dataset.n + dataset.output_tokens", "pytorch.batch_size"]
    assert analysis.parameters[0].values[0] == {"dataset.n": 10, "dataset.output_tokens": 512}


def test_explicit_experiments_take_their_other_values_from_the_base(write_design: WriteDesign) -> None:
    """An explicit experiment names only what it changes; what it shares with the grid is in its configuration."""
    points = [*grid(pytorch__batch_size=[1, 8]), {"pytorch.dtype": "float32"}]
    sections = {"pytorch": {"batch_size": 1, "dtype": "bfloat16"}}
    folder = write_design(
        [{"backend": "pytorch", **p} for p in points],
        energy=lambda p: 1.0 if p.get("pytorch.dtype") else 2.0,
        each=lambda _p, _c: {"sections": sections},
    )
    analysis = analyze(folder)
    assert {p.name: p.values for p in analysis.parameters} == {
        "pytorch.batch_size": (1, 8),
        "pytorch.dtype": ("bfloat16", "float32"),
    }


def test_estimates_are_marked(write_design: WriteDesign) -> None:
    points = grid(pytorch__batch_size=[1, 8])
    folder = write_design(
        points,
        energy=lambda p: 2.0 / p["pytorch.batch_size"],
        speed=lambda p: 100.0 * p["pytorch.batch_size"],
        cycles=3,
        noise=0.01,
        each=lambda _p, _c: {"method": "estimate", "scope": "cpu"},
    )
    analysis = analyze(folder)
    assert analysis.figure("j_per_output_token").estimated
    assert not analysis.figure("tokens_per_s").estimated
    about = {f.figure: f.text for f in analysis.findings}
    text = about["j_per_output_token"]
    assert "Estimated energy per output token" in text
    assert "~2.0" in text
    assert "throughput by ×7" in text or "throughput by ×8" in text  # measured, and without the mark
    assert any(caveat.startswith("~ marks energy that was estimated") for caveat in analysis.caveats)


def test_energy_of_different_methods_is_never_brought_together(write_design: WriteDesign) -> None:
    folder = write_design(
        grid(pytorch__batch_size=[1, 8]),
        speed=lambda p: 100.0 * p["pytorch.batch_size"],
        cycles=3,
        noise=0.01,
        each=lambda p, _c: {"method": "estimate", "scope": "cpu"} if p["pytorch.batch_size"] == 1 else {},
    )
    analysis = analyze(folder)
    figure = analysis.figure("j_per_output_token")
    assert figure.reason is not None
    assert "cpu estimate and gpu counter" in figure.reason
    assert figure.effects == ()
    assert analysis.figure("tokens_per_s").effects
    assert any("was not analysed" in caveat for caveat in analysis.caveats)


def test_what_was_not_measured_is_left_out_and_failures_are_counted(write_design: WriteDesign) -> None:
    failure = Failure(type="OutOfMemory", message="too large")
    folder = write_design(
        grid(a__x=[1, 2, 3], a__y=[1, 2]),
        energy=lambda p: float(p["a.x"]),
        ttft=lambda p: None if p["a.y"] == 2 else 0.1 * p["a.x"],
        cycles=2,
        noise=0.001,
        each=lambda p, _c: {"failure": failure} if p == {"a.x": 3, "a.y": 2} else {},
    )
    analysis = analyze(folder)
    ttft = analysis.figure("ttft_p50_s")
    assert ttft.configurations == 3
    assert [e.parameter for e in ttft.effects] == ["a.x"]
    energy_figure = analysis.figure("j_per_output_token")
    assert energy_figure.configurations == 5
    assert energy_figure.design != "complete"
    assert any(caveat.startswith("2 of 12 runs failed") for caveat in analysis.caveats)
    assert not any(figure.name == "itl_p50_s" for figure in analysis.figures)


def test_throttled_runs_are_a_caveat(write_design: WriteDesign) -> None:
    folder = write_design(
        grid(a__x=[1, 2]),
        energy=lambda p: float(p["a.x"]),
        cycles=2,
        noise=0.01,
        each=lambda p, _c: {"warnings": {"thermal_throttle": "hot"}} if p["a.x"] == 1 else {},
    )
    assert "2 of 4 runs were throttled (`thermal_throttle`)." in analyze(folder).caveats


def test_effects_that_multiply_have_no_interaction(write_design: WriteDesign) -> None:
    folder = write_design(grid(a__x=[1, 2, 4], a__y=[1, 10]), energy=lambda p: 1.0 * p["a.x"] * p["a.y"], cycles=2)
    figure = analyze(folder).figure("j_per_output_token")
    assert figure.interactions[0].share == pytest.approx(0, abs=1e-12)
    effect = figure.effect("a.y")
    assert effect is not None
    assert effect.contrast.ratio == pytest.approx(0.1)
    assert [level.mean for level in effect.levels] == pytest.approx([2, 20])
    assert not any(len(f.parameters) > 1 for f in analyze(folder).findings)


def test_a_figure_that_never_changes_explains_nothing(write_design: WriteDesign) -> None:
    analysis = analyze(write_design(grid(a__x=[1, 2]), energy=lambda _: 1.0, cycles=3))
    assert analysis.figure("j_per_output_token").reason == "it is the same in every run"


def test_a_study_without_a_sweep_has_nothing_to_analyse(write_design: WriteDesign) -> None:
    with pytest.raises(ResultError, match="only one configuration"):
        analyze(write_design([{}], cycles=3))


def test_an_unknown_figure_names_the_nearest(study: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean `tokens_per_s`"):
        analyze(study, figures=["token_per_s"])


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultError):
        analyze(tmp_path)


def test_latencies_of_engines_that_queue_otherwise_are_said_so(write_design: WriteDesign) -> None:
    both = write_design(BACKENDS, energy=energy, ttft=lambda p: 0.1 if p["backend"] == "vllm" else 0.2)
    (caveat,) = [text for text in analyze(both).caveats if "waiting" in text]
    assert caveat.startswith("In the scenario offline an engine that queues requests itself")
    assert not any("waiting" in text for text in analyze(both, figures=["j_per_output_token"]).caveats)


def test_what_matters_by_interactions_alone_is_not_given_a_direction(write_design: WriteDesign) -> None:
    points = [{"pytorch.x": x, "pytorch.y": y, "pytorch.z": z} for x in (1, 2) for y in (1, 2) for z in (1, 2)]

    def energy(point: Mapping[str, Any]) -> float:
        return (1.5 if point["pytorch.x"] == point["pytorch.y"] else 1.0) * point["pytorch.z"]

    found = analyze(write_design(points, energy=energy, cycles=3, noise=0.01, relative=True))
    by_parameters = {f.parameters: f.text for f in found.findings}
    assert ("pytorch.x",) not in by_parameters
    text = by_parameters["pytorch.x", "pytorch.y"]
    assert "+50 %" in text or "+49 %" in text or "+51 %" in text
    assert "−33 %" in text or "−34 %" in text
