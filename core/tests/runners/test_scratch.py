"""Temporary folders of workers whose llem was killed: what is provably nobody's is removed, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llem.runners import scratch
from llem.runners.scratch import clear_scratch, new_scratch

MAKE = "from llem.runners.scratch import new_scratch; print(new_scratch(), flush=True); import sys; sys.stdin.read()"


@pytest.fixture
def owner(tmp_path: Path) -> subprocess.Popen[str]:
    """A process with a folder of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", MAKE],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.process
def test_a_folder_goes_when_its_owner_was_killed_and_not_before(owner: subprocess.Popen[str], tmp_path: Path) -> None:
    assert owner.stdout is not None
    folder = Path(owner.stdout.readline().strip())
    (folder / "cache").write_text("x")
    assert clear_scratch(tmp_path) == 0
    assert folder.is_dir()
    owner.kill()
    owner.communicate()
    assert clear_scratch(tmp_path) == 1
    assert not folder.exists()


@pytest.mark.process
def test_a_folder_that_a_process_still_has_for_its_own_stays(owner: subprocess.Popen[str], tmp_path: Path) -> None:
    assert owner.stdout is not None
    folder = Path(owner.stdout.readline().strip())
    owner.kill()
    owner.communicate()
    with subprocess.Popen(
        [sys.executable, "-c", "print(1, flush=True); input()"],
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as left:
        assert left.stdout is not None
        left.stdout.readline()
        assert clear_scratch(tmp_path) == 0
        assert folder.is_dir()
        left.kill()
    assert clear_scratch(tmp_path) == 1


def test_what_is_not_provably_ours_and_dead_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
    mine = Path(new_scratch())
    here = mine.name.split("-")[1]
    dead = "4194399-17"
    kept = [
        mine,
        *(tmp_path / name for name in ("llem-abcdefgh", f"llem-000000000000-{dead}-abcdefgh", "llem-git-x", "other")),
        tmp_path / f"llem-{here}-{dead}-ab",
    ]
    for path in kept[1:]:
        path.mkdir()
    (tmp_path / "target").mkdir()
    link = tmp_path / f"llem-{here}-{dead}-linklink"
    link.symlink_to("target")
    gone = tmp_path / f"llem-{here}-{dead}-abcdefgh"
    gone.mkdir()
    assert clear_scratch() == 1
    assert not gone.exists()
    assert all(path.is_dir() for path in kept)
    assert link.is_symlink()


def test_a_number_that_another_process_has_by_now_is_no_owner(tmp_path: Path) -> None:
    name = Path(scratch.scratch_prefix()).name.split("-")
    reused = tmp_path / f"llem-{name[1]}-{os.getpid()}-{int(name[3]) - 1}-abcdefgh"
    reused.mkdir()
    assert clear_scratch(tmp_path) == 1
