"""The manifest is exact on disk at every instant, whatever the size of the study and wherever its journal was cut."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llem.errors import ResultError
from llem.study.manifest import writer as module
from llem.study.manifest.journal import JOURNAL, Journal
from llem.study.manifest.manifest import PREVIOUS, Entry, StudyManifest, now_utc, recover
from llem.study.manifest.writer import SMALL, ManifestWriter


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


STATES = st.sampled_from(["pending", "running", "done", "failed", "interrupted", "not_needed", "skipped"])
SUMMARIES = st.none() | st.fixed_dictionaries({"type": st.just("Crash"), "message": st.text(max_size=30)})
CHANGES = st.lists(
    st.tuples(st.integers(1, 6), STATES, SUMMARIES) | st.sampled_from(["running", "stopped", "complete"]), max_size=15
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
    assert recover(tmp_path).manifest == writer.manifest
    for change in [(1, "running", None), (1, "done", None), (3, "failed", {"type": "Crash"}), "stopped"]:
        make(writer, change)
        assert recover(tmp_path).manifest == writer.manifest
    writer.close()
    assert recover(tmp_path).manifest.totals == {
        "experiments": n,
        "pending": n - 2,
        "running": 0,
        "done": 1,
        "failed": 1,
        "interrupted": 0,
        "not_needed": 0,
        "skipped": 0,
        "dropped": 0,
    }


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, data=st.data())
def test_a_journal_cut_at_any_byte_gives_a_state_that_once_was(
    memory: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, changes: list[Any], data: st.DataObject
) -> None:
    monkeypatch.setattr(module, "SMALL", data.draw(st.sampled_from([3, 5])))
    directory = memory()
    writer = ManifestWriter(directory, a_manifest(6))
    states = [writer.manifest.text()]
    for change in changes:
        make(writer, change)
        states.append(writer.manifest.text())
        if data.draw(st.booleans()):
            assert recover(directory).manifest.text() == states[-1]
    writer.close()
    journal = directory / JOURNAL
    at_least = json.loads((directory / "manifest.json").read_text())["seq"]
    whole = journal.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    os.truncate(journal, cut)
    lines = whole[:cut].count(b"\n")
    assert recover(directory).manifest.text() == states[max(at_least, lines)]


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


def test_a_journal_with_a_line_in_the_middle_that_is_broken_is_read_up_to_there_and_told(tmp_path: Path) -> None:
    writer = ManifestWriter(tmp_path, a_manifest(SMALL + 1))
    for i in (1, 2, 3):
        writer.experiment(i, "done")
    writer.close()
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / JOURNAL).write_bytes(lines[0] + b"[1]\n" + lines[2])
    found = recover(tmp_path)
    assert found.manifest.counts["done"] == 1
    assert len(found.damage) == 1
    assert "line 2" in found.damage[0]


def test_a_write_that_fails_leaves_the_last_state(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    writer = ManifestWriter(folder, a_manifest(3))
    writer.experiment(1, "running")
    text = (folder / "manifest.json").read_text()
    moved = tmp_path / "moved"
    folder.rename(moved)
    with pytest.raises(OSError, match="No such file"):
        writer.experiment(1, "done")
    assert (moved / "manifest.json").read_text() == text
    assert not list(moved.glob("*.tmp"))
    # What was written before the failure counts: the journal had taken the change.
    assert recover(moved).manifest.counts["done"] == 1


@pytest.mark.parametrize("n", [3, SMALL + 1])
def test_a_damaged_snapshot_is_made_up_for_by_the_one_before_it(tmp_path: Path, n: int) -> None:
    writer = ManifestWriter(tmp_path, a_manifest(n))
    for state in ("running", "done"):
        writer.experiment(1, state)  # type: ignore[arg-type]
    writer.study("stopped")
    writer.experiment(2, "running")
    path = tmp_path / "manifest.json"
    data = path.read_bytes()
    for damaged in (b"", data[: len(data) // 2], data.replace(b'"done"', b'"dohe"', 1), b"\0" * len(data)):
        path.write_bytes(damaged)
        found = recover(tmp_path)
        assert found.manifest == writer.manifest
        assert len(found.damage) == 1
        assert str(path) in found.damage[0]
    path.unlink()
    assert recover(tmp_path).manifest == writer.manifest


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, data=st.data())
def test_any_flipped_bit_gives_a_state_that_once_was_and_is_told(
    memory: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, changes: list[Any], data: st.DataObject
) -> None:
    monkeypatch.setattr(module, "SMALL", data.draw(st.sampled_from([3, 5, 10])))
    directory = memory()
    writer = ManifestWriter(directory, a_manifest(6))
    states = {writer.manifest.text()}
    for change in changes:
        make(writer, change)
        states.add(writer.manifest.text())
    writer.close()
    path = directory / data.draw(st.sampled_from(["manifest.json", JOURNAL]))
    content = bytearray(path.read_bytes())
    if not content:
        return
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    found = recover(directory)
    assert found.manifest.text() in states
    assert found.damage
    if path.name == "manifest.json":
        assert found.manifest == writer.manifest


def test_a_reader_in_the_middle_of_a_fresh_start_sees_the_state_before_or_after(tmp_path: Path) -> None:
    writer = ManifestWriter(tmp_path, a_manifest(3))
    writer.experiment(1, "done")
    writer.close()
    before = recover(tmp_path).manifest
    after = a_manifest(4)
    after.seq = before.seq + 1
    (tmp_path / "manifest.json").write_text(after.text())
    assert recover(tmp_path).manifest == after  # with the old journal
    (tmp_path / PREVIOUS).write_text(after.text())
    Journal(tmp_path / JOURNAL).close()
    assert recover(tmp_path).manifest == after


def test_a_manifest_of_version_one_is_still_read(tmp_path: Path) -> None:
    text = a_manifest(2).text()
    head, _, _ = text.rpartition(',\n "checksum"')
    (tmp_path / "manifest.json").write_text(head.replace('"schema_version": 2', '"schema_version": 1') + "\n}\n")
    assert len(recover(tmp_path).manifest.experiments) == 2


def test_half_a_surrogate_pair_in_a_failure_is_kept(tmp_path: Path) -> None:
    writer = ManifestWriter(tmp_path, a_manifest(2))
    writer.experiment(1, "failed", failure={"message": "no \udc80 file"})
    writer.close()
    found = recover(tmp_path)
    assert found.manifest == writer.manifest
    assert not found.damage


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "not the JSON"),
        ('{"schema_version": 99}', "version 99"),
        ('{"schema_version": 1}', "not a whole manifest"),
        ('{"schema_version": 2}', "checksum does not fit"),
        ("[]", "not the JSON"),
    ],
)
def test_what_is_no_manifest_is_refused_by_name(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ResultError, match=match):
        recover(tmp_path)


def test_a_manifest_with_an_unknown_state_is_refused(tmp_path: Path) -> None:
    ManifestWriter(tmp_path, a_manifest(2)).close()
    manifest = a_manifest(2)
    manifest.experiments[0].state = "perhaps"  # type: ignore[assignment]
    (tmp_path / PREVIOUS).unlink()
    (tmp_path / "manifest.json").write_text(StudyManifest(**vars(manifest)).text())
    with pytest.raises(ResultError, match="state"):
        recover(tmp_path)


def test_a_folder_without_a_manifest_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="there is no manifest"):
        recover(tmp_path)
