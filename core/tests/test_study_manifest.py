"""The manifest is exact on disk at every instant, whatever the size of the study and wherever its journal was cut."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llem.errors import ResultError
from llem.study import manifest as module
from llem.study.journal import JOURNAL
from llem.study.manifest import SMALL, Entry, ManifestWriter, StudyManifest, now_utc, read_manifest


def a_manifest(n: int) -> StudyManifest:
    return StudyManifest(
        name="study",
        created_at=now_utc(),
        llem_version="0",
        study_design_hash="d" * 64,
        order="interleaved",
        seed=42,
        cycles=1,
        experiments=[
            Entry(position=i, cycle=1, config_hash=f"{i:064x}", directory=f"experiments/{i}", point={"n": i})
            for i in range(1, n + 1)
        ],
    )


STATES = st.sampled_from(["pending", "running", "done", "failed", "interrupted", "not_needed"])
SUMMARIES = st.none() | st.fixed_dictionaries({"type": st.just("Crash"), "message": st.text(max_size=30)})
CHANGES = st.lists(
    st.tuples(st.integers(1, 6), STATES, SUMMARIES) | st.sampled_from(["running", "stopped", "complete"]), max_size=25
)


def make(writer: ManifestWriter, change: Any) -> None:
    if isinstance(change, str):
        writer.study(change)  # type: ignore[arg-type]
    else:
        position, state, failure = change
        writer.experiment(position, state, started_at=now_utc(), failure=failure)


@pytest.mark.parametrize("n", [3, SMALL + 1])
def test_what_is_read_is_what_was_written_after_every_change(tmp_path: Path, n: int) -> None:
    writer = ManifestWriter(tmp_path, a_manifest(n))
    assert read_manifest(tmp_path) == writer.manifest
    for change in [(1, "running", None), (1, "done", None), (3, "failed", {"type": "Crash"}), "stopped"]:
        make(writer, change)
        assert read_manifest(tmp_path) == writer.manifest
    writer.close()
    assert read_manifest(tmp_path).totals == {
        "experiments": n,
        "pending": n - 2,
        "running": 0,
        "done": 1,
        "failed": 1,
        "interrupted": 0,
        "not_needed": 0,
    }


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, data=st.data())
def test_a_journal_cut_at_any_byte_gives_a_state_that_once_was(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, changes: list[Any], data: st.DataObject
) -> None:
    monkeypatch.setattr(module, "SMALL", data.draw(st.sampled_from([3, 5])))
    directory = tmp_path_factory.mktemp("study")
    writer = ManifestWriter(directory, a_manifest(6))
    states = [writer.manifest.text()]
    for change in changes:
        make(writer, change)
        states.append(writer.manifest.text())
        if data.draw(st.booleans()):
            assert read_manifest(directory).text() == states[-1]
    writer.close()
    journal = directory / JOURNAL
    at_least = json.loads((directory / "manifest.json").read_text())["seq"]
    whole = journal.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    os.truncate(journal, cut)
    lines = whole[:cut].count(b"\n")
    assert read_manifest(directory).text() == states[max(at_least, lines)]


def test_a_change_to_a_large_study_does_not_rewrite_the_snapshot(tmp_path: Path) -> None:
    writer = ManifestWriter(tmp_path, a_manifest(SMALL + 1))
    before = (tmp_path / "manifest.json").stat()
    writer.experiment(1, "running", started_at=now_utc())
    assert (tmp_path / "manifest.json").stat().st_ino == before.st_ino
    for i in range(SMALL):
        writer.experiment(i + 1, "done")
    assert json.loads((tmp_path / "manifest.json").read_text())["seq"] == SMALL
    writer.study("complete")
    assert json.loads((tmp_path / "manifest.json").read_text())["state"] == "complete"
    writer.close()


def test_a_journal_with_a_line_in_the_middle_that_is_broken_is_read_up_to_there(tmp_path: Path) -> None:
    writer = ManifestWriter(tmp_path, a_manifest(SMALL + 1))
    for i in (1, 2, 3):
        writer.experiment(i, "done")
    writer.close()
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / JOURNAL).write_bytes(lines[0] + b"[1]\n" + lines[2])
    assert read_manifest(tmp_path).counts["done"] == 1


def test_a_write_that_fails_leaves_the_last_state(tmp_path: Path) -> None:
    writer = ManifestWriter(tmp_path, a_manifest(3))
    writer.experiment(1, "running")
    text = (tmp_path / "manifest.json").read_text()
    moved = tmp_path.with_name("moved")
    tmp_path.rename(moved)
    with pytest.raises(OSError, match="No such file"):
        writer.experiment(1, "done")
    assert (moved / "manifest.json").read_text() == text
    assert [p.name for p in moved.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "not JSON"),
        ('{"schema_version": 99}', "version 99"),
        ('{"schema_version": 1}', "not a whole manifest"),
        ("[]", "no JSON object"),
    ],
)
def test_what_is_no_manifest_is_refused_by_name(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ResultError, match=match):
        read_manifest(tmp_path)


def test_a_manifest_with_an_unknown_state_is_refused(tmp_path: Path) -> None:
    ManifestWriter(tmp_path, a_manifest(2)).close()
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace('"pending"', '"perhaps"', 1).replace('"state": "pending"', '"state": "x"'))
    with pytest.raises(ResultError, match="state"):
        read_manifest(tmp_path)


def test_a_folder_without_a_manifest_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="there is no manifest"):
        read_manifest(tmp_path)
