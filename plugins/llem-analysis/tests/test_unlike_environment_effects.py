"""Studies whose experiments ran on nodes that are not alike: nothing is averaged across them, and everything says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from llem.results.facts import CpuFacts, DeviceFacts, Facts
from llem.results.rows import study_rows
from llem_analysis.candidates import candidates
from llem_analysis.comparison import compare_configurations
from llem_analysis.configurations import summarise
from llem_analysis.contrasting import contrast
from llem_analysis.design import ENVIRONMENT, configured
from llem_analysis.loading import load_rows
from llem_analysis.metric_names import METRIC_SPECS
from llem_analysis.picking import pick
from llem_analysis.study_effects import analyze

WriteDesign = Callable[..., Path]
A100, H200 = "NVIDIA A100", "NVIDIA H200"
POINTS = [{"testbed.a": a, "testbed.b": b} for a in (1, 2) for b in (1, 2)]


def on(gpu: str, driver: str = "550.1", node: str | None = None) -> dict[str, Any]:
    return {
        "environment": {
            "node": node or gpu.rpartition(" ")[2].lower(),
            "gpu": {"models": [gpu], "driver": driver},
            "cpu": {"model": "EPYC"},
        }
    }


def by_cycle(_point: Mapping[str, Any], cycle: int) -> dict[str, Any]:
    """Cycles 1 to 3 on one kind of node, 4 to 6 on another, which takes half the energy."""
    return on(A100) if cycle <= 3 else {**on(H200), "energy": 0.5 + 0.01 * cycle}


def test_the_kind_of_node_counts_as_a_parameter(write_design: WriteDesign) -> None:
    folder = write_design(POINTS, energy=lambda p: 1.0 + 0.1 * p["testbed.a"], noise=0.001, cycles=6, each=by_cycle)
    found = analyze(folder, figures=["j_per_output_token"])
    (figure,) = found.figures
    assert found.configurations == 4
    assert {p.name: p.values for p in found.parameters}["environment"] == (A100, H200)
    effects = {effect.parameter: effect for effect in figure.effects}
    assert effects["environment"].rank == 1
    assert effects["environment"].share > 0.9
    assert {level.value: level.configurations for level in effects["environment"].levels} == {A100: 4, H200: 4}
    assert any("environments that differ in GPU" in text and f"{A100}: 12 runs" in text for text in found.caveats)


def test_a_kind_of_node_that_goes_with_a_parameter_cannot_be_told_from_it(write_design: WriteDesign) -> None:
    folder = write_design(
        POINTS,
        energy=lambda p: 1.0 + 0.1 * p["testbed.a"],
        noise=0.001,
        cycles=3,
        each=lambda p, _: on(A100 if p["testbed.a"] == 1 else H200),
    )
    found = analyze(folder, figures=["j_per_output_token"])
    assert "testbed.a + environment" in [p.name for p in found.parameters]


def test_nodes_that_are_alike_and_results_that_tell_nothing_make_no_parameter(write_design: WriteDesign) -> None:
    folder = write_design(
        POINTS,
        energy=lambda p: 1.0 + 0.1 * p["testbed.a"],
        noise=0.001,
        cycles=3,
        each=lambda _, cycle: {} if cycle == 1 else on(A100, node=f"node{cycle}"),
    )
    found = analyze(folder, figures=["j_per_output_token"])
    assert [p.name for p in found.parameters] == ["testbed.a", "testbed.b"]
    assert not any("nodes" in text for text in found.caveats)


def test_choices_are_made_among_figures_of_one_kind_of_node(write_design: WriteDesign) -> None:
    folder = write_design(POINTS, energy=lambda p: 1.0 + 0.1 * p["testbed.a"], noise=0.001, cycles=6, each=by_cycle)
    found = candidates(load_rows(folder), [METRIC_SPECS["j_per_output_token"]])
    assert len(found) == 8
    assert {one.figures["j_per_output_token"].n for one in found} == {3}
    best = pick(folder)
    assert best.settings["environment"] == H200
    assert any(f"its figures in that of {H200}" in caution for caution in best.cautions)


@pytest.mark.parametrize(
    ("other", "code", "says"),
    [
        (on(H200), "other_gpu", f"differ in GPU ({A100}; {H200})"),
        (on(A100, driver="560.2"), "unlike_environments", "differ in driver (driver 550.1; driver 560.2)"),
    ],
)
def test_two_studies_on_unlike_nodes_are_matched_and_doubted(
    write_design: WriteDesign, other: dict[str, Any], code: str, says: str
) -> None:
    first = write_design(POINTS, noise=0.01, cycles=3, name="first", each=lambda *_: on(A100))
    second = write_design(POINTS, noise=0.01, cycles=3, seed=2, name="second", each=lambda *_: other)
    found = contrast([first, second], figures=["j_per_output_token"])
    assert len(found.pairs) == 4
    assert not found.unmatched
    for pair in found.pairs:
        assert any(objection.code == code and says in objection.text for objection in pair.objections)
        assert says in str(pair.figures["j_per_output_token"].unlike)


def test_of_a_study_on_two_kinds_of_node_the_like_one_is_compared(write_design: WriteDesign) -> None:
    mixed = write_design(POINTS, noise=0.01, cycles=6, name="mixed", each=by_cycle)
    other = write_design(POINTS, energy=lambda _: 0.55, noise=0.01, cycles=3, name="other", each=lambda *_: on(H200))
    found = contrast([other, mixed], figures=["j_per_output_token"])
    assert len(found.pairs) == 4
    for pair in found.pairs:
        assert pair.figures["j_per_output_token"].unlike is None
        assert f"environment={H200}" in pair.other


def test_studies_without_a_common_configuration_are_matched_by_what_they_varied_alone(
    write_design: WriteDesign,
) -> None:
    def each(point: Mapping[str, Any], cycle: int) -> dict[str, Any]:
        return {**by_cycle(point, cycle), "sections": {"testbed": {"c": 1}}}

    mixed = write_design(POINTS, noise=0.01, cycles=6, name="mixed", each=each)
    other = write_design(POINTS, noise=0.01, cycles=3, name="other", each=lambda *_: on(H200))
    found = contrast([other, mixed], figures=["j_per_output_token"])
    assert found.matched_by == "the settings that they vary"
    assert len(found.pairs) == 4
    assert all(f"environment={H200}" in pair.other for pair in found.pairs)


CARD = DeviceFacts(id="GPU-1", model=H200, driver="550.1", power_limit_w=700.0, in_use=True)
FACTS = Facts(
    devices=[CARD],
    cpu=CpuFacts(model="EPYC 9", governor="performance"),
    versions={"llem": "1.0", "torch": "2.8"},
    dataset_sha256="d" * 64,
)


@pytest.mark.parametrize(
    ("update", "told"),
    [
        ({"devices": [CARD.model_copy(update={"power_limit_w": 400.0})]}, ("power limit 700 W", "power limit 400 W")),
        (
            {"cpu": FACTS.cpu.model_copy(update={"governor": "powersave"})},
            ("governor performance", "governor powersave"),
        ),
        ({"versions": {"llem": "1.0", "torch": "2.9"}}, ("torch 2.8", "torch 2.9")),
        ({"dataset_sha256": "e" * 64}, ("dataset ddddddddd", "dataset eeeeeeeee")),
    ],
)
def test_any_fact_that_cycles_differ_in_is_a_setting_of_its_own(
    make_result: Any, write_study: Any, update: dict[str, Any], told: tuple[str, str]
) -> None:
    other = FACTS.model_copy(update=update)
    facts = {1: other, 2: FACTS, 3: FACTS}
    folder = write_study(
        *(
            make_result(cycle=c, position=c, tokens_per_s=100.0 + c).model_copy(update={"facts": facts[c]})
            for c in (1, 2, 3)
        )
    )
    settings = {str(c.setting(ENVIRONMENT)) for c in configured(study_rows(folder))}
    assert len(settings) == 2
    assert all(any(text in setting for setting in settings) for text in told)


def test_a_comparison_of_configurations_on_unlike_nodes_says_so(make_result: Any, write_study: Any) -> None:
    def ran(gpu: str, name: str, first: int, middle: float) -> Any:
        return (
            make_result(
                cycle=c, position=first + c, config_hash=name * 64, tokens_per_s=middle * (1 + c * c / 90)
            ).model_copy(update=on(gpu))
            for c in (1, 2, 3)
        )

    folder = write_study(*ran(A100, "a", 0, 100.0), *ran(H200, "b", 3, 200.0), *ran(A100, "c", 6, 150.0))
    base, *others = summarise(study_rows(folder))
    apart, alike = compare_configurations(base, others, "tokens_per_s", "interleaved")
    assert apart.unlike is not None
    assert f"differ in GPU ({A100}; {H200})" in apart.unlike
    assert alike.unlike is None
    assert alike.p_adjusted is not None
    with pytest.raises(ValueError, match="has no window_s_at_all"):
        compare_configurations(base, others, "window_s_at_all", "interleaved")
