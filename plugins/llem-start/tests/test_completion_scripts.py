"""`llem completion`: the scripts of the shells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two studies in its results."""
    for name in ("old-1", "new-2"):
        study = tmp_path / "results" / name
        study.mkdir(parents=True)
        (study / "manifest.json").write_text("{}")
    return tmp_path


def test_bash_completes_by_the_script(llem: Any, folder: Path) -> None:
    script = llem("completion", "bash").stdout
    assert "~/.bashrc" in script.splitlines()[1]
    (folder / "script").write_text(script)
    program = folder / "llem"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m llem "$@"\n')
    program.chmod(0o755)
    call = ". ./script; COMP_WORDS=(llem show results/n); COMP_CWORD=2; _llem_completion ./llem"
    done = subprocess.run(
        ["bash", "-c", f'{call}; printf "%s\\n" "${{COMPREPLY[@]}}"; complete -p llem'],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["results/new-2", "complete -o nosort -F _llem_completion llem"]


@pytest.mark.parametrize(("shell", "first"), [("zsh", "#compdef llem"), ("fish", "# For every new shell")])
def test_a_script_says_where_to_put_it(llem: Any, shell: str, first: str) -> None:
    lines = llem("completion", shell).stdout.splitlines()
    assert lines[0].startswith(first)
    assert any(line.startswith("# For every new shell: llem completion") for line in lines[:3])
    assert any(f"_LLEM_COMPLETE={shell}_complete" in line for line in lines)
