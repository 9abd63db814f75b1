"""Which commit a study file stands at."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from config_backends import BACKENDS

from llem.config.git import commit_of
from llem.config.layers import load_study


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study file, committed."""
    path = tmp_path / "odd [name] *.yaml"
    path.write_text("model: x\nbackend: testbed\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "-q", "-m", "one")
    return path


def test_a_committed_file_has_its_commit_and_is_clean(study: Path) -> None:
    found = commit_of(study)
    assert found is not None
    assert found.commit == git(study.parent, "rev-parse", "HEAD")
    assert not found.dirty


def test_a_changed_an_untracked_and_an_ignored_file_are_dirty(study: Path) -> None:
    study.write_text("model: y\n")
    (study.parent / "new.yaml").write_text("a: 1\n")
    (study.parent / "ignored.yaml").write_text("a: 1\n")
    (study.parent / ".gitignore").write_text("ignored.yaml\n")
    for name in (study.name, "new.yaml", "ignored.yaml"):
        found = commit_of(study.parent / name)
        assert found is not None
        assert found.dirty


def test_another_changed_file_does_not_make_the_study_dirty(study: Path) -> None:
    (study.parent / "other.yaml").write_text("a: 1\n")
    found = commit_of(study)
    assert found is not None
    assert not found.dirty


def test_there_is_none_outside_a_repository_or_before_its_first_commit(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("a: 1\n")
    assert commit_of(path) is None
    git(tmp_path, "init", "-q")
    assert commit_of(path) is None


def test_there_is_none_without_git(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert commit_of(study) is None


def test_the_environment_of_a_git_hook_does_not_mislead(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = commit_of(study)
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent")
    assert commit_of(study) == before


def test_a_loaded_study_knows_its_commit(study: Path) -> None:
    environ = {"XDG_CONFIG_HOME": "/nonexistent"}
    assert load_study(study, environ=environ, backends=BACKENDS).git_commit() == commit_of(study)
    document = {"model": "x", "backend": "testbed"}
    assert load_study(document=document, environ=environ, backends=BACKENDS).git_commit() is None
