"""`llem init` as a newcomer meets it: by flags, on a terminal, with slips, and with files that are in the way."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llem.cli import main
from llem.config.reading import read_yaml

pytestmark = pytest.mark.usefixtures("without_other_plugins")

TINY = ("--model", "random:tiny-llama", "--backend", "testbed")


@dataclass(frozen=True)
class Done:
    """The outcome of a command."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """llem in this process, where many of its answers are wanted; it is no terminal."""
    monkeypatch.chdir(tmp_path)

    def do(*arguments: str) -> Done:
        code = main(arguments)
        written = capsys.readouterr()
        return Done(code, written.out, written.err)

    return do


def planned(llem: Any, file: str) -> dict[str, Any]:
    """The plan of a study, which `llem run --dry-run` must take."""
    done = llem("run", file, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    plan: dict[str, Any] = json.loads(done.stdout)
    return plan


def test_without_a_word_it_writes_a_study_that_runs_dry(llem: Any, tmp_path: Path) -> None:
    done = llem("init")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Wrote study.yaml: 1 experiment, ")
    assert "s at least. Next:\n" in done.stdout
    assert "llem run study.yaml --dry-run" in done.stdout
    assert planned(llem, "study.yaml")["total"] == 1
    values = [line for line in (tmp_path / "study.yaml").read_text().splitlines() if ": " in line and line[0] != "#"]
    assert all("  # " in line for line in values)


@pytest.mark.parametrize(
    ("flags", "points", "settings"),
    [
        ((), 1, {"dataset": {"name": "aienergyscore", "n": 16, "output_tokens": 32}}),
        (("--vary", "testbed.batch_size=1,2,4"), 3, {"sweep": {"testbed.batch_size": [1, 2, 4]}}),
        (("--vary", "testbed.batch_size={pow2: [1, 8]}", "--vary", "dataset.output_tokens=[3, 4]"), 8, {}),
        (("--dataset", "synthetic", "-n", "3", "--output-tokens", "5"), 1, {"dataset": {"input_tokens": 64, "n": 3}}),
        (("--dataset", "synthetic", "--input-tokens", "7"), 1, {"dataset": {"input_tokens": 7}}),
        (("--set", "testbed.token_s=0.5", "--set", "name=mine"), 1, {"name": "mine", "testbed": {"token_s": 0.5}}),
        (("--set", "runners.testbed=local"), 1, {"runners": {"testbed": "local"}}),
        (("--set", "execution.until.ci_width=0.02"), 1, {"execution": {"until": {"ci_width": 0.02}}}),
        (("--publication",), 5, {"execution": {"cycles": 5, "order": "shuffled"}, "measurement": {"min_window_s": 60}}),
        (("--quick",), 1, {"execution": {"cycles": 1}, "measurement": {"min_window_s": 5}}),
    ],
)
def test_flags_become_a_study_that_runs_dry(
    run: Run, tmp_path: Path, flags: tuple[str, ...], points: int, settings: dict[str, Any]
) -> None:
    done = run("init", *TINY, *flags, "-o", "begun.yaml")
    assert done.returncode == 0, done.stderr
    plan = planned(run, "begun.yaml")
    assert plan["distinct"] * plan["execution"]["cycles"] == points
    text = (tmp_path / "begun.yaml").read_text()
    found = read_yaml(text, "begun.yaml").data
    assert found["model"] == "random:tiny-llama"
    for key, value in settings.items():
        assert found[key] == (found[key] | value if isinstance(value, dict) else value), text


def test_the_backend_is_known_by_the_keys_that_are_varied(run: Run, tmp_path: Path) -> None:
    assert run("init", "--vary", "testbed.batch_size=1,2").returncode == 0
    assert read_yaml((tmp_path / "study.yaml").read_text(), "study").data["backend"] == "testbed"


def test_several_backends_are_compared(run: Run, tmp_path: Path) -> None:
    done = run("init", "--backend", "testbed", "--backend", "pytorch", "--vary", "testbed.batch_size=1,2")
    assert done.returncode == 0, done.stderr
    assert planned(run, "study.yaml")["total"] == 3
    assert read_yaml((tmp_path / "study.yaml").read_text(), "study").data["sweep"]["backend"] == ["testbed", "pytorch"]


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (("--vary", "testbed.batch_sise=1,2"), 2, "Did you mean `testbed.batch_size`?"),
        (("--vary", "batch_size=1,2"), 2, "Did you mean `testbed.batch_size`?"),
        (("--vary", "testbed.batch_size=1,0"), 2, "a whole number from 1"),
        (("--vary", "testbed.batch_size"), 2, "KEY=V1,V2"),
        (("--vary", "testbed.batch_size="), 2, "KEY=V1,V2"),
        (("--vary", "=1,2"), 2, "KEY=V1,V2"),
        (("--vary", "testbed.fail=no,rais"), 2, "raise"),
        (("--vary", "testbed.batch_size=1", "--vary", "testbed.batch_size=2"), 2, "given twice"),
        (("--vary", "testbed.batch_size=[1, 2"), 2, "--vary testbed.batch_size"),
        (("--vary", "execution.cycles=1,2"), 2, "belongs to the study"),
        (("--set", "datset.n=3"), 2, "Did you mean `dataset"),
        (("--set", "model=x"), 2, "--model"),
        (("--set", "x y: =1"), 2, "unknown key"),
        (("--backend", "testbad"), 4, "Did you mean `testbed`?"),
        (("--dataset", "syntetic"), 4, "Did you mean `synthetic`?"),
        (("--dataset", "nowhere.jsonl"), 2, "no such file"),
        (("--dataset", "hub"), 2, "dataset.path"),
        (("-n", "2000"), 2, "1,000"),
        (("-n", "many"), 2, "no whole number"),
        (("--model", "random:tiny-lama"), 2, "Did you mean random:tiny-llama?"),
        (("--model", "./nowhere"), 2, "no such file or folder"),
        (("first.yaml",), 2, "llem init -o first.yaml"),
        (("-o", "nowhere/first.yaml"), 2, "mkdir -p nowhere"),
        (("-o", "."), 2, "is a folder"),
        (("--force", "-o", "."), 2, "cannot be written"),
        (("--force", "-o", "/dev/full"), 2, "No space left"),
    ],
)
def test_a_wrong_answer_is_told_in_one_paragraph_and_nothing_is_written(
    run: Run, tmp_path: Path, flags: tuple[str, ...], code: int, says: str
) -> None:
    done = run("init", *TINY, *flags)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert says in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("mine")
    done = run("init", *TINY)
    assert (done.returncode, file.read_text()) == (2, "mine")
    assert "study.yaml: is there already. Use --force" in done.stderr
    assert run("init", *TINY, "--force").returncode == 0
    assert "random:tiny-llama" in file.read_text()
    assert list(tmp_path.iterdir()) == [file]


def test_of_a_file_of_prompts_all_are_taken_where_nobody_says_how_many(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"_provenance": "me"}\n' + '{"prompt": "a"}\n' * 3 + "\n")
    done = run("init", *TINY, "--dataset", "mine.jsonl", "--yes")
    assert done.returncode == 0, done.stderr
    assert "n" not in read_yaml((tmp_path / "study.yaml").read_text(), "study").data["dataset"]
    plans = [
        json.loads(run("run", "study.yaml", "--dry-run", "--json", *n).stdout) for n in ((), ("-n", "3"), ("-n", "2"))
    ]
    all_of_it, three, two = (plan["experiments"][0]["config_hash"] for plan in plans)
    assert all_of_it == three != two


@pytest.mark.parametrize("where", ["init", "run"])
def test_a_backend_that_is_given_as_the_model_is_told(run: Run, tmp_path: Path, where: str) -> None:
    more = ("--yes",) if where == "init" else ("--dry-run",)
    done = run(where, "--model", "testbed", "--backend", "testbed", *more)
    assert done.returncode in (2, 3)
    assert "model `testbed`: that is a backend, which runs models" in done.stderr
    assert "Set backend: testbed, and name a model" in done.stderr
    assert not (tmp_path / "study.yaml").exists()


def test_a_path_that_is_typed_here_is_found_from_the_study(run: Run, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "mine.jsonl").write_text('{"prompt": "a"}\n' * 20)
    done = run("init", *TINY, "--dataset", "mine.jsonl", "-o", "below/study.yaml")
    assert done.returncode == 0, done.stderr
    found = read_yaml((tmp_path / "below" / "study.yaml").read_text(), "study").data
    assert found["dataset"]["path"] == "../mine.jsonl"


def test_without_a_backend_it_says_what_to_install(llem: Any, tmp_path: Path, without_backends: dict[str, str]) -> None:
    done = llem("init", env=without_backends)
    assert done.returncode == 4
    assert "pip install llem-pytorch" in done.stderr


def on_a_terminal(folder: Path, typed: str, *flags: str) -> tuple[int, str]:
    """`llem init` with a terminal on which this is typed; its exit code, and what it showed."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "llem", "init", *flags]
    with subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        seen = b""
        while True:
            try:
                read = os.read(ours, 65_536)
            except OSError:  # so Linux tells that the other side has closed
                break
            if not read:
                break
            seen += read
    os.close(ours)
    return process.returncode, seen.decode()


