"""Baselines that are accepted into a folder or a branch of git: kept whole, read back checked, and never half."""

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

from llem.cli import main
from llem.errors import ConfigError, ResultError
from llem.study.manifest.manifest import StudyManifest
from llem_analysis import accept_baseline, gate, list_baselines, stored_baseline

WriteDesign = Callable[..., Path]
SIZES = [{"pytorch.batch_size": size} for size in (1, 2)]
NAMES = ["", ".", "..", "a/b", "../a", "-x", ".hidden", "a b", "ä", "x" * 101, "llem-baselines.json", "a\n"]

pytestmark = pytest.mark.process  # git is one


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=A Test", "-c", "user.email=test@localhost", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", str(folder), *who, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that knows no user and no settings, as on a forge's runner, and no step that these tests may run in."""
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith(("GIT_", "XDG_CONFIG"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("EMAIL", "")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a commit, a staged change, one that is not staged, and a file that git does not know; the folder of this test."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "code.py").write_text("a = 1\n")
    git(folder, "add", "code.py")
    git(folder, "commit", "-q", "-m", "Begin")
    (folder / "code.py").write_text("a = 2\n")
    git(folder, "add", "code.py")
    (folder / "code.py").write_text("a = 3\n")
    (folder / "new.py").write_text("b = 1\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(params=["folder", "branch"])
def store(request: pytest.FixtureRequest, tmp_path: Path, repository: Path) -> str:
    return str(tmp_path / "store") if request.param == "folder" else "git:llem-baseline"


def study(write: WriteDesign, name: str = "before", factor: float = 1.0, seed: int = 1, cycles: int = 5) -> Path:
    def energy(point: Mapping[str, Any]) -> float:
        return factor * 4.0 / float(point["pytorch.batch_size"])

    return write(SIZES, energy=energy, cycles=cycles, noise=0.005, relative=True, name=name, seed=seed)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The paragraph with which llem refuses, and ends with 2."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr()
    text = said.err.strip()
    assert "Traceback" not in text
    assert len(text.splitlines()) == 1, text
    assert said.out == ""
    return text


def place_of(folder: Path) -> Path:
    """The files of the baseline `main` in a store that is a folder."""
    return folder / "main" / json.loads((folder / "main" / "baseline.json").read_text())["folder"]


# --- Accepted, listed, judged.


@pytest.mark.parametrize(("factor", "code"), [(1.0, 0), (1.1, 1), (1.03, 5)])
def test_a_gate_against_a_stored_baseline_is_the_gate_against_its_study(
    write_design: WriteDesign, store: str, capsys: pytest.CaptureFixture[str], factor: float, code: int
) -> None:
    before, after = study(write_design), study(write_design, "after", factor, seed=2)
    direct = gate(before, after, max_increase=0.03).document()
    assert main(["baseline", "accept", str(before), "--store", store]) == 0
    assert "before is the baseline main of" in capsys.readouterr().out
    shutil.rmtree(before)
    assert main(["gate", "main", str(after), "--store", store, "--max-increase", "3%", "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert found["baseline"] == f"main in {store}"
    assert {**found, "baseline": direct["baseline"]} == json.loads(json.dumps(direct))


def test_several_are_listed(write_design: WriteDesign, store: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("main", "gpu-2"):
        accept_baseline(study(write_design, f"of-{name}"), store, name)
    found = list_baselines(store)
    assert [(one.name, one.study, one.damage) for one in found] == [
        ("gpu-2", "of-gpu-2", None),
        ("main", "of-main", None),
    ]
    assert all(one.files == 20 and one.size > 1_000 and one.accepted_at for one in found)
    assert main(["baseline", "list", "--store", store]) == 0
    assert "of-gpu-2" in capsys.readouterr().out
    assert main(["baseline", "list", "--store", store, "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["baselines"]] == ["gpu-2", "main"]


def test_readings_requests_and_logs_are_not_kept_and_a_copy_is_removed(write_design: WriteDesign, store: str) -> None:
    before = study(write_design)
    job = next((before / "experiments").iterdir())
    for name in ("timeseries.parquet", "requests.parquet", "worker.log"):
        (job / name).write_bytes(b"x" * 100_000)
    accept_baseline(before, store)
    with stored_baseline(store, "main") as copy:
        kept = sorted(str(one.relative_to(copy)) for one in copy.rglob("*") if one.is_file())
        assert copy.name == "before"
    assert not copy.exists()
    expected = {one.relative_to(before) for one in before.rglob("*.json")}
    assert kept == sorted(map(str, expected))


def test_a_new_one_takes_the_place_of_the_old(write_design: WriteDesign, store: str) -> None:
    accept_baseline(study(write_design, "old", cycles=5), store)
    accept_baseline(study(write_design, "new", cycles=3), store)
    (found,) = list_baselines(store)
    assert found.study == "new"
    with stored_baseline(store, "main") as copy:
        assert len(list(copy.rglob("result.json"))) == 6


# --- A branch.


def test_neither_working_tree_nor_index_is_touched(write_design: WriteDesign, repository: Path) -> None:
    def state() -> tuple[str, ...]:
        (files := sorted(path for path in repository.rglob("*") if path.is_file() and ".git" not in path.parts))
        content = "".join(f"{path}{path.read_text()}{path.stat().st_mtime_ns}" for path in files)
        index = hashlib.sha256((repository / ".git" / "index").read_bytes()).hexdigest()
        head = (repository / ".git" / "HEAD").read_text() + git(repository, "rev-parse", "HEAD")
        return content, index, head, git(repository, "diff"), git(repository, "diff", "--cached")

    before = state()
    accept_baseline(study(write_design), "git:llem-baseline")
    accept_baseline(study(write_design, "next"), "git:llem-baseline")
    list_baselines("git:llem-baseline")
    assert state() == before
    assert sorted(path.name for path in (repository / ".git").glob("*.lock")) == []


def test_each_acceptance_is_a_commit_and_the_branch_holds_only_the_newest(
    write_design: WriteDesign, repository: Path
) -> None:
    for name in ("one", "two"):
        accept_baseline(study(write_design, name), "git:llem-baseline")
    accept_baseline(study(write_design, "three"), "git:llem-baseline", "other")
    said = git(repository, "log", "--format=%s by %an", "llem-baseline").splitlines()
    assert said == ["Accept three as other by llem", "Accept two as main by llem", "Accept one as main by llem"]
    tree = git(repository, "ls-tree", "-r", "--name-only", "llem-baseline").splitlines()
    assert {path.split("/")[0] for path in tree} == {"llem-baselines.json", "main", "other"}
    assert len({path.split("/")[1] for path in tree if path.startswith("main/study-")}) == 1
    assert git(repository, "merge-base", "--all", "llem-baseline", "llem-baseline~2")  # one line of history
    assert git(repository, "fsck", "--strict") == ""


def test_another_clone_reads_what_was_pushed_and_builds_on_it(
    write_design: WriteDesign, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept_baseline(study(write_design, "first"), "git:llem-baseline")
    git(tmp_path, "init", "-q", "--bare", "forge")
    git(repository, "push", "-q", str(tmp_path / "forge"), "main", "llem-baseline")
    git(tmp_path, "clone", "-q", "forge", "clone")
    monkeypatch.chdir(tmp_path / "clone")
    assert [one.study for one in list_baselines("git:llem-baseline")] == ["first"]
    accept_baseline(study(write_design, "second"), "git:llem-baseline", "other")
    git(tmp_path / "clone", "push", "-q", "origin", "llem-baseline")  # no force is needed
    monkeypatch.chdir(tmp_path / "forge")  # a bare repository
    assert [one.study for one in list_baselines("git:llem-baseline")] == ["first", "second"]
    accept_baseline(study(write_design, "third"), "git:llem-baseline")
    assert [one.study for one in list_baselines("git:llem-baseline")] == ["third", "second"]


def test_a_branch_of_other_things_or_that_is_checked_out_is_refused(
    write_design: WriteDesign, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, head = study(write_design), git(repository, "rev-parse", "HEAD")
    git(repository, "branch", "feature")
    assert "this branch is checked out" in refused(capsys, "baseline", "accept", before, "--store", "git:main")
    for words in (["accept", before], ["list"]):
        assert "holds something else" in refused(capsys, "baseline", *words, "--store", "git:feature")
    assert git(repository, "rev-parse", "feature") == git(repository, "rev-parse", "main") == head


def test_a_branch_that_is_not_there_says_how_it_comes(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "gate", "main", "x", "--store", "git:llem-baseline", "--max-increase", "3%")
    assert "git fetch origin llem-baseline:llem-baseline" in said


@pytest.mark.parametrize("branch", ["", "-D", "--help", "a..b", "x.lock", "a b", "@{-1}", "../x", "a\\b"])
def test_what_is_no_name_of_a_branch_is_refused(
    write_design: WriteDesign, repository: Path, capsys: pytest.CaptureFixture[str], branch: str
) -> None:
    refs = git(repository, "show-ref")
    assert "no name of a branch" in refused(capsys, "baseline", "accept", study(write_design), f"--store=git:{branch}")
    assert git(repository, "show-ref") == refs


def test_where_git_or_the_repository_is_missing_it_is_told(
    write_design: WriteDesign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = study(write_design)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "not a git repository" in refused(capsys, "baseline", "accept", before, "--store", "git:b")
    monkeypatch.setenv("PATH", str(tmp_path / "home"))
    assert "takes git, which cannot be started here" in refused(capsys, "baseline", "list", "--store", "git:b")
    assert main(["baseline", "accept", str(before), "--store", "folder"]) == 0, "a folder takes no git"


# --- Names, and where they lead.


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_what_is_no_name_of_a_baseline_is_refused(
    write_design: WriteDesign, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    before = study(write_design)
    there = sorted(tmp_path.rglob("*"))
    assert "is no name of a baseline" in refused(
        capsys, "baseline", "accept", before, "--store", store, f"--name={name}"
    )
    assert sorted(tmp_path.rglob("*")) == there
    with pytest.raises(ConfigError, match="is no name of a baseline"), stored_baseline(store, name):
        pass


def test_a_link_leads_nowhere(write_design: WriteDesign, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, outside, store = study(write_design), tmp_path / "outside", tmp_path / "store"
    accept_baseline(before, str(store), "good")
    outside.mkdir()
    (store / "main").symlink_to(outside)
    assert "link to elsewhere" in refused(capsys, "baseline", "accept", before, "--store", store)
    assert list(outside.iterdir()) == []
    (store / "main").unlink()
    accept_baseline(before, str(store))
    job = next((place_of(store) / "experiments").iterdir())
    shutil.move(str(job / "result.json"), str(outside / "result.json"))
    (job / "result.json").symlink_to(outside / "result.json")
    assert "link to elsewhere" in refused(capsys, "gate", "main", before, "--store", store, "--max-increase", "3%")


@pytest.mark.parametrize("path", ["../../escaped", "/tmp/escaped", "a/../../b", ".git/config", "a//b", "-x", "a\nb"])
def test_a_record_that_names_files_elsewhere_is_refused(
    write_design: WriteDesign, tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    before, store = study(write_design), tmp_path / "store"
    accept_baseline(before, str(store))
    record = store / "main" / "baseline.json"
    document = json.loads(record.read_text())
    document["files"][path] = {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}
    record.write_text(json.dumps(document))
    said = refused(capsys, "gate", "main", before, "--store", store, "--max-increase", "3%")
    assert "no name that a file of a baseline can have" in said
    (found,) = list_baselines(str(store))
    assert found.damage is not None


def test_a_folder_of_other_things_is_no_store(
    write_design: WriteDesign, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = study(write_design)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("text")
    assert "not empty" in refused(capsys, "baseline", "accept", before, "--store", tmp_path / "mine")
    assert [one.name for one in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    assert "no store of baselines here" in refused(capsys, "baseline", "list", "--store", tmp_path / "absent")
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(capsys, "baseline", "accept", before, "--store", tmp_path / "file")
    assert "there is no store" in refused(capsys, "baseline", "list", "--store", "")


# --- Damage.


def test_a_baseline_that_is_not_there_is_told_with_those_that_are(
    write_design: WriteDesign, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = study(write_design)
    accept_baseline(before, store, "main-gpu1")
    said = refused(capsys, "gate", "main-gpu2", before, "--store", store, "--max-increase", "3%")
    assert "no baseline `main-gpu2`" in said
    assert "Did you mean main-gpu1?" in said


@pytest.mark.parametrize("damage", ["changed", "longer", "gone", "pipe"])
def test_a_damaged_file_is_named_and_never_used(
    write_design: WriteDesign, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    before, store = study(write_design), tmp_path / "store"
    accept_baseline(before, str(store))
    victim = sorted(place_of(store).rglob("result.json"))[3]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.unlink()
    if damage in ("changed", "longer"):
        victim.write_bytes(data if damage == "changed" else data + b" ")
    elif damage == "pipe":
        os.mkfifo(victim)
    said = refused(capsys, "gate", "main", before, "--store", store, "--max-increase", "3%")
    assert str(victim.relative_to(place_of(store))) in said


def test_every_flipped_byte_of_a_stored_file_is_found(write_design: WriteDesign, tmp_path: Path) -> None:
    store = tmp_path / "store"
    accept_baseline(study(write_design, cycles=3), str(store))
    victim = sorted(place_of(store).rglob("result.json"))[0]
    data = victim.read_bytes()
    for place in range(0, len(data), max(1, len(data) // 50)):
        victim.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(ResultError, match="it was changed since"), stored_baseline(str(store), "main"):
            pass


@pytest.mark.parametrize(
    "record",
    [b"", b"[]", b"{", b"[" * 100_000, b'{"schema_version": 2}', b'{"schema_version": 1, "files": 3}', b"\xff"],
    ids=["empty", "list", "open", "deep", "other-schema", "no-files", "no-text"],
)
def test_a_record_that_is_none_is_one_paragraph(
    write_design: WriteDesign, tmp_path: Path, capsys: pytest.CaptureFixture[str], record: bytes
) -> None:
    before, store = study(write_design), tmp_path / "store"
    accept_baseline(before, str(store))
    accept_baseline(before, str(store), "whole")
    (store / "main" / "baseline.json").write_bytes(record)
    said = refused(capsys, "gate", "main", before, "--store", store, "--max-increase", "3%")
    assert "record of this baseline cannot be taken" in said
    assert main(["baseline", "list", "--store", str(store)]) == 0
    assert "whole" in capsys.readouterr().out
    assert main(["gate", "whole", str(before), "--store", str(store), "--max-increase", "3%"]) == 0


def test_a_damaged_repository_is_one_paragraph(
    write_design: WriteDesign, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = study(write_design)
    accept_baseline(before, "git:llem-baseline")
    path = next(
        line for line in git(repository, "ls-tree", "-r", "llem-baseline").splitlines() if line.endswith("result.json")
    )
    sha = path.split()[2]
    (repository / ".git" / "objects" / sha[:2] / sha[2:]).unlink()
    said = refused(capsys, "gate", "main", before, "--store", "git:llem-baseline", "--max-increase", "3%")
    assert "result.json" in said


# --- Studies that are none, and acceptances that are broken off.


def with_manifest(folder: Path, state: Any) -> None:
    manifest = StudyManifest(
        name="x", created_at="2026-01-01T12:00:00+00:00", llem_version="0.1.0", study_design_hash="0" * 64,
        order="sequential", seed=1, cycles=5, experiments=[], state=state,
    )  # fmt: skip
    (folder / "manifest.json").write_text(manifest.text())


@pytest.mark.parametrize("state", ["running", "interrupted", "stopped"])
def test_a_study_that_is_not_complete_is_refused(
    write_design: WriteDesign, store: str, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    before = study(write_design)
    with_manifest(before, state)
    assert f"this study is {state}" in refused(capsys, "baseline", "accept", before, "--store", store)
    with_manifest(before, "complete")
    assert main(["baseline", "accept", str(before), "--store", store]) == 0


def test_what_is_no_study_is_refused(
    write_design: WriteDesign, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = study(write_design)
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "absent", next((before / "experiments").iterdir())):
        refused(capsys, "baseline", "accept", folder, "--store", store)
    failed = write_design(SIZES, each=lambda _point, _cycle: {"failure": {"type": "X", "message": "m"}}, name="failed")
    assert "no experiment in it is done" in refused(capsys, "baseline", "accept", failed, "--store", store)
    job = next((before / "experiments").iterdir())
    shutil.move(str(job / "experiment.json"), str(tmp_path / "experiment.json"))
    (job / "experiment.json").symlink_to(tmp_path / "experiment.json")
    assert "link" in refused(capsys, "baseline", "accept", before, "--store", store)


KILLED = """
import os, signal, sys
import llem_analysis.baseline_folder as folder, llem_analysis.baseline_branch as branch
from llem_analysis.baseline_study import copied
from llem_analysis import accept_baseline
count = 0
def dying(*words, **named):
    global count
    count += 1
    if count == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return copied(*words, **named)
folder.copied = branch.copied = dying
accept_baseline(sys.argv[1], sys.argv[2])
"""


def test_an_acceptance_that_is_killed_changes_nothing(write_design: WriteDesign, store: str) -> None:
    accept_baseline(study(write_design, "old"), store)
    new = study(write_design, "new")
    done = subprocess.run([sys.executable, "-c", KILLED, str(new), store], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    assert [(one.name, one.study, one.damage) for one in list_baselines(store)] == [("main", "old", None)]
    with stored_baseline(store, "main") as copy:
        assert len(list(copy.rglob("result.json"))) == 10
    accept_baseline(new, store)
    assert [one.study for one in list_baselines(store)] == ["new"]


def test_an_acceptance_that_fails_halfway_leaves_nothing_behind(
    write_design: WriteDesign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    accept_baseline(study(write_design, "old"), str(store))
    there = sorted(store.rglob("*"))
    new = study(write_design, "new")
    import llem_analysis.baseline_study as module

    opened, whole = 0, module.open_file

    def full(path: Path) -> Any:
        nonlocal opened
        opened += 1
        if opened == 5:
            raise OSError(28, os.strerror(28))
        return whole(path)

    monkeypatch.setattr(module, "open_file", full)
    assert "No space left" in refused(capsys, "baseline", "accept", new, "--store", store)
    assert sorted(store.rglob("*")) == there


TOGETHER = """
import sys
from llem_analysis import accept_baseline
print("ready", flush=True)
sys.stdin.readline()
for name in sys.argv[3:]:
    accept_baseline(sys.argv[1], sys.argv[2], name)
"""


def test_acceptances_at_the_same_time_all_hold(write_design: WriteDesign, store: str, repository: Path) -> None:
    names = {of: [f"{of}1", "same", f"{of}2", "same"] for of in ("a", "b", "c")}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER, str(study(write_design, f"of-{of}", cycles=3)), store, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for of, words in names.items()
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    found = {one.name: one for one in list_baselines(store)}
    assert sorted(found) == sorted({name for words in names.values() for name in words})
    assert all(found[f"{of}{number}"].study == f"of-{of}" for of in names for number in (1, 2))
    assert found["same"].study in {f"of-{of}" for of in names}
    for name in found:
        with stored_baseline(store, name) as copy:
            assert len(list(copy.rglob("result.json"))) == 6
    if store.startswith("git:"):
        assert len(git(repository, "log", "--oneline", "llem-baseline").splitlines()) == 12
