"""The words of a plan before anything runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llem.config.layers import LoadedStudy
from llem.errors import ConfigError, PluginError
from llem.hookspecs import API_VERSION
from llem.plan import make_plan
from llem.plan.runners import moved
from llem.plan.show import describe, plan_json
from llem.plugin_api import BackendSpec, RunnerSpec
from llem.plugins import Registry
from llem.results.text import duration

LoadText = Callable[..., LoadedStudy]
RegistryOf = Callable[..., Registry]

HEAD = "model: random:tiny-llama\nbackend: alpha\n"
TWO = HEAD + "sweep: {alpha.batch_size: [1, 8]}\n"
BOTH = HEAD + "sweep: {backend: [alpha, beta]}\n"


def container(name: str = "box") -> RunnerSpec:
    return RunnerSpec(
        name=name,
        api_version=API_VERSION,
        summary=name,
        runner="nowhere:Runner",
        location="container",
        argument="IMAGE",
    )


def test_a_plan_has_every_cycle_of_every_experiment_with_its_place_and_folder(
    load_text: LoadText, registry_of: RegistryOf
) -> None:
    plan = make_plan(load_text(TWO + "execution: {cycles: 2, order: interleaved}\n"), registry_of())
    runs = list(plan.experiments)
    assert [(r.position, r.cycle, r.point) for r in runs] == [
        (1, 1, {"alpha.batch_size": 1}),
        (2, 1, {"alpha.batch_size": 8}),
        (3, 2, {"alpha.batch_size": 1}),
        (4, 2, {"alpha.batch_size": 8}),
    ]
    assert (plan.total, plan.distinct) == (4, 2)
    assert runs[2].directory == f"00003-{runs[0].config_hash[:12]}-c2"
    assert len({r.directory for r in runs}) == 4
    assert plan.experiments[-1] == runs[-1]
    assert plan.experiments[1:3] == runs[1:3]


def test_the_name_is_the_study_s_else_its_file_s(load_text: LoadText, registry_of: RegistryOf) -> None:
    assert make_plan(load_text(TWO), registry_of()).name == "study"
    assert make_plan(load_text("name: mine\n" + TWO), registry_of()).name == "mine"


def test_a_file_s_name_becomes_a_folder_s_name(tmp_path: Path, registry_of: RegistryOf, backends: Any) -> None:
    from llem.config.layers import load_study

    path = tmp_path / "_my study (2).yaml"
    path.write_text(TWO)
    plan = make_plan(load_study(path, environ={"XDG_CONFIG_HOME": str(tmp_path)}, backends=backends), registry_of())
    assert plan.name == "my-study-2-"


def test_the_design_s_identity_is_of_the_experiments_and_how_often_and_in_which_order_they_run(
    load_text: LoadText, registry_of: RegistryOf
) -> None:
    def design(text: str) -> str:
        return make_plan(load_text(text), registry_of()).study_design_hash

    same = design(TWO)
    assert design("name: other\n" + TWO) == same
    assert design(HEAD + "sweep: {alpha.batch_size: [8, 1]}\n") == same
    assert design(HEAD + "experiments: [{alpha.batch_size: 8}, {alpha: {batch_size: 1}}]\n") == same
    assert design(TWO + "execution: {timeout_s: 5, budget_s: 5}\n") == same
    assert design(TWO + "execution: {cycles: 2}\n") != same
    assert design(TWO + "execution: {order: shuffled}\n") == same
    assert design(TWO + "execution: {order: interleaved}\n") != same
    assert design(HEAD + "sweep: {alpha.batch_size: [1, 9]}\n") != same


def test_the_estimate_adds_baselines_windows_and_gaps(load_text: LoadText, registry_of: RegistryOf) -> None:
    def estimate(text: str) -> float:
        return make_plan(load_text(TWO + text), registry_of()).estimate_s

    bare = "baseline: {enabled: false}\nmeasurement: {settle_s: 0, min_window_s: %d}\nexecution: {experiment_gap_s: %d, cycle_gap_s: %d, cycles: %d}\n"
    fixed = estimate(bare % (0, 0, 0, 1)) / 2
    assert fixed > 0, "a process takes time to start"
    assert estimate(bare % (50, 7, 9, 3)) == pytest.approx(6 * (fixed + 50) + 3 * 7 + 2 * 9)
    without = estimate("execution: {experiment_gap_s: 0}\nbaseline: {enabled: false}\n")
    cached = estimate("execution: {experiment_gap_s: 0}\nbaseline: {duration_s: 30, resident_s: 5}\n")
    fresh = estimate("execution: {experiment_gap_s: 0}\nbaseline: {duration_s: 30, resident_s: 5, cache: false}\n")
    assert cached - without == pytest.approx(30 + 2 * 5 + 1), "one that is reused counts once, and is looked at for 1 s"
    assert fresh - without == pytest.approx(2 * 35)


def test_the_estimate_includes_warm_up_and_says_how_much_longer_its_limit_lets_it_take(
    load_text: LoadText, registry_of: RegistryOf
) -> None:
    def plan(text: str) -> Any:
        return make_plan(load_text(TWO + "execution: {cycles: 3}\n" + text), registry_of())

    without, short, plain = plan("warmup: {enabled: false}\n"), plan("warmup: {max_s: 2}\n"), plan("")
    assert short.estimate_s - without.estimate_s == pytest.approx(6 * 2)
    assert plain.estimate_s - without.estimate_s == pytest.approx(6 * 4), (
        "three runs that are compared, and the cold one"
    )
    assert (without.warmup_room_s, short.warmup_room_s) == (0, 0)
    assert plain.warmup_room_s == pytest.approx(6 * (120 - 4))
    (line,) = [line for line in describe(plain, 1) if "  time " in line]
    assert "at least" in line
    assert f"up to {duration(plain.estimate_s + plain.warmup_room_s)} where warm-up needs its limit" in line
    assert plan_json(plain)["warmup_room_s"] == plain.warmup_room_s
    assert not any("up to" in line for line in describe(without, 1))


def test_a_backend_runs_locally_unless_someone_says_otherwise(load_text: LoadText, registry_of: RegistryOf) -> None:
    registry = registry_of(runners=[container()])
    choices = make_plan(load_text(TWO), registry).runners
    assert {name: (c.text, str(c.origin)) for name, c in choices.items()} == {"alpha": ("local", "default")}
    configured = load_text(TWO + "runners: {alpha: 'box:image:1'}\n")
    choice = make_plan(configured, registry).runners["alpha"]
    assert (choice.name, choice.argument) == ("box", "image:1")
    assert "study.yaml:4" in str(choice.origin)
    given = make_plan(configured, registry, runner="local").runners["alpha"]
    assert (given.text, str(given.origin)) == ("local", "command line")


def test_a_backend_that_is_not_installed_here_runs_in_its_image_where_a_runner_can(
    load_text: LoadText, registry_of: RegistryOf, backends: dict[str, BackendSpec]
) -> None:
    absent = replace(backends["alpha"], requires=("not_a_module_at_all",), image="alpha:1")
    registry = registry_of(absent, backends["beta"], runners=[container()])
    choice = make_plan(load_text(TWO), registry).runners["alpha"]
    assert choice.text == "box"
    assert "not_a_module_at_all not installed here" in str(choice.origin)
    assert make_plan(load_text(TWO), registry_of(absent, backends["beta"])).runners["alpha"].text == "local"


def test_a_backend_that_was_moved_is_said_in_one_sentence_with_how_to_choose_otherwise(
    load_text: LoadText, registry_of: RegistryOf, backends: dict[str, BackendSpec]
) -> None:
    absent = replace(backends["alpha"], requires=("not_a_module_at_all",), image="alpha:1")
    registry = registry_of(absent, backends["beta"], runners=[container()])
    said = (
        "alpha runs in box (not_a_module_at_all not installed here); choose otherwise by `--runner`, `runners: {alpha: …}` "
        "or LLEM_RUNNER_ALPHA."
    )
    assert moved(make_plan(load_text(TWO), registry).runners) == [said]
    assert moved(make_plan(load_text(TWO + "runners: {alpha: box}\n"), registry).runners) == []
    assert moved(make_plan(load_text(TWO), registry_of()).runners) == []


def test_two_backends_that_conflict_need_a_runner_with_an_environment_of_its_own(
    load_text: LoadText, registry_of: RegistryOf, backends: dict[str, BackendSpec]
) -> None:
    alpha = replace(backends["alpha"], conflicts=frozenset({"beta"}))
    beta = replace(backends["beta"], image="beta:1")
    with pytest.raises(PluginError) as error:
        make_plan(load_text(BOTH), registry_of(alpha, beta))
    assert "`alpha` and `beta` cannot share one Python environment" in str(error.value)
    assert "pip install llem-docker" in str(error.value)
    assert error.value.exit_code == 4

    moved = make_plan(load_text(BOTH), registry_of(alpha, beta, runners=[container()])).runners
    assert {name: choice.text for name, choice in moved.items()} == {"alpha": "local", "beta": "box"}

    pinned = load_text(BOTH + "runners: {alpha: local, beta: local}\n")
    with pytest.raises(PluginError, match=r"runners: \{beta: box\}"):
        make_plan(pinned, registry_of(alpha, beta, runners=[container()]))


def test_a_runner_that_is_missing_or_takes_no_argument_is_named(load_text: LoadText, registry_of: RegistryOf) -> None:
    with pytest.raises(PluginError, match="`docker`"):
        make_plan(load_text(TWO), registry_of(), runner="docker:image")
    with pytest.raises(ConfigError, match="takes no argument"):
        make_plan(load_text(TWO), registry_of(), runner="local:there")


def test_the_plan_in_words_names_what_matters_and_cuts_long_lists(load_text: LoadText, registry_of: RegistryOf) -> None:
    text = (
        HEAD
        + "sweep: {alpha.seed_of_fast: [1, 2], alpha.batch_size: [1, 2, 3]}\nexecution: {cycles: 2, budget_s: 90}\n"
    )
    plan = make_plan(load_text(text), registry_of())
    words = "\n".join(describe(plan, 4))
    assert "6 experiments to run (3 × 2 cycles, shuffled)" in words
    assert plan.study_design_hash in words
    assert "alpha on local (default)" in words
    assert "no experiment starts after 1 min 30 s" in words
    assert "3 points that come to the same experiment" in words
    assert "alpha.seed_of_fast=2, alpha.batch_size=1 is alpha.seed_of_fast=1, alpha.batch_size=1" in words
    assert "… and 2 more" in words
    assert next(iter(plan.experiments)).config_hash[:12] in words


def test_the_plan_as_json_holds_every_run(load_text: LoadText, registry_of: RegistryOf) -> None:
    plan = make_plan(load_text(TWO + "execution: {order: interleaved}\n"), registry_of())
    data = json.loads(json.dumps(plan_json(plan)))
    assert data["total"] == len(data["experiments"]) == 2
    assert data["runners"] == {"alpha": {"runner": "local", "origin": "default"}}
    assert data["experiments"][1] == {
        "position": 2,
        "cycle": 1,
        "config_hash": plan.experiments[1].config_hash,
        "runner": "local",
        "directory": plan.experiments[1].directory,
        "point": {"alpha.batch_size": 8},
    }


def test_a_password_in_a_point_is_in_no_part_of_the_plan(load_text: LoadText, registry_of: RegistryOf) -> None:
    address = "https://me:hunter2@example.org/t"
    point = f"{{model.tokenizer: '{address}'}}"
    plan = make_plan(load_text(f"{HEAD}experiments: [{point}, {point}]\n"), registry_of())
    (pair,) = plan.duplicates.named
    assert pair.dropped_values == {"model.tokenizer": address}
    hidden = {"model.tokenizer": "https://***@example.org/t"}
    data = plan_json(plan)
    assert data["experiments"][0]["point"] == hidden
    assert data["duplicates"] == {
        "count": 1,
        "named": [{"config_hash": pair.config_hash, "kept": hidden, "dropped": hidden}],
    }
    assert "hunter2" not in "".join(describe(plan, 9))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (3600, "1 h"),
        (7505, "2 h 5 min"),
        (100_000, "1 d 3 h"),
    ],
)
def test_durations_are_told_in_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_figure_that_experiments_are_repeated_for_is_one_that_somebody_has(
    load_text: LoadText, registry_of: RegistryOf
) -> None:
    for figure in ("tokens_per_s", "joules", "j_per_output_tokens"):
        study = load_text(TWO + f"execution: {{until: {{ci_width: 2 %, figure: {figure}}}}}\n")
        if figure == "tokens_per_s":
            assert make_plan(study, registry_of()).execution.until.figure == figure
            continue
        with pytest.raises(ConfigError, match=f"`{figure}` is no figure; figures are j_per_output_token,") as caught:
            make_plan(study, registry_of())
        assert ("Did you mean `j_per_output_token`?" in str(caught.value)) is (figure != "joules")
        assert "study.yaml:4" in str(caught.value)
