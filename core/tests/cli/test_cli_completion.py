"""Words that a shell is offered."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from llem.cli import main

Offered = Callable[..., list[str]]


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Offered:
    """The words that bash is offered for the last one of a line, each with its kind; nothing else may be printed."""
    monkeypatch.chdir(tmp_path)

    def ask(line: str, **variables: str) -> list[str]:
        asking = {"_LLEM_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        with monkeypatch.context() as given:
            for name, value in {**asking, **variables}.items():
                given.setenv(name, value)
            main([])
        written = capsys.readouterr()
        assert written.err == ""
        return written.out.splitlines()

    return ask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two studies in its results, and something that is none."""
    for number, name in enumerate(("old-1", "new-2", "none")):
        study = tmp_path / "results" / name
        study.mkdir(parents=True)
        if name != "none":
            (study / "manifest.json").write_text("{}")
        os.utime(study, (number, number))
    return tmp_path


@pytest.mark.parametrize(
    ("line", "first", "among"),
    [
        ("llem in", ["plain,init"], []),
        ("llem ", ["plain,run"], ["plain,init", "plain,doctor", "plain,completion"]),
        ("llem --ver", ["plain,--version"], []),
        ("llem config sh", ["plain,show"], []),
        ("llem plugin ", ["plain,new"], []),
        ("llem run --dry", ["plain,--dry-run"], []),
        ("llem run --backend te", ["plain,testbed"], []),
        ("llem run --dataset syn", ["plain,synthetic"], []),
        ("llem run --runner lo", ["plain,local"], []),
        ("llem run --skip-preflight gov", ["plain,governor"], []),
        ("llem run --set tes", ["plain,testbed."], []),
        ("llem run --set testbed.", ["plain,testbed.batch_size="], ["plain,testbed.token_s="]),
        ("llem init --vary testbed.ba", ["plain,testbed.batch_size="], []),
        ("llem run ", ["file,"], []),
        ("llem show ", ["plain,results/new-2", "plain,results/old-1"], []),
        ("llem resume results/o", ["plain,results/old-1"], []),
        ("llem compare results/new-2 results/o", ["plain,results/old-1"], []),
        ("llem analyze elsewhere", ["file,elsewhere"], []),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_word_that_is_begun_is_completed(offered: Offered, line: str, first: list[str], among: list[str]) -> None:
    found = offered(line)
    assert found[: len(first)] == first
    assert set(among) <= set(found)


def test_whatever_goes_wrong_nothing_is_offered_and_nothing_said(offered: Offered, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    assert offered("llem show ") == ["file,"]
    assert offered("llem no-such-command ") == offered("llem ")
    assert offered("llem show ", COMP_CWORD="many") == []
