"""From a study to its points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llem.config.compose import Composer
from llem.config.identity import config_hash
from llem.errors import ConfigError, PluginError
from llem.plugin_api import BackendSpec
from llem.plugins import default_registry
from llem.specs.kinds import SCENARIOS
from llem.sweep import Sweep

SweepOf = Callable[..., Sweep]
Backends = Mapping[str, BackendSpec]


def values(sweep: Sweep) -> list[dict[str, Any]]:
    return [dict(point.values) for point in sweep]


def refusal(sweep_of: SweepOf, **study: Any) -> str:
    with pytest.raises(ConfigError) as error:
        list(sweep_of(**study))
    return str(error.value)


def test_a_study_without_a_sweep_is_one_experiment(sweep_of: SweepOf) -> None:
    sweep = sweep_of(dataset={"n": 5})
    assert (sweep.size, len(sweep), values(sweep)) == (1, 1, [{}])
    assert next(iter(sweep)).config.dataset.n == 5


def test_axes_are_multiplied_and_the_last_one_varies_fastest(sweep_of: SweepOf) -> None:
    sweep = sweep_of(sweep={"alpha.batch_size": [1, 8], "dataset.output_tokens": [16, 32, 64]})
    expected = list(product([1, 8], [16, 32, 64]))
    assert [(p.config.options.batch_size, p.config.dataset.output_tokens) for p in sweep] == expected  # type: ignore[attr-defined]
    assert values(sweep)[1] == {"alpha.batch_size": 1, "dataset.output_tokens": 32}


def test_a_point_keeps_what_the_base_says_of_the_same_section(sweep_of: SweepOf) -> None:
    sweep = sweep_of(
        alpha={"share": 0.25}, dataset={"n": 7}, sweep={"alpha.batch_size": [2], "dataset.output_tokens": [9]}
    )
    config = sweep.point(0).config
    assert config.options.model_dump() == {"batch_size": 2, "share": 0.25, "mode": "exact", "seed_of_fast": 0}
    assert (config.dataset.n, config.dataset.output_tokens) == (7, 9)


def test_a_scoped_axis_varies_the_points_of_its_backend_only(sweep_of: SweepOf) -> None:
    sweep = sweep_of(
        sweep={"backend": ["alpha", "beta"], "alpha.batch_size": [1, 2], "beta.blocks": [3, 4, 5], "dataset.n": [1, 2]}
    )
    points = [
        (p.backend, p.values.get("alpha.batch_size"), p.values.get("beta.blocks"), p.values["dataset.n"]) for p in sweep
    ]
    assert points == [("alpha", b, None, n) for b in (1, 2) for n in (1, 2)] + [
        ("beta", None, b, n) for b in (3, 4, 5) for n in (1, 2)
    ]


def test_sections_of_other_backends_in_the_base_do_no_harm(sweep_of: SweepOf) -> None:
    sweep = sweep_of(alpha={"batch_size": 3}, beta={"blocks": 9}, sweep={"backend": ["alpha", "beta"]})
    assert [p.config.options.model_dump().get("blocks") for p in sweep] == [None, 9]


def test_a_group_varies_its_keys_together_and_is_crossed_with_axes(sweep_of: SweepOf) -> None:
    rows = [{"dataset.n": 10, "dataset.output_tokens": 512}, {"dataset.n": 100, "dataset.output_tokens": 32}]
    sweep = sweep_of(sweep={"alpha.batch_size": [1, 2], "groups": rows})
    assert values(sweep) == [{"alpha.batch_size": b, **row} for b in (1, 2) for row in rows]


def test_two_named_groups_are_crossed_with_each_other(sweep_of: SweepOf) -> None:
    sweep = sweep_of(
        sweep={
            "groups": {
                "load": [{"dataset.n": 1, "dataset.output_tokens": 8}, {"dataset.n": 2, "dataset.output_tokens": 4}],
                "kind": [{"alpha.mode": "fast", "alpha.batch_size": 4}, {"alpha.mode": "exact", "alpha.batch_size": 1}],
            }
        }
    )
    assert len(sweep) == 4


def test_a_group_may_choose_the_backend_and_rows_without_one_have_the_base_s(sweep_of: SweepOf) -> None:
    sweep = sweep_of(sweep={"groups": [{"backend": "beta", "beta.blocks": 2}, {"alpha.batch_size": 5}]})
    assert [(p.backend, p.config.options.model_dump()) for p in sweep] == [
        ("beta", {"blocks": 2}),
        ("alpha", {"batch_size": 5, "share": 0.5, "mode": "exact", "seed_of_fast": 0}),
    ]


def test_explicit_experiments_come_after_the_grid_each_over_the_base(sweep_of: SweepOf) -> None:
    sweep = sweep_of(
        dataset={"n": 5},
        sweep={"alpha.batch_size": [1, 2]},
        experiments=[{"backend": "beta", "beta": {"blocks": 8}}, {"dataset.output_tokens": 3}],
    )
    assert [(p.backend, p.config.dataset.n, p.config.dataset.output_tokens) for p in sweep] == [
        ("alpha", 5, 128),
        ("alpha", 5, 128),
        ("beta", 5, 128),
        ("alpha", 5, 3),
    ]
    assert values(sweep)[2] == {"backend": "beta", "beta.blocks": 8}


def test_explicit_experiments_alone_make_no_grid(sweep_of: SweepOf) -> None:
    assert len(sweep_of(experiments=[{"dataset.n": 1}, {"dataset.n": 2}])) == 2


def test_points_of_one_identity_are_run_once_and_the_pair_is_named(sweep_of: SweepOf) -> None:
    sweep = sweep_of(sweep={"alpha.seed_of_fast": [1, 2, 3], "alpha.mode": ["exact", "fast"]})
    assert (sweep.size, len(sweep)) == (6, 4)
    assert sweep.duplicates.count == 2
    first = sweep.duplicates.named[0]
    assert first.kept_values == {"alpha.seed_of_fast": 1, "alpha.mode": "exact"}
    assert first.dropped_values == {"alpha.seed_of_fast": 2, "alpha.mode": "exact"}
    assert first.config_hash == sweep.point(0).config_hash == sweep.point(2).config_hash


def test_an_explicit_experiment_that_is_in_the_grid_is_a_duplicate(sweep_of: SweepOf) -> None:
    sweep = sweep_of(sweep={"dataset.n": [1, 2]}, experiments=[{"dataset": {"n": 2}}])
    assert (len(sweep), sweep.duplicates.count) == (2, 1)


def test_1_and_1_0_and_a_preset_and_its_values_are_one_experiment(sweep_of: SweepOf) -> None:
    assert len(sweep_of(sweep={"alpha.share": [1, 1.0]})) == 1
    assert len(sweep_of(sweep={"decoding.temperature": [0, 0.0, None]})) == 1
    both = [{"decoding.preset": "precise"}, {"decoding.temperature": 0.3, "decoding.top_p": 0.9}]
    assert len(sweep_of(experiments=both)) == 1


def test_many_duplicates_are_counted_and_only_some_are_named(sweep_of: SweepOf) -> None:
    sweep = sweep_of(sweep={"alpha.seed_of_fast": {"min": 0, "max": 999, "num": 1000}})
    assert (len(sweep), sweep.duplicates.count, len(sweep.duplicates.named)) == (1, 999, 20)


def test_the_identity_of_a_point_is_that_of_its_configuration(sweep_of: SweepOf) -> None:
    sweep = sweep_of(
        sweep={"decoding.temperature": [0, 0.7], "dataset.output_tokens": [128, 64], "limits.timeout_s": [10, 3600]}
    )
    assert [config_hash(p.config) for p in sweep] == [p.config_hash for p in sweep]
    assert [bytes.fromhex(p.config_hash) for p in sweep] == list(sweep.digests())
    assert len(sweep) == 4, "limits are no part of an experiment's identity"


def test_every_invalid_point_is_reported_at_once_with_what_causes_it(sweep_of: SweepOf) -> None:
    text = refusal(
        sweep_of, sweep={"alpha.mode": ["fast", "exact"], "alpha.batch_size": [1, 200, 500], "dataset.n": [0, 3]}
    )
    assert "8 of 12 points of the study are not valid" in text
    assert "the mode fast takes batches of at most 100" in text
    assert 'alpha.mode="fast", alpha.batch_size=200' in text
    assert "alpha.batch_size=500" in text
    assert "`dataset.n`" in text
    assert "found 0" in text


def test_one_wrong_value_is_told_once_however_many_points_have_it(sweep_of: SweepOf) -> None:
    text = refusal(sweep_of, sweep={"alpha.batch_size": [1, -1], "dataset.n": {"min": 1, "max": 5000, "num": 5000}})
    assert text.count("found -1") == 1
    assert "5,000 of 10,000 points" in text


def test_a_sweep_of_no_points_is_refused(sweep_of: SweepOf) -> None:
    for sweep in (
        {"dataset.n": []},
        {"dataset.n": {"min": 1, "max": 2, "num": 0}},
        {"groups": []},
        {"groups": {"a": []}},
    ):
        assert "0 points" in refusal(sweep_of, sweep=sweep)


def test_a_sweep_of_a_billion_points_is_refused_with_the_count_before_it_is_expanded(sweep_of: SweepOf) -> None:
    axis = {"min": 1, "max": 1000, "num": 1000}
    text = refusal(sweep_of, sweep={"dataset.n": axis, "dataset.output_tokens": axis, "alpha.batch_size": axis})
    assert "1,000,000,000 points" in text
    assert "execution.max_experiments" in text


def test_one_key_in_two_dimensions_is_refused(sweep_of: SweepOf) -> None:
    text = refusal(sweep_of, sweep={"dataset.n": [1], "groups": [{"dataset.n": 2}]})
    assert "`dataset.n`" in text
    assert "keep it in one of them" in text


def test_single_stream_on_a_backend_that_cannot_stream_is_refused(sweep_of: SweepOf) -> None:
    text = refusal(sweep_of, sweep={"backend": ["alpha", "beta"], "measurement.scenario": ["offline", "single_stream"]})
    assert "1 of 4 points" in text
    assert "beta" in text


def test_a_backend_that_is_not_installed_is_named(sweep_of: SweepOf) -> None:
    with pytest.raises(PluginError, match="alpah"):
        sweep_of(sweep={"backend": ["alpha", "alpah"]})


def test_a_point_can_be_asked_for_by_its_number(sweep_of: SweepOf) -> None:
    sweep = sweep_of(sweep={"backend": ["alpha", "beta"], "dataset.n": [1, 2, 3]}, experiments=[{"dataset.n": 9}])
    assert [sweep.point(i).values for i in range(sweep.size)] == values(sweep)
    with pytest.raises(IndexError):
        sweep.point(sweep.size)


AXES = {
    "alpha.batch_size": [1, 2, 3, 4],
    "alpha.share": [0.1, 0.5, 0.9],
    "alpha.mode": ["fast", "exact"],
    "alpha.seed_of_fast": [0, 1],
    "dataset.n": [1, 2, 3],
    "decoding.temperature": [0, 0.5, 1.0],
    "decoding.seed": [1, 2],
    "baseline.enabled": [True, False],
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.dictionaries(st.sampled_from(sorted(AXES)), st.integers(1, 3), min_size=1, max_size=5))
def test_expansion_agrees_with_composing_each_point_by_itself(
    sweep_of: SweepOf, backends: Mapping[str, BackendSpec], chosen: dict[str, int]
) -> None:
    axes = {key: AXES[key][:count] for key, count in chosen.items()}
    sweep = sweep_of(sweep=axes)
    composer = Composer(backends, default_registry()[SCENARIOS])
    hashes = []
    for row in product(*axes.values()):
        document: dict[str, Any] = {"model": {"source": "random:tiny-llama"}, "backend": "alpha"}
        for key, value in zip(axes, row, strict=True):
            section, field = key.split(".")
            document.setdefault(section, {})[field] = value
        hashes.append(config_hash(composer.compose(document)))
    assert sweep.size == len(hashes)
    assert [p.config_hash for p in sweep] == list(dict.fromkeys(hashes))
    assert sweep.duplicates.count == len(hashes) - len(set(hashes))


def test_batch_sizes_that_the_prompts_cannot_fill_are_one_experiment(sweep_of: SweepOf, fitting: Backends) -> None:
    sizes = [64, 100, 128, 256, 512]
    plain = sweep_of(dataset={"n": 100}, sweep={"alpha.batch_size": sizes})
    sweep = sweep_of(fitting, dataset={"n": 100}, sweep={"alpha.batch_size": sizes})
    assert [point.values["alpha.batch_size"] for point in sweep] == [64, 100]
    assert [point.config_hash for point in sweep] == [plain.point(0).config_hash, plain.point(1).config_hash]
    assert sweep.duplicates.count == 3
    assert sweep.duplicates.named[0].kept_values == {"alpha.batch_size": 100}
    assert sweep.duplicates.named[0].dropped_values == {"alpha.batch_size": 128}


def test_each_number_of_prompts_has_its_own_largest_batch(sweep_of: SweepOf, fitting: Backends) -> None:
    for axes in (
        {"dataset.n": [2, 8], "alpha.batch_size": [1, 2, 4, 8, 16]},
        {"alpha.batch_size": [1, 2, 4, 8, 16], "dataset.n": [2, 8]},
    ):
        sweep = sweep_of(fitting, sweep=axes)
        found = {(point.config.dataset.n, point.config.options.batch_size) for point in sweep}
        assert found == {(2, 1), (2, 2), (8, 1), (8, 2), (8, 4), (8, 8)}
        assert len(sweep) == len(found)


def test_one_request_at_a_time_has_one_batch_size(sweep_of: SweepOf, fitting: Backends) -> None:
    axes = {"measurement.scenario": ["offline", "single_stream"], "alpha.batch_size": [1, 4]}
    sweep = sweep_of(fitting, dataset={"n": 8}, sweep=axes)
    found = [(point.config.measurement.scenario, point.config.options.batch_size) for point in sweep]
    assert found == [("offline", 1), ("offline", 4), ("single_stream", 1)]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.lists(st.integers(1, 12), min_size=1, max_size=3, unique=True),
    sizes=st.lists(st.integers(1, 16), min_size=1, max_size=4, unique=True),
    first=st.booleans(),
)
def test_fitted_expansion_agrees_with_composing_each_point_by_itself(
    sweep_of: SweepOf, fitting: Backends, n: list[int], sizes: list[int], first: bool
) -> None:
    axes = {"dataset.n": n, "alpha.batch_size": sizes}
    sweep = sweep_of(fitting, sweep=axes if first else dict(reversed(axes.items())))
    composer = Composer(fitting, default_registry()[SCENARIOS])
    hashes = {
        config_hash(
            composer.compose(
                {"model": "random:tiny-llama", "backend": "alpha", "dataset": {"n": one}, "alpha": {"batch_size": size}}
            )
        )
        for one, size in product(n, sizes)
    }
    assert {point.config_hash for point in sweep} == hashes
    assert all(config_hash(point.config) == point.config_hash for point in sweep)