def test_on_a_terminal_it_asks_again_until_an_answer_is_taken(llem: Any, tmp_path: Path) -> None:
    answers = [
        *("random:tiny-lama", "random:tiny-llama"),
        *("testbad", "testbed"),
        "publication",
        *("syntetic", "synthetic"),
        *("none", "0", "4"),
        "8",
        *(
            "?batch",
            "?no such word",
            "testbed.batch_size=0",
            "99",
            "testbed.batch_size=1,2",
            "dataset.output_tokens=3,4",
        ),
        "",
    ]
    code, seen = on_a_terminal(tmp_path, "".join(f"{answer}\n" for answer in answers))
    assert code == 0, seen
    for words in (
        "Did you mean random:tiny-llama?",
        "Did you mean `testbed`?",
        "Did you mean `synthetic`?",
        "`none` is no whole number above 0",
        "testbed.batch_size: a whole number from 1",
        "No key has `no such word`",
        "`99` is not KEY=V1,V2",
        "Accepted: a whole number from 1",
        "4 configurations: testbed.batch_size, dataset.output_tokens",
        "Wrote study.yaml: 20 experiments",
    ):
        assert words in seen, seen
    found = read_yaml((tmp_path / "study.yaml").read_text(), "study").data
    assert (found["backend"], found["dataset"]["n"], found["execution"]["cycles"]) == ("testbed", 4, 5)
    assert found["sweep"] == {"testbed.batch_size": [1, 2], "dataset.output_tokens": [3, 4]}
    assert planned(llem, "study.yaml")["distinct"] == 4


