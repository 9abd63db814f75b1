"""The commit that a study file stands at."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from config_backends import BACKENDS

from llem.config.git import GitCommit, commit_of
from llem.config.layers import load_study

pytestmark = pytest.mark.process


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


def test_without_git_the_commit_is_known_and_why_no_more_is(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = git(study.parent, "rev-parse", "HEAD")
    monkeypatch.setenv("PATH", "/nonexistent")
    found = commit_of(study)
    assert found is not None
    assert (found.commit, found.dirty) == (commit, None)
    assert "git is not installed" in str(found.reason)


def test_no_program_that_the_repository_names_is_run(study: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch '{ran}'\ncat\n")
    program.chmod(0o755)
    (study.parent / ".gitattributes").write_text("* filter=x diff=x text\n")
    git(study.parent, "add", "--all")
    git(study.parent, "commit", "-q", "-m", "two")
    commit = git(study.parent, "rev-parse", "HEAD")
    for key in (
        *("core.fsmonitor", "core.hooksPath", "core.sshCommand", "core.pager", "core.editor", "core.gitProxy"),
        *(
            "filter.x.clean",
            "filter.x.smudge",
            "filter.x.process",
            "diff.x.textconv",
            "diff.external",
            "uploadpack.packObjectsHook",
        ),
        *("alias.ls-tree", "core.alternateRefsCommand", "credential.helper", "remote.origin.uploadpack"),
    ):
        git(study.parent, "config", key, str(program))
    (tmp_path / "more").write_text(f"[core]\n\tfsmonitor = {program}\n")
    git(study.parent, "config", "include.path", str(tmp_path / "more"))
    git(study.parent, "config", "remote.origin.url", f"ext::{program}")
    git(study.parent, "config", "remote.origin.promisor", "true")
    git(study.parent, "config", "protocol.ext.allow", "always")
    git(study.parent, "config", "extensions.partialClone", "origin")
    ran.unlink(missing_ok=True)  # setting things up may have run it
    study.touch()
    found = commit_of(study)
    assert found is not None
    assert (found.commit, found.dirty) == (commit, False)
    assert not ran.exists()
    study.write_text("model: y\n")
    for path in (study.parent / ".git" / "objects").glob("??/*"):
        path.unlink()  # a lazy clone would fetch them now
    found = commit_of(study)
    assert found is not None
    assert (found.commit, found.dirty) == (commit, None)
    assert not ran.exists()


def test_packed_references_packed_objects_branches_and_work_trees_are_read(study: Path) -> None:
    commit = git(study.parent, "rev-parse", "HEAD")
    git(study.parent, "checkout", "-q", "-b", "deep/branch")
    git(study.parent, "gc", "-q")
    assert not (study.parent / ".git" / "refs" / "heads" / "deep" / "branch").exists()
    assert commit_of(study) == GitCommit(commit, False)
    git(study.parent, "checkout", "-q", "--detach")
    assert commit_of(study) == GitCommit(commit, False)
    git(study.parent, "worktree", "add", "-q", "-b", "other", "tree")
    assert commit_of(study.parent / "tree" / study.name) == GitCommit(commit, False)


def test_a_file_below_the_top_is_found_and_line_ends_do_not_count(study: Path) -> None:
    path = study.parent / "a" / "b" / "s.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a: 1\nb: 2\n")
    git(study.parent, "add", "--all")
    git(study.parent, "commit", "-q", "-m", "two")
    path.write_bytes(b"a: 1\r\nb: 2\r\n")
    found = commit_of(path)
    assert found is not None
    assert found.dirty is False


def test_a_repository_of_sha256_is_read(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256")
    path = tmp_path / "s.yaml"
    path.write_text("a: 1\n")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "-q", "-m", "one")
    assert commit_of(path) == GitCommit(git(tmp_path, "rev-parse", "HEAD"), False)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "head", ["pipe", "ref: ../../../etc/passwd", "ref: refs/heads/a\nb", "\xff", "", "ref: refs/heads/x"]
)
def test_a_repository_that_says_nonsense_gives_no_commit_and_stops_nothing(study: Path, head: str) -> None:
    path = study.parent / ".git" / "HEAD"
    path.unlink()
    if head == "pipe":
        os.mkfifo(path)
    else:
        path.write_text(head)
    if head == "ref: refs/heads/x":
        (study.parent / ".git" / "refs" / "heads" / "x").write_text("ref: refs/heads/x\n")
    found = commit_of(study)
    assert found is None or (found.commit is None and found.reason is not None)


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
