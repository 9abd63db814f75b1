"""Plugins seen from the command line: listed, set aside, called at events, in conflict, and missing."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.process

TWO = {"testbed.batch_size": [1, 2]}

RIVAL = """
from llem.config.section import Section
from llem.hookspecs import API_VERSION, hookimpl
from llem.plugin_api import BackendSpec

class RivalConfig(Section):
    depth: int = 1

@hookimpl
def llem_backends():
    return [BackendSpec(name="rival", api_version=API_VERSION, summary="another engine", config=RivalConfig,
                        engine="llem_testbed:TestbedEngine", conflicts=frozenset({"testbed"}), REQUIRES)]
"""

EVENTS = """
import json
from llem.hookspecs import hookimpl

def note(study_dir, **what):
    with (study_dir / "noted.jsonl").open("a") as stream:
        stream.write(json.dumps(what) + "\\n")

@hookimpl
def llem_study_started(study_dir, study):
    note(study_dir, event="started", manifest=(study_dir / "manifest.json").is_file(), **study)

@hookimpl
def llem_experiment_started(study_dir, job_dir, experiment):
    begun = (job_dir / "worker.log").exists() or (job_dir / "events.jsonl").exists()
    note(study_dir, event="begins", written=(job_dir / "experiment.json").is_file(), begun=begun, **experiment)

@hookimpl
def llem_experiment_finished(study_dir, job_dir, result):
    note(study_dir, event="experiment", kept=(job_dir / "result.json").is_file(), status=result["status"])

@hookimpl
def llem_study_finished(study_dir, summary):
    note(study_dir, event="finished", **summary)
"""

RAISES = """
from llem.hookspecs import hookimpl

@hookimpl
def llem_study_started(study_dir, study):
    raise RuntimeError("no start")

@hookimpl
def llem_experiment_started(study_dir, job_dir, experiment):
    experiment.clear()
    raise OSError("no beginning")

@hookimpl
def llem_experiment_finished(study_dir, job_dir, result):
    result.clear()
    raise SystemExit(9)

@hookimpl
def llem_study_finished(study_dir, summary):
    summary.clear()
    raise KeyError("no end")
"""


COMMAND = """
import click
from llem.hookspecs import API_VERSION, hookimpl
from llem.plugin_api import CommandSpec
from llem.specs.kinds import BACKENDS

@click.command()
def greet():
    click.echo('good day')

@hookimpl
def llem_commands():
    command = __name__ + ":greet"
    return [CommandSpec(name="{name}", api_version=API_VERSION, summary="says good day", command=command)]
