"""A study, its quality, and the choice under a floor, as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plain_environment import plain_environment

import llem
from llem.plugin_api import installed_parts, load_study
from llem.plugins import default_registry
from llem_quality.study_document import name_of
from llem_quality.wilson import wilson

pytestmark = [pytest.mark.process, pytest.mark.engine]
WriteTask = Callable[..., Path]

STUDY: dict[str, Any] = {
    "name": "asked",
    "model": "random:tiny-llama",
    "dataset": {"name": "synthetic", "n": 4, "input_tokens": 4, "output_tokens": 5},
    "backend": "testbed",
    "measurement": {"min_window_s": 0.4, "settle_s": 0, "samplers": ["estimate"]},
    "warmup": {"enabled": False},
    "baseline": {"enabled": False},
    "sweep": {"testbed.batch_size": [1, 2], "dataset.n": [4, 6]},
    "execution": {"experiment_gap_s": 0, "cycle_gap_s": 0},
}


def run(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llem", *map(str, words)],
        cwd=folder,
        env=plain_environment() | {"XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_finished_study_gets_its_accuracy_and_is_picked_by_it(tmp_path: Path, write_task: WriteTask) -> None:
    (tmp_path / "study.yaml").write_text(json.dumps(STUDY))
    assert run(tmp_path, "run", "study.yaml", "--output", "results").returncode == 0
    (made,) = (tmp_path / "results").iterdir()
    study = made.rename(made.with_name("größe 1"))  # a folder may be called what a study may not
    task = write_task(["t0 t1", "t0", "t0 t1", "t1", "t0 t1"])  # the engine says t0 t1 t2 t3, whatever it is asked

    planned = run(tmp_path, "quality", study, "--tasks", task, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert not (study / "quality").exists()

    # What --set changes has another identity, and is joined all the same.
    asked = run(tmp_path, "quality", study, "--tasks", task, "--no-gaps", "--set", "testbed.token_s=0.05")
    assert asked.returncode == 0, asked.stderr
    found = json.loads((study / "quality.json").read_text())
    own = {row["config_hash"] for row in llem.load_study(study).to_arrow(["config_hash"]).to_pylist()}
    assert found["configurations"].keys() == own
    assert len(own) == 4
    entries = found["configurations"].values()
    assert len({one["config_hash"] for one in entries}) == 2, "how many prompts the study had changes no answer"
    low, high = wilson(3, 5)
    for one in entries:
        assert (one["accuracy"], one["accuracy_low"], one["accuracy_high"]) == pytest.approx((0.6, low, high))
        assert (one["correct_answers"], one["answers"]) == (3, 5)

    quality = llem.load_study(study / found["study"])
    assert len(quality.results) == 2
    for result in quality.results:
        assert result.tokens is not None
        assert result.tokens.requests == 5
        assert result.tokens.output == 20
        assert result.energy is not None
        assert result.energy.headline is not None
        assert result.scenario_metrics["accuracy"] == 0.6
    shown = run(tmp_path, "show", study / found["study"])
    assert "accuracy" in shown.stdout
    assert "energy per correct answer" in shown.stdout

    # A run without an answer takes nothing away.
    broken = run(tmp_path, "quality", study, "--tasks", task, "--no-gaps", "--set", "testbed.fail=raise")
    assert broken.returncode == 1
    assert "is as it was" in broken.stderr
    assert json.loads((study / "quality.json").read_text()) == found

    for floor, code in (("99%", 0), ("0.61", 1)):
        picked = run(tmp_path, "pick", study, "--max", "throughput", "--min-accuracy", floor)
        assert (picked.returncode == 0) == (code == 0), picked.stdout + picked.stderr
    assert "accuracy" in picked.stderr


@pytest.mark.parametrize(
    "name", ["größe 1", "-x", ".hidden", "日本", "a\nmodel: b", "x" * 200, "demo-20260101T120000Z"]
)
def test_a_folder_of_any_name_makes_a_name_that_a_study_can_have(tmp_path: Path, name: str) -> None:
    found = name_of(tmp_path / name)
    document = {"name": found, "model": "random:tiny-llama", "backend": "testbed"}
    assert load_study(document=document, **installed_parts(default_registry())).config.name == found
    assert found.endswith("-quality")


def test_a_task_that_cannot_be_scored_stops_before_anything_runs(tmp_path: Path, write_task: WriteTask) -> None:
    task = write_task(["t0"])
    study = {**STUDY, "dataset": {"name": "lm_eval", "path": str(task), "n": 1}, "sweep": {}}
    study["measurement"] = {**STUDY["measurement"], "scenario": "quality"}
    for changes, said in (
        ({"quality": {"metric": "f1"}}, "no metric `f1`"),
        ({"decoding": {"length": "fixed"}}, "decoding.length is fixed"),
        ({"dataset": {"name": "synthetic", "n": 1, "input_tokens": 2}}, "dataset.name is synthetic"),
    ):
        (tmp_path / "study.yaml").write_text(json.dumps({**study, **changes}))
        done = run(tmp_path, "run", "study.yaml", "--output", "results")
        assert done.returncode == 3, done.stdout + done.stderr
        assert said in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_plan_refuses_a_task_that_is_scored_by_likelihoods_in_one_paragraph(
    tmp_path: Path, write_task: WriteTask
) -> None:
    task = write_task(
        ["t0"],
        output_type="multiple_choice",
        doc_to_choice=["a", "b"],
        doc_to_target=0,
        generation_kwargs=None,
        metric_list=[{"metric": "acc"}],
    )
    study = {**STUDY, "dataset": {"name": "lm_eval", "path": str(task), "n": 1}, "sweep": {}}
    study["measurement"] = {**STUDY["measurement"], "scenario": "quality"}
    (tmp_path / "study.yaml").write_text(json.dumps(study))
    done = run(tmp_path, "run", "study.yaml", "--dry-run")
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stderr.count("of the kind multiple_choice, which is scored by likelihoods") == 1, done.stderr
    assert "Take a task of the kind generate_until" in done.stderr
    assert "Traceback" not in done.stderr
