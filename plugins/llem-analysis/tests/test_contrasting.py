"""Comparisons of experiments and studies: which pairs, which tests, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from designed_studies import designed_result
from scipy import stats

from llem.errors import ConfigError, ResultError
from llem.results.store import job_directories, read_result
from llem_analysis.commands.compare import contrast_lines
from llem_analysis.comparability import work_differences
from llem_analysis.contrasting import contrast

WriteDesign = Callable[..., Path]
SIZES = [{"pytorch.batch_size": size} for size in (1, 2, 4)]


def energy(point: Mapping[str, Any]) -> float:
    return 4.0 / float(point["pytorch.batch_size"])


def values(folder: Path, size: int) -> list[float]:
    found = [read_result(d) for d in job_directories(folder)]
    return [
        r.energy.headline.j_per_output_token or 0.0
        for r in found
        if r.energy and r.energy.headline and r.identity.point["pytorch.batch_size"] == size
    ]


def test_a_study_is_compared_with_its_first_configuration(write_design: WriteDesign) -> None:
    folder = write_design(SIZES, energy=energy, cycles=3, noise=0.02)
    found = contrast([folder])
    assert [(p.base, p.other) for p in found.pairs] == [
        ("pytorch.batch_size=1", "pytorch.batch_size=2"),
        ("pytorch.batch_size=1", "pytorch.batch_size=4"),
    ]
    comparison = found.pairs[0].figures["j_per_output_token"]
    expected = stats.ttest_ind(values(folder, 2), values(folder, 1), equal_var=False)
    assert comparison.p == pytest.approx(expected.pvalue)
    ps = sorted(p.figures["j_per_output_token"].p or 0 for p in found.pairs)
    assert sorted(p.figures["j_per_output_token"].p_adjusted or 0 for p in found.pairs)[0] == pytest.approx(2 * ps[0])
    assert [(d.key, d.base, d.other) for d in found.pairs[0].configuration] == [("pytorch.batch_size", 1, 2)]


def test_cycles_are_paired_where_the_order_ran_them_together(write_design: WriteDesign) -> None:
    folder = write_design(SIZES, energy=energy, cycles=4, noise=0.02)
    (folder / "manifest.json").write_text(json.dumps({"order": "interleaved"}))
    (pair, _) = contrast([folder]).pairs
    expected = stats.ttest_rel(values(folder, 2), values(folder, 1))
    assert pair.figures["j_per_output_token"].paired
    assert pair.figures["j_per_output_token"].p == pytest.approx(expected.pvalue)


def test_another_baseline_is_named_by_its_settings_or_hash(write_design: WriteDesign) -> None:
    folder = write_design(SIZES, energy=energy)
    by_settings = contrast([folder], baseline="pytorch.batch_size=4")
    assert {p.base for p in by_settings.pairs} == {"pytorch.batch_size=4"}
    config_hash = read_result(folder / "experiments" / "00003").identity.config_hash
    assert contrast([folder], baseline=config_hash[:12]) == by_settings
    with pytest.raises(ConfigError, match="no configuration matches"):
        contrast([folder], baseline="pytorch.batch_size=3")


def test_one_cycle_gives_a_difference_without_an_interval(write_design: WriteDesign) -> None:
    comparison = contrast([write_design(SIZES, energy=energy)]).pairs[0].figures["j_per_output_token"]
    assert comparison.ratio == 0.5
    assert comparison.difference_interval is None
    assert comparison.p is None
    assert comparison.reason is not None


def test_two_studies_are_matched_by_configuration(write_design: WriteDesign) -> None:
    before = write_design(SIZES, energy=energy, cycles=3, noise=0.01, name="before")
    after = write_design(SIZES[1:], energy=lambda p: 0.8 * energy(p), cycles=3, noise=0.01, name="after", seed=2)
    found = contrast([before, after])
    assert found.matched_by == "configuration"
    assert [p.base for p in found.pairs] == ["pytorch.batch_size=2", "pytorch.batch_size=4"]
    assert found.unmatched == ("pytorch.batch_size=1",)
    assert not found.pairs[0].figures["j_per_output_token"].paired
    assert found.overall["j_per_output_token"].ratio == pytest.approx(0.8, abs=0.02)
    assert found.overall["j_per_output_token"].pairs == 2


def test_studies_of_other_configurations_are_matched_by_what_they_vary(write_design: WriteDesign) -> None:
    before = write_design(SIZES, energy=energy, name="before", cycles=2, noise=0.01)
    changed = {"sections": {"pytorch": {"dtype": "bfloat16"}}}
    after = write_design(
        SIZES, energy=lambda p: energy(p) / 2, name="after", cycles=2, noise=0.01, seed=5, each=lambda _p, _c: changed
    )
    found = contrast([before, after])
    assert found.matched_by == "the settings that they vary"
    assert len(found.pairs) == 3
    assert found.pairs[0].configuration[0].key == "pytorch.dtype"
    overall = found.overall["j_per_output_token"]
    assert overall.interval is not None
    assert overall.interval.low < 0.5 < overall.interval.high
    assert overall.p is not None
    assert overall.p < 0.001


def test_an_experiment_stands_for_all_its_cycles(write_design: WriteDesign) -> None:
    folder = write_design(SIZES, energy=energy, cycles=3, noise=0.01)
    jobs = sorted((folder / "experiments").iterdir())
    (pair,) = contrast([jobs[0], jobs[1] / "result.json"]).pairs
    assert (pair.base, pair.other) == ("pytorch.batch_size=1", "pytorch.batch_size=2")
    assert pair.figures["j_per_output_token"].n_base == 3
    assert len(contrast([jobs[1], folder]).pairs) == 2, "an experiment against all others of a study"


def test_an_estimate_against_a_measurement_is_refused(write_design: WriteDesign) -> None:
    folder = write_design(
        SIZES[:2],
        energy=energy,
        speed=lambda p: 100.0,
        each=lambda p, _: {"method": "estimate", "scope": "cpu"} if p["pytorch.batch_size"] == 2 else {},
    )
    (pair,) = contrast([folder]).pairs
    assert "j_per_output_token" not in pair.figures
    assert "tokens_per_s" in pair.figures
    assert [(d.code, d.refused) for d in pair.objections] == [("estimate_against_measured", "energy")]
    assert pair.estimated
    (pair,) = contrast([folder], anyway=True).pairs
    assert "j_per_output_token" in pair.figures
    assert pair.objections


def test_other_prompts_are_refused_between_studies(write_design: WriteDesign) -> None:
    before = write_design(SIZES, energy=energy, name="before")
    after = write_design(SIZES, energy=energy, name="after", each=lambda _p, _c: {"dataset_sha256": "e" * 64})
    found = contrast([before, after])
    assert all(not pair.figures for pair in found.pairs)
    assert found.pairs[0].objections[0].code == "other_dataset"
    assert contrast([before, after], anyway=True).pairs[0].figures


def test_within_a_study_that_varies_its_prompts_they_are_a_warning(write_design: WriteDesign) -> None:
    folder = write_design(SIZES, energy=energy, each=lambda p, _: {"dataset_sha256": str(p["pytorch.batch_size"]) * 64})
    pair = contrast([folder]).pairs[0]
    assert pair.figures
    assert [(d.code, d.refused) for d in pair.objections] == [("other_dataset", None)]


def test_other_machines_and_throttling_are_warnings(write_design: WriteDesign) -> None:
    before = write_design(SIZES, energy=energy, name="before", each=lambda _p, _c: _on("a", "535.1"))
    after = write_design(
        SIZES,
        energy=energy,
        name="after",
        each=lambda _p, _c: {**_on("b", "550.2"), "warnings": {"thermal_throttle": "hot"}},
    )
    pair = contrast([before, after]).pairs[0]
    assert [d.code for d in pair.objections] == ["other_machine", "thermal_throttle"]
    assert pair.figures
    assert [(d.key, d.base, d.other) for d in pair.environment] == [
        ("machine.node", "a", "b"),
        ("meters.nvml.driver", "535.1", "550.2"),
    ]


def test_another_gpu_is_a_warning(write_design: WriteDesign) -> None:
    folder = write_design(SIZES[:2], energy=energy)
    for job, name in zip(sorted((folder / "experiments").iterdir()), ("NVIDIA A100", "NVIDIA H100"), strict=True):
        data = json.loads((job / "result.json").read_text())
        device = {"device": "GPU-1", "name": name, "scope": "gpu", "sampler": "nvml", "method": "counter"}
        data["energy"]["devices"] = [{**device, "energy_j": 1.0, "mean_w": 1.0}]
        (job / "result.json").write_text(json.dumps(data))
    (pair,) = contrast([folder]).pairs
    assert [d.code for d in pair.objections] == ["other_gpu"]
    assert "1 x NVIDIA A100; 1 x NVIDIA H100" in pair.objections[0].text
    assert ("gpus", "1 x NVIDIA A100", "1 x NVIDIA H100") in [(d.key, d.base, d.other) for d in pair.environment]


def test_studies_without_anything_in_common_are_refused(write_design: WriteDesign) -> None:
    before = write_design(SIZES, energy=energy, name="before")
    after = write_design([{"vllm.x": 1}, {"vllm.x": 2}], energy=lambda _: 1.0, name="after")
    with pytest.raises(ResultError, match="no configuration and no settings in common"):
        contrast([before, after])


def _on(node: str, driver: str) -> dict[str, Any]:
    return {"environment": {"machine": {"node": node}, "meters": {"nvml": {"driver": driver}}}}


def test_two_backends_are_not_told_apart_by_each_option_that_the_other_lacks(write_design: WriteDesign) -> None:
    points = [
        *({"backend": "pytorch", "pytorch.batch_size": size} for size in (1, 2)),
        *({"backend": "vllm", "vllm.max_num_seqs": size} for size in (1, 2)),
    ]
    folder = write_design(
        points, each=lambda p, _: {"environment": {"node": "one", "machine": {"node": f"container of {p['backend']}"}}}
    )
    found = contrast([folder], baseline="batch_size=2")
    pair = found.pairs[-1]
    assert (pair.base, pair.other) == ("backend=pytorch, batch_size=2", "backend=vllm, max_num_seqs=2")
    assert [(d.key, d.lacking) for d in pair.configuration] == [
        ("backend", False),
        ("pytorch.batch_size", True),
        ("vllm.max_num_seqs", True),
    ]
    assert pair.objections == (), "neither has latencies"
    assert pair.environment == (), "a container's name for the machine is none"
    lines = list(contrast_lines(found))
    assert "  configuration: and 2 keys that only one of them has (--json lists all)" in lines
    assert "  configuration: pytorch.batch_size: 2 → 1" in lines


def test_latencies_of_engines_that_queue_otherwise_are_a_doubt(write_design: WriteDesign) -> None:
    points = [{"backend": "pytorch"}, {"backend": "vllm"}]
    (pair,) = contrast([write_design(points, ttft=lambda _: 0.1)]).pairs
    assert [(objection.code, objection.refused) for objection in pair.objections] == [("other_queue", None)]
    assert "measurement.scenario: single_stream" in pair.objections[0].text


def test_different_work_leads_and_is_in_no_geometric_mean(write_design: WriteDesign) -> None:
    """Of three pairs one has another dataset size and batch: two are averaged, and it is said which is not, and why."""
    before = write_design(SIZES, energy=energy, cycles=3, noise=0.01, name="before")

    def each(point: Mapping[str, Any], _cycle: int) -> dict[str, Any]:
        dtype = {"pytorch": {"dtype": "bfloat16"}}
        longer = point["pytorch.batch_size"] == 4
        return {"sections": {"dataset": {"name": "synthetic", "n": 8, "output_tokens": 32 if longer else 16}, **dtype}}

    after = write_design(SIZES, energy=lambda p: 0.5 * energy(p), cycles=3, noise=0.01, name="after", seed=2, each=each)
    found = contrast([before, after])
    assert [[d.key for d in pair.work] for pair in found.pairs] == [[], [], ["dataset.output_tokens"]]
    assert found.overall["j_per_output_token"].pairs == 2
    lines = list(contrast_lines(found))
    assert lines[0] == "different work in 1 of 3 pairs: they differ in dataset.output_tokens"
    assert "  different work: dataset.output_tokens: 16 → 32" in lines
    assert any(
        "1 of 3 pairs did different work (dataset.output_tokens) and is in no geometric mean" in x for x in lines
    )


@pytest.mark.parametrize(
    ("work", "sections", "told"),
    [
        ("fixed_length", {"load": {"rate_rps": 4.0}}, []),
        ("fixed_length", {}, ["input tokens per request", "output tokens per request"]),
        ("natural_length", {"load": {"rate_rps": 4.0}}, ["input tokens per request", "output tokens per request"]),
    ],
)
def test_requests_that_the_windows_edges_cut_are_no_other_work(
    work: str, sections: Mapping[str, Any], told: list[str]
) -> None:
    """Under load tokens count where they fall into the window: with a fixed length their number for each request says nothing."""
    base = designed_result({"backend": "pytorch"}, energy=1.0, sections=sections)
    base = base.model_copy(update={"work": work})
    assert base.tokens is not None
    cut = base.tokens.model_copy(update={"input": base.tokens.input + 4, "output": base.tokens.output - 40})
    assert [one.key for one in work_differences(base, base.model_copy(update={"tokens": cut}))] == told


def test_studies_of_another_model_have_no_geometric_mean_at_all(write_design: WriteDesign) -> None:
    before = write_design(SIZES, energy=energy, name="before", cycles=3, noise=0.01)
    other = {"sections": {"model": {"source": "random:tiny-gpt2", "revision": None}}}
    after = write_design(SIZES, energy=energy, name="after", cycles=3, noise=0.01, seed=2, each=lambda _p, _c: other)
    found = contrast([before, after])
    assert all([d.key for d in pair.work] == ["model"] for pair in found.pairs)
    assert found.overall == {}
    assert "in geometric mean" not in "\n".join(contrast_lines(found))


def test_a_batch_is_other_work_only_where_it_is_not_what_is_compared(write_design: WriteDesign) -> None:
    (pair, _) = contrast([write_design(SIZES, energy=energy)]).pairs
    assert pair.work == (), "the study varies its batch size: that is what is compared"
    plain = [{"pytorch.dtype": name} for name in ("float32", "bfloat16")]
    before = write_design(plain, name="before")
    after = write_design(
        plain, name="after", each=lambda p, _: {"sections": {"pytorch": {"batch_size": 8, **_dtype(p)}}}
    )
    job = next(iter(job_directories(before)))
    data = json.loads((job / "result.json").read_text())
    for job in job_directories(before):
        data = json.loads((job / "result.json").read_text())
        data["config"]["pytorch"]["batch_size"] = 1
        (job / "result.json").write_text(json.dumps(data))
    assert [[d.key for d in pair.work] for pair in contrast([before, after]).pairs] == [["pytorch.batch_size"]] * 2


def _dtype(point: Mapping[str, Any]) -> dict[str, Any]:
    return {"dtype": point["pytorch.dtype"]}


def test_a_percentile_of_too_few_requests_is_not_compared_and_it_is_said_why(write_design: WriteDesign) -> None:
    folder = write_design(SIZES, energy=energy, ttft=lambda _: 0.1, cycles=3, noise=0.01)
    found = contrast([folder], figures=["ttft_p50_s", "ttft_p99_s"])
    assert all(set(pair.figures) == {"ttft_p50_s"} for pair in found.pairs)
    text = "\n".join(contrast_lines(found))
    assert "not compared where p99 takes 1,000 observations, and there are 8" in text


def test_a_warning_says_on_which_side_it_is_where_both_have_one_name(write_design: WriteDesign) -> None:
    def hot(_point: Any, _cycle: int) -> dict[str, Any]:
        return {"warnings": {"thermal_throttle": "hot"}}

    quiet = write_design(SIZES[:1], energy=energy, cycles=3, noise=0.02)
    throttled = write_design(SIZES[:1], energy=energy, cycles=3, noise=0.02, each=hot, name="throttled")
    lines = [line for line in contrast_lines(contrast([quiet, throttled])) if "(`thermal_throttle`)" in line]
    assert [line.split(",")[0] for line in lines] == ["  warning: of the second"]


def test_a_warning_of_every_pair_is_said_once(write_design: WriteDesign) -> None:
    """The baseline was throttled, which concerns each pair; another one was too, which concerns its own."""

    def hot(point: Any, _cycle: int) -> dict[str, Any]:
        return {"warnings": {"thermal_throttle": "hot"} if point["pytorch.batch_size"] in (1, 4) else {}}

    lines = list(contrast_lines(contrast([write_design(SIZES, energy=energy, cycles=3, noise=0.02, each=hot)])))
    told = [number for number, line in enumerate(lines) if "(`thermal_throttle`)" in line]
    assert [lines[number].split(",")[0] for number in told] == ["  warning: of the first", "  warning: of the second"]
    assert lines[told[0] - 1] == "in each of 2 pairs:"
    assert told[1] > lines.index("pytorch.batch_size=1 → pytorch.batch_size=4")