"""


def test_plugins_are_listed_with_what_they_bring(llem: Any) -> None:
    done = llem("plugins")
    assert done.returncode == 0
    assert "llem-testbed 1.0" in done.stdout
    assert "generates by a clock" in done.stdout
    for name in ("local", "nvml", "rapl", "estimate", "aienergyscore", "synthetic"):
        assert name in done.stdout
    listed = json.loads(llem("plugins", "--json").stdout)
    (testbed,) = [p for p in listed["plugins"] if p["distribution"] == "llem-testbed"]
    assert testbed["provides"] == {"backend": ["testbed"]}
    assert (testbed["version"], testbed["set_aside"]) == ("1.0", None)


def test_a_plugin_that_raises_on_import_is_listed_with_its_reason_and_the_rest_works(
    llem: Any, install: Any, study: Any
) -> None:
    env = install("llem-broken", "raise RuntimeError('kaputt at import')")
    done = llem("plugins", env=env)
    assert done.returncode == 0
    assert "llem-broken 1.0\n  set aside: " in done.stdout
    assert "kaputt at import" in done.stdout
    listed = json.loads(llem("plugins", "--json", env=env).stdout)
    assert "kaputt" in next(p["set_aside"] for p in listed["plugins"] if p["distribution"] == "llem-broken")
    assert llem("run", study(), "--quiet", env=env).returncode == 0
    assert "kaputt at import" in llem("doctor", env=env).stdout
    needs = llem("run", study(backend="broken"), env=env)
    assert needs.returncode == 4
    assert "kaputt at import" in needs.stderr
    assert "study.yaml:" in needs.stderr


def test_event_hooks_are_called_with_what_is_on_disk(
    llem: Any, install: Any, study: Any, tmp_path: Path, read: Any
) -> None:
    done = llem("run", study(sweep=TWO), "--quiet", env=install("llem-notes", EVENTS))
    assert done.returncode == 0, done.stderr
    folder = read.only_study(tmp_path / "results")
    noted = [json.loads(line) for line in (folder / "noted.jsonl").read_text().splitlines()]
    assert [n["event"] for n in noted] == ["started", *["begins", "experiment"] * 2, "finished"]
    begins, noted = noted[1:4:2], [n for n in noted if n["event"] != "begins"]
    assert [(n["written"], n["begun"], n["position"], n["cycle"]) for n in begins] == [
        (True, False, position, 1) for position in (1, 2)
    ]
    assert [n["point"] for n in begins] == [{"testbed.batch_size": 1}, {"testbed.batch_size": 2}]
    assert [n["config_hash"] for n in begins] == [e["config_hash"] for e in read.manifest(folder)["experiments"]]
    assert (noted[0]["name"], noted[0]["experiments"], noted[0]["manifest"]) == ("quick", 2, True)
    assert noted[0]["study_design_hash"] == read.manifest(folder)["study_design_hash"]
    assert [(n["status"], n["kept"]) for n in noted[1:3]] == [("done", True)] * 2
    assert (noted[3]["state"], noted[3]["done"]) == ("complete", 2)


def test_a_plugin_that_raises_at_every_event_changes_nothing(
    llem: Any, install: Any, study: Any, tmp_path: Path, read: Any
) -> None:
    install("llem-a-raises", RAISES)
    done = llem("run", study(sweep=TWO), env=install("llem-notes", EVENTS))
    assert done.returncode == 0, done.stderr
    for event, what in (
        ("llem_study_started", "RuntimeError: no start"),
        ("llem_experiment_started", "OSError: no beginning"),
        ("llem_experiment_finished", "SystemExit: 9"),
        ("llem_study_finished", "KeyError: 'no end'"),
    ):
        assert f"warning: llem-a-raises 1.0: {event} failed: {what}" in done.stderr
    folder = read.only_study(tmp_path / "results")
    assert len((folder / "noted.jsonl").read_text().splitlines()) == 6
    assert [row["status"] for row in read.rows(folder)] == ["done", "done"]
    assert "complete: 2 done" in done.stderr


def test_two_plugins_that_claim_one_name_are_both_named(llem: Any, install: Any, study: Any) -> None:
    code = RIVAL.replace("REQUIRES", "")
    install("llem-one", code)
    env = install("llem-two", code)
    done = llem("run", study(), env=env)
    assert done.returncode == 4
    assert "llem-one 1.0" in done.stderr
    assert "llem-two 1.0" in done.stderr


def test_two_backends_that_cannot_share_an_environment_say_what_to_install(
    llem: Any, install: Any, study: Any, tmp_path: Path
) -> None:
    env = install("llem-rival", RIVAL.replace("REQUIRES", ""))
    path = study(sweep={"backend": ["testbed", "rival"]})
    for options in ((), ("--dry-run",)):
        done = llem("run", path, *options, env=env)
        assert done.returncode == 4
        assert "`testbed`" in done.stderr
        assert "`rival`" in done.stderr
        assert "cannot share one Python environment" in done.stderr
        assert "pip install llem-docker" in done.stderr
    assert not (tmp_path / "results").exists()
    alone = llem("run", study(backend="rival"), "--dry-run", env=env)
    assert alone.returncode == 0


def test_a_backend_whose_engine_is_not_installed_fails_before_anything_runs(
    llem: Any, install: Any, study: Any, tmp_path: Path
) -> None:
    code = RIVAL.replace("REQUIRES", "requires=('no_such_engine',), install='pip install llem-rival[engine]'")
    done = llem("run", study(backend="rival"), env=install("llem-rival", code))
    assert done.returncode == 3
    assert "no_such_engine" in done.stderr
    assert "pip install llem-rival[engine]" in done.stderr
    assert not (tmp_path / "results").exists()


def test_a_dry_run_says_what_an_engine_needs_and_plans_all_the_same(llem: Any, install: Any, study: Any) -> None:
    code = RIVAL.replace("REQUIRES", "requires=('no_such_engine',), install='pip install llem-rival[engine]'")
    env = install("llem-rival", code)
    done = llem("run", study(backend="rival"), "--dry-run", env=env)
    assert done.returncode == 0
    assert "1 experiment to run" in done.stdout
    assert "warning: requirements: backend rival needs no_such_engine" in done.stderr
    assert "pip install llem-rival[engine]" in done.stderr
    silent = llem("run", study(backend="rival"), "--dry-run", "--skip-preflight", "requirements", env=env)
    assert (silent.returncode, "no_such_engine" in silent.stderr) == (0, False)


@pytest.mark.parametrize("way", ["option", "environment", "study", "user file"])
def test_a_runner_that_is_missing_is_named_with_who_asked_for_it(
    llem: Any, study: Any, tmp_path: Path, way: str
) -> None:
    path = study(runners={"testbed": "docker:an-image"}) if way == "study" else study()
    options, env, where = (), dict(os.environ), "study.yaml:"
    if way == "option":
        options, where = ("--runner", "docker:an-image"), "command line:"
    if way == "environment":
        env, where = {**env, "LLEM_RUNNER_TESTBED": "docker:an-image"}, "LLEM_RUNNER_TESTBED:"
    if way == "user file":
        (tmp_path / "llem").mkdir()
        (tmp_path / "llem" / "config.yaml").write_text("runners: {testbed: 'docker:an-image'}\n")
        env, where = {**env, "XDG_CONFIG_HOME": str(tmp_path)}, "config.yaml:1:"
    done = llem("run", path, *options, env=env)
    assert done.returncode == 4
    assert where in done.stderr
    assert "no runner `docker` is installed" in done.stderr
    assert "pip install llem-docker" in done.stderr


def test_a_runner_chosen_by_a_variable_is_told_in_the_plan(llem: Any, study: Any) -> None:
    done = llem("run", study(), "--dry-run", env={**os.environ, "LLEM_RUNNER_TESTBED": "local"})
    assert "testbed on local (environment LLEM_RUNNER_TESTBED)" in done.stdout


def test_a_command_of_a_plugin_is_offered_and_runs(llem: Any, install: Any) -> None:
    env = install("llem-greets", COMMAND.format(name="greet"))
    assert "says good day" in llem("--help", env=env).stdout
    assert llem("greet", env=env).stdout == "good day\n"
    assert "Did you mean `greet`?" in llem("gret", env=env).stderr


def test_a_command_that_claims_the_name_of_one_of_llems_own_is_named_with_both_distributions(
    llem: Any, install: Any, study: Any
) -> None:
    env = install("llem-usurper", COMMAND.format(name="run"))
    for words in (("run", study()), ("show", "."), ("--help",)):
        done = llem(*words, env=env)
        assert done.returncode == 4
        assert "two plugins claim the command `run`" in done.stderr
        assert f"llem {version('llem')} and llem-usurper 1.0" in done.stderr
        assert "pip uninstall llem-usurper" in done.stderr
        assert "pip uninstall llem or" not in done.stderr
    assert llem("--version", env=env).returncode == 0


def test_a_command_gets_the_registry_of_the_command_line(llem: Any, install: Any) -> None:
    code = COMMAND.format(name="count").replace("def greet():", "@click.pass_obj\ndef greet(registry):")
    code = code.replace("'good day'", "', '.join(registry[BACKENDS])")
    assert "testbed" in llem("count", env=install("llem-counts", code)).stdout


SCENARIO = """
from llem.hookspecs import API_VERSION, hookimpl
from llem.scenarios.offline import Offline
from llem.plugin_api import ScenarioSpec