@pytest.mark.process
def test_on_a_terminal_an_offer_is_taken_by_its_number(tmp_path: Path) -> None:
    code, seen = on_a_terminal(
        tmp_path, "1\n\n", *TINY, "--dataset", "aienergyscore", "-n", "2", "--output-tokens", "2", "--quick"
    )
    assert code == 0, seen
    assert "Model" not in seen
    assert len(read_yaml((tmp_path / "study.yaml").read_text(), "study").data["sweep"]) == 1


@pytest.mark.process
def test_on_a_terminal_a_short_file_of_prompts_is_no_dead_end(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"prompt": "a"}\n' * 3)
    (tmp_path / "below").mkdir()
    flags = (*TINY, "--quick", "--output-tokens", "2", "-o", "below/study.yaml")
    code, seen = on_a_terminal(tmp_path, "mine.jsonl\n4\n\n\n", *flags)
    assert code == 0, seen
    assert "4 are asked for" in seen
    assert "How many prompts [3]" in seen, "all that the file has"
    found = read_yaml((tmp_path / "below" / "study.yaml").read_text(), "study").data
    assert (found["dataset"]["path"], found["dataset"]["n"]) == ("../mine.jsonl", 3)


@pytest.mark.process
def test_on_a_terminal_nothing_is_asked_with_yes(tmp_path: Path) -> None:
    code, seen = on_a_terminal(tmp_path, "", *TINY, "--yes")
    assert code == 0
    assert "Vary" not in seen


@pytest.mark.process
def test_whoever_leaves_the_questions_leaves_nothing_behind(tmp_path: Path) -> None:
    code, seen = on_a_terminal(tmp_path, "random:tiny-llama\n\x04")
    assert code == 130, seen
    assert "llem: interrupted." in seen
    assert list(tmp_path.iterdir()) == []


@pytest.mark.process
def test_what_keeps_any_study_from_being_read_is_told_before_the_first_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLEM_DATASET_NN", "3")
    code, seen = on_a_terminal(tmp_path, "")
    assert code == 2
    assert "LLEM_DATASET_NN is unknown" in seen
    assert "Model" not in seen
