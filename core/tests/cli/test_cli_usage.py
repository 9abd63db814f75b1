"""The command line as a newcomer meets it: version, help, mistyped words, and what wins over what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import llem as library

pytestmark = pytest.mark.process


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_printed(llem: Any, option: str) -> None:
    done = llem(option)
    assert (done.returncode, done.stdout) == (0, f"llem {library.__version__}\n")


def test_llem_alone_prints_help_and_says_that_something_is_missing(llem: Any) -> None:
    done = llem()
    assert done.returncode == 2
    assert "llem init" in done.stderr
    for command in ("init", "run", "show", "config", "plugins", "doctor"):
        assert command in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "",
        "init",
        "run",
        "show",
        "config",
        "config init",
        "config show",
        "config schema",
        "plugins",
        "completion",
        "doctor",
    ],
)
def test_every_command_has_help_with_what_it_does(llem_here: Any, command: str) -> None:
    done = llem_here(*command.split(), "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ")
    assert len(done.stdout.splitlines()) > 5


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["rnu", "study.yaml"], "Did you mean `run`?"),
        (["plugns"], "Did you mean `plugins`?"),
        (["study.yaml"], "llem run study.yaml"),
        (["help"], "`llem --help`"),
        (["new"], "`llem init`"),
        (["completion"], "bash"),
        (["xyz"], "there is no command `xyz`"),
        (["--versoin"], "Did you mean `--version`?"),
        (["run", "study.yaml", "--dryrun"], "Did you mean `--dry-run`?"),
        (["run", "study.yaml", "--quite"], "Did you mean `--quiet`?"),
        (["run"], "give a STUDY.yaml, or --model and --backend"),
        (["run", "--backend", "testbed"], "give a STUDY.yaml, or --model and --backend"),
        (["run", "--model", "random:tiny-llama"], "`backend` is missing"),
        (["run", "study.yaml", "another.yaml"], "another.yaml"),
        (["run", "study.yaml", "--cycles", "0"], "--cycles"),
        (["run", "study.yaml", "--cycles", "three"], "--cycles"),
        (["run", "study.yaml", "-n", "-1"], "-n"),
        (["run", "study.yaml", "--order", "random"], "latin_square"),
        (["run", "study.yaml", "--set", "dataset.n"], "KEY=VALUE"),
        (["run", "study.yaml", "--set", "=3"], "KEY=VALUE"),
        (["run", "study.yaml", "--set", "datset.n=3"], "Did you mean `dataset"),
        (["run", "study.yaml", "--set", "testbed.batch_sise=3"], "Did you mean `testbed.batch_size`?"),
        (["run", "study.yaml", "--set", "dataset.n=many"], "a whole number"),
        (["run", "study.yaml", "--skip-preflight", "outptu"], "Did you mean `output`?"),
        (["run", "study.yaml", "--runner", "local:here"], "takes no argument"),
        (["show"], "RESULT_OR_STUDY"),
        (["config", "shwo"], "Did you mean 'show'?"),
        (["config", "init", "study.yaml"], "--force"),
        (["doctor", "now"], "now"),
    ],
)
def test_a_slip_is_answered_with_what_was_probably_meant(
    llem_here: Any, study: Any, tmp_path: Path, typed: list[str], says: str
) -> None:
    study()
    done = llem_here(*typed)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert says in done.stderr
    assert done.stderr.splitlines()[-1]
    assert not (tmp_path / "results").exists()


def test_what_is_not_installed_is_answered_with_what_to_install(llem_here: Any, study: Any) -> None:
    for typed, says in (
        (("--backend", "vllm"), "pip install llem-vllm"),
        (("--backend", "testbad"), "Did you mean `testbed`?"),
        (("--runner", "docker"), "pip install llem-docker"),
        (("--dataset", "syntetic"), "Did you mean `synthetic`?"),
        (("--set", "measurement.samplers=[nvmll]"), "Did you mean `nvml`?"),
    ):
        done = llem_here("run", study(), *typed)
        assert done.returncode == 4, (typed, done.stderr)
        assert says in done.stderr


def test_the_command_line_wins_over_environment_over_study_over_user_file(
    llem: Any, study: Any, tmp_path: Path
) -> None:
    (tmp_path / "llem").mkdir()
    (tmp_path / "llem" / "config.yaml").write_text("dataset: {n: 11, output_tokens: 11}\nwarmup: {batches: 11}\n")
    path = study(dataset={"name": "synthetic", "input_tokens": 4, "n": 12, "output_tokens": 12})
    env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "LLEM_DATASET_N": "13"}

    def value(key: str, *options: str) -> tuple[Any, str]:
        found = json.loads(llem("config", "show", path, "--json", *options, env=env).stdout)["values"][key]
        return found["value"], found["origin"]

    assert value("dataset.n", "--set", "dataset.n=14") == (14, "command line")
    assert value("dataset.n") == (13, "environment")
    assert value("dataset.output_tokens") == (12, "study file")
    assert value("warmup.batches") == (11, "user file")
    assert value("decoding.seed") == (42, "default")
    done = llem("run", path, "-n", 5, "--quiet", "--json", env=env)
    assert done.returncode == 0, done.stderr
    (job,) = (Path(json.loads(done.stdout)["directory"]) / "experiments").iterdir()
    result = json.loads((job / "result.json").read_text())
    assert (result["config"]["dataset"]["n"], result["config"]["dataset"]["output_tokens"]) == (5, 12)
    assert result["environment"]["study"]["overridden"]["dataset.n"] == "command line"


def test_set_wins_over_the_option_of_the_same_key(llem_here: Any, study: Any) -> None:
    plan = llem_here("run", study(), "--cycles", 2, "--set", "execution.cycles=3", "--dry-run", "--json")
    assert json.loads(plan.stdout)["total"] == 3


def test_an_override_of_an_axis_replaces_it_and_says_so(llem_here: Any, study: Any) -> None:
    done = llem_here("run", study(sweep={"testbed.batch_size": [1, 2]}), "--set", "testbed.batch_size=4", "--dry-run")
    assert "1 experiment to run" in done.stdout
    assert "the axis `testbed.batch_size`" in done.stderr


def test_a_study_begun_with_init_runs_dry(llem_here: Any, tmp_path: Path) -> None:
    assert (
        llem_here("config", "init", "begun.yaml", "--backend", "testbed", "--model", "random:tiny-llama").returncode
        == 0
    )
    done = llem_here("run", "begun.yaml", "--dry-run")
    assert done.returncode == 0, done.stderr


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell's line in which `llem` is this one."""
    line = command.replace("llem ", f"{sys.executable} -m llem ")
    return subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        ("llem plugins > /dev/full", 1, "llem: the output cannot be written: No space left on device.\n"),
        ("llem --version > /dev/full", 1, "llem: the output cannot be written: No space left on device.\n"),
        ("llem plugins >&-", 0, ""),
        ("llem plugins <&- >&- 2>&-", 0, ""),
        ("PYTHONIOENCODING=latin-1 llem plugins > out", 0, ""),
        (
            "mkdir gone; cd gone; rmdir ../gone; llem run study.yaml",
            2,
            "llem: the current folder is gone. Change to one that exists.\n",
        ),
    ],
)
def test_an_output_that_cannot_take_everything_ends_llem_in_order(
    tmp_path: Path, line: str, code: int, error: str
) -> None:
    done = shell(line, tmp_path)
    assert (done.stderr, done.returncode) == (error, code)


def test_a_study_runs_with_all_its_streams_closed(study: Any, tmp_path: Path, read: Any) -> None:
    path = study()
    assert shell(f"llem run {path} <&- >&- 2>&-", tmp_path).returncode == 0
    assert read.manifest(read.only_study(tmp_path / "results"))["state"] == "complete"


def test_a_figure_is_shown_also_where_the_terminal_knows_few_characters(crashed: Any) -> None:
    done = shell(f"PYTHONIOENCODING=latin-1 llem show {crashed[0]}", crashed[0])
    assert done.returncode == 0
    assert "batch_size" in done.stdout


def test_a_reader_who_leaves_early_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "llem", "plugins"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