class Pairs(Offline):
    def group(self, requests):
        return [requests[i:i + 2] for i in range(0, len(requests), 2)]

@hookimpl
def llem_scenarios():
    spec = dict(api_version=API_VERSION, generator=__name__ + ":Pairs")
    return [ScenarioSpec(name="pairs", summary="two at a time", at_once=2, **spec),
            ScenarioSpec(name="chatty", summary="talks", needs=frozenset({"chat"}), **spec)]
"""


def test_a_scenario_of_a_plugin_is_offered_validated_and_measured(
    llem: Any, install: Any, study: Any, tmp_path: Path, read: Any
) -> None:
    env = install("llem-pairs", SCENARIO)
    dataset = {"name": "synthetic", "n": 6, "input_tokens": 4, "output_tokens": 3}
    measurement = {"min_window_s": 0, "settle_s": 0, "scenario": "pairs"}
    path = study(dataset=dataset, measurement=measurement)
    done = llem("run", path, "--quiet", env=env)
    assert done.returncode == 0, done.stderr
    (row,) = read.rows(read.only_study(tmp_path / "results"))
    assert (row["scenario"], row["batching.batches"], row["batching.requested_size"]) == ("pairs", 3, 2)
    schema = json.loads(llem("config", "schema", env=env).stdout)
    known = schema["$defs"]["field"]["measurement.scenario"]["enum"]
    assert known[:2] == ["offline", "single_stream"], "those of the core come first"
    assert {"pairs", "chatty"} < set(known)


@pytest.mark.parametrize(
    ("scenario", "says"),
    [
        (
            "pears",
            [
                "pears",
                "`measurement.scenario` is not the name of a scenario",
                "offline, single_stream, ",
                "`pairs`",
            ],
        ),
        ("chatty", ["the backend testbed cannot take chats, which chatty needs", "offline, single_stream, "]),
    ],
)
def test_a_scenario_that_cannot_be_is_told_before_anything_runs(
    llem: Any, install: Any, study: Any, scenario: str, says: list[str]
) -> None:
    env = install("llem-pairs", SCENARIO)
    done = llem("run", study(measurement={"scenario": scenario}), "--dry-run", env=env)
    assert done.returncode == 2
    assert "study.yaml:" in done.stderr
    for text in says:
        assert text in done.stderr
