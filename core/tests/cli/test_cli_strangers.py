"""A results folder that came from a stranger: nothing outside of it is moved, read as a result or written, and nothing waits."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from plain_environment import plain_environment

from llem.cli import main
from llem.results.store import read_object
from llem.study.manifest.manifest import PREVIOUS, recover
from llem.study.record import RECORD

pytestmark = pytest.mark.process

FILES = [
    "manifest.json",
    PREVIOUS,
    "journal.jsonl",
    "study.yaml",
    RECORD,
    ".lock",
    "results.parquet",
    "experiments/*/result.json",
    "experiments/*/experiment.json",
    "experiments/*/timeseries.parquet",
    "experiments/*/requests.parquet",
    "experiments/*/events.jsonl",
    "experiments/*/worker.log",
]


@pytest.fixture(scope="module")
def once(quick: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("once")
    (folder / "study.yaml").write_text(json.dumps(dict(quick)))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "llem",
            "run",
            "study.yaml",
            "--quiet",
            "--skip-preflight",
            "governor",
            "--skip-preflight",
            "load",
        ],
        cwd=folder,
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (study,) = (folder / "results").iterdir()
    return study


@pytest.fixture
def study(once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(once, tmp_path / once.name))


def sealed(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a manifest as somebody would who knows how its checksum is made."""
    document = read_object(folder / "manifest.json", "manifest")
    document.pop("checksum")
    change(document)
    body = json.dumps(document, indent=1).encode()[: -len("\n}")]
    sum_ = hashlib.blake2b(body, digest_size=16).hexdigest()
    data = body + b',\n "checksum": "' + sum_.encode() + b'"\n}\n'
    (folder / "manifest.json").write_bytes(data)
    (folder / PREVIOUS).write_bytes(data)
    (folder / "journal.jsonl").write_bytes(b"")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("command", ["show", "resume"])
@pytest.mark.parametrize("file", FILES)
def test_a_pipe_in_the_place_of_a_file_stops_nothing(
    study: Path, file: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (path,) = study.glob(file)
    path.unlink()
    os.mkfifo(path)
    code = main(
        [
            command,
            str(study),
            *(["--skip-preflight", "governor", "--skip-preflight", "load"] if command == "resume" else []),
        ]
    )
    told = capsys.readouterr()
    assert code in (0, 2, 3), told.err
    assert "this is a bug of llem" not in told.err


@pytest.mark.parametrize("outside", ["../victim", "/victim", "experiments/../../victim", "experiments/away"])
def test_resume_moves_no_folder_outside_of_the_study(
    study: Path, outside: str, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = study.parent / "victim"
    victim.mkdir()
    (victim / "result.json").write_text("{}")
    (study / "experiments" / "away").symlink_to(victim)
    name = str(victim) if outside == "/victim" else outside
    sealed(study, lambda document: document["experiments"][0].update(directory=name, state="pending", files=None))
    assert main(["resume", str(study), "--skip-preflight", "governor", "--skip-preflight", "load"]) == 0
    assert (victim / "result.json").read_text() == "{}"
    assert sorted(path.name for path in victim.iterdir()) == ["result.json"]
    (entry,) = recover(study).manifest.experiments
    assert entry.state == "done"
    assert entry.directory.startswith("experiments/")
    assert entry.directory != "experiments/away"


@pytest.mark.parametrize("name", ["experiments", "set-aside", "results.parquet"])
def test_resume_writes_through_no_link_that_leads_out(
    study: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = study.parent / "outside"
    outside.mkdir()
    (outside / ".kept.tmp").write_text("kept")
    path = study / name
    if path.is_dir():
        path.rename(study.parent / "before")
    else:
        path.unlink(missing_ok=True)
    path.symlink_to(outside)
    assert main(["resume", str(study), "--skip-preflight", "governor", "--skip-preflight", "load"]) == 2
    assert "leads out of this folder" in capsys.readouterr().err
    assert [path.name for path in outside.iterdir()] == [".kept.tmp"]


def test_a_table_is_written_through_no_link(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = study.parent / "outside"
    outside.mkdir()
    (outside / ".kept.tmp").write_text("kept")
    (study / "results.parquet").unlink()
    (study / "results.parquet").symlink_to(outside)
    assert main(["show", str(study), "--rebuild"]) == 2
    assert "this is a link" in capsys.readouterr().err
    assert [path.name for path in outside.iterdir()] == [".kept.tmp"]


def test_the_lock_is_never_a_link_to_a_file_of_the_users(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (study.parent / "precious").write_text("kept")
    (study / ".lock").unlink(missing_ok=True)
    (study / ".lock").symlink_to(study.parent / "precious")
    assert main(["resume", str(study)]) == 3
    assert (study.parent / "precious").read_text() == "kept"


def test_a_seal_that_names_another_file_is_not_followed(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sealed(study, lambda document: document["experiments"][0].update(files={"../../../secret": "1 0"}))
    assert main(["resume", str(study), "--skip-preflight", "governor", "--skip-preflight", "load"]) == 0
    assert "names a file that no experiment leaves" in capsys.readouterr().err


def test_a_row_that_names_a_folder_outside_is_unreadable(study: Path) -> None:
    from llem.results.rows import rows_of

    (study.parent / "other").mkdir()
    (job,) = (study / "experiments").iterdir()
    shutil.copy(job / "result.json", study.parent / "other")
    (row,) = rows_of(study, ["../other"])
    assert row["status"] == "unreadable"
