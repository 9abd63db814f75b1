"""The record of a study's start gives the same plan again, whatever environment, user file and working folder there are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llem.config.layers import LoadedStudy, load_study
from llem.errors import ResultError
from llem.plan import make_plan
from llem.plugins import default_registry
from llem.specs.kinds import BACKENDS, RUNNERS
from llem.study.manifest.new import new_manifest
from llem.study.record import RECORD, as_edited, as_started, document_of, read_record, record_of
from llem.study.resume.changes import key_changes
from llem.study.resume.plan import resume_plan

BASE: dict[str, Any] = {
    "model": "random:tiny-llama",
    "backend": "testbed",
    "dataset": {"name": "synthetic", "n": 4, "input_tokens": 6, "output_tokens": 5},
}
SWEEPS = st.fixed_dictionaries(
    {},
    optional={
        "testbed.batch_size": st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True),
        "dataset.output_tokens": st.lists(st.integers(1, 9), min_size=1, max_size=2, unique=True),
        "groups": st.just([{"testbed.token_s": 0.5, "dataset.n": 3}, {"testbed.token_s": 0.25}]),
    },
)
EXECUTIONS = st.fixed_dictionaries(
    {},
    optional={
        "order": st.sampled_from(["sequential", "interleaved", "shuffled", "reversed", "latin_square"]),
        "seed": st.integers(0, 5),
        "timeout_s": st.integers(1, 9),
    },
) | st.fixed_dictionaries({"until": st.just({"ci_width": "2 %", "max_cycles": 5})})
STUDIES = st.fixed_dictionaries(
    {},
    optional={
        "sweep": SWEEPS,
        "experiments": st.lists(st.fixed_dictionaries({"testbed": st.just({"batch_size": 7})}), max_size=2),
        "execution": EXECUTIONS,
        "name": st.just("a-name"),
        "runners": st.just({"testbed": "local"}),
    },
)
OVERRIDES = st.fixed_dictionaries(
    {},
    optional={
        "execution.cycles": st.integers(1, 4),
        "dataset.n": st.integers(1, 9),
        "testbed.batch_size": st.integers(1, 9),
        "model": st.just("random:llama-3.2-1b"),
    },
)
ENVIRONS = st.fixed_dictionaries(
    {}, optional={"LLEM_DATASET_SEED": st.just("3"), "LLEM_LIMITS_TIMEOUT_S": st.just("7")}
)
USERS = st.fixed_dictionaries({}, optional={"measurement": st.just({"settle_s": 2}), "decoding": st.just({"seed": 5})})


def started(folder: Path, study: Mapping[str, Any], overrides: Any, environ: Any, user: Any) -> LoadedStudy:
    (folder / "study.yaml").write_text(yaml.safe_dump({**BASE, **study}))
    (folder / "user.yaml").write_text(yaml.safe_dump(user))
    registry = default_registry()
    return load_study(
        folder / "study.yaml",
        overrides=overrides,
        environ={**environ, "LLEM_CONFIG_FILE": str(folder / "user.yaml")},
        backends=registry[BACKENDS],
        find_backend=partial(registry.find, BACKENDS),
        runners=registry[RUNNERS],
    )


def identities(study: LoadedStudy) -> tuple[str, list[tuple[str, int]]]:
    plan = make_plan(study, default_registry())
    return plan.study_design_hash, [(p.config_hash, p.cycle) for p in plan.experiments]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(study=STUDIES, overrides=OVERRIDES, environ=ENVIRONS, user=USERS)
def test_the_plan_comes_back_from_the_record_and_from_the_file(
    memory: Any, study: Any, overrides: Any, environ: Any, user: Any
) -> None:
    folder, registry = memory(), default_registry()
    loaded = started(folder, study, overrides, environ, user)
    record_of(loaded, runner=None, hosts=[]).write(folder)
    record = read_record(folder)
    for again in (as_started(record, registry, {}), as_edited(record, folder / "study.yaml", registry, {})):
        assert identities(again) == identities(loaded)
        assert not list(key_changes(record.document, document_of(again)))
        assert again.base_dir == loaded.base_dir
        assert {key: str(origin) for key, origin in again.origins.items()} == {
            key: str(origin) for key, origin in loaded.origins.items()
        }


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=STUDIES, now=STUDIES)
def test_a_plan_laid_over_another_has_each_experiment_once_and_moves_none(memory: Any, before: Any, now: Any) -> None:
    folder, registry = memory(), default_registry()
    first = make_plan(started(folder, before, {}, {}, {}), registry)
    second = make_plan(started(folder, now, {}, {}, {}), registry)
    manifest = new_manifest(first)
    laid = resume_plan(manifest, second)
    rows = laid.manifest.experiments
    assert [row.position for row in rows] == list(range(1, len(rows) + 1))
    assert [(r.config_hash, r.cycle) for r in rows[: first.total]] == [
        (p.config_hash, p.cycle) for p in first.experiments
    ]
    wanted = {(p.config_hash, p.cycle) for p in second.experiments}
    assert {(r.config_hash, r.cycle) for r in rows if r.state != "dropped"} == wanted
    assert len(laid.runs) == len(wanted) == second.total
    assert [run.position for run in laid.runs] == sorted(run.position for run in laid.runs)
    for run in laid.runs:
        row = rows[run.position - 1]
        assert (run.config_hash, run.cycle) == (row.config_hash, row.cycle)
        assert row.directory == f"experiments/{run.directory}"
    assert all(row.state == "pending" for row in manifest.experiments)  # the one given is left alone
    back = resume_plan(laid.manifest, first)
    assert len(back.manifest.experiments) == len(rows)


def test_the_axis_that_changed_is_named(tmp_path: Path) -> None:
    before = started(tmp_path, {"sweep": {"testbed.batch_size": [1, 2]}}, {}, {}, {})
    now = started(
        tmp_path,
        {"sweep": {"testbed.batch_size": [1, 2, 4]}, "dataset": {"name": "synthetic", "input_tokens": 6}},
        {},
        {},
        {},
    )
    found = dict(key_changes(document_of(before), document_of(now)))
    assert found["sweep: testbed.batch_size"] == "was [1, 2], is [1, 2, 4]"
    assert found["dataset.n"] == "was 4, is not given"


def test_one_and_true_are_not_the_same() -> None:
    assert dict(key_changes({"a": 1, "b": True}, {"a": True, "b": True})) == {"a": "was 1, is true"}


def test_what_was_typed_keeps_its_meaning_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("then", "now"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "prompts.jsonl").write_text('{"text": "a"}\n')
    monkeypatch.chdir(tmp_path / "then")
    loaded = started(tmp_path, {}, {"dataset": "prompts.jsonl"}, {}, {})
    record = record_of(loaded, runner=None, hosts=[])
    monkeypatch.chdir(tmp_path / "now")
    for again in (
        as_started(record, default_registry(), {}),
        as_edited(record, tmp_path / "study.yaml", default_registry(), {}),
    ):
        assert again.config.base["dataset"]["path"] == str(tmp_path / "then" / "prompts.jsonl")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "not JSON"),
        ("{}", "schema version None"),
        ('{"schema_version": 9}', "schema version 9"),
        ('{"schema_version": 1}', "not a whole record"),
        ('{"schema_version": 1, "document": 3, "origins": {}, "base_dir": "/"}', "not a whole record"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(ResultError, match=match) as caught:
        read_record(tmp_path)
    assert str(tmp_path / RECORD) in str(caught.value)


def test_a_record_is_one_json_object(tmp_path: Path) -> None:
    record_of(started(tmp_path, {}, {}, {}, {}), runner="local", hosts=[{"host": "h"}]).write(tmp_path)
    assert json.loads((tmp_path / RECORD).read_text())["runner"] == "local"
