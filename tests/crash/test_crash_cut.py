"""Files of a study cut off at every byte, as a power loss leaves them: what is read is a state that the study was in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crash.study import Study
from llem.errors import ResultError
from llem.results.store import read_result
from llem.study.manifest.journal import JOURNAL
from llem.study.manifest.manifest import MANIFEST, PREVIOUS, Entry, StudyManifest, recover
from llem.study.manifest.writer import SMALL, ManifestWriter
from llem.study.verify import verify

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]


def cuts(path: Path) -> Iterator[int]:
    """Cut a file at every byte, one after the other, and put it back; yields how much is left of it."""
    whole = path.read_bytes()
    try:
        for size in range(len(whole)):
            path.write_bytes(whole[:size])
            yield size
    finally:
        path.write_bytes(whole)


def states_of(folder: Path) -> str:
    """The state of the study and of each experiment, as a reader sees it."""
    manifest = recover(folder).manifest
    return f"{manifest.state}: {' '.join(entry.state for entry in manifest.experiments)}"


@pytest.fixture
def long_study(tmp_path: Path) -> tuple[Path, list[str]]:
    """The folder of a study so long that its journal is ahead of its snapshot, and its states in order."""
    entries = [
        Entry(position=i, cycle=1, config_hash=f"{i:064x}", directory=f"experiments/{i:05}")
        for i in range(1, SMALL + 2)
    ]
    manifest = StudyManifest(
        name="long",
        created_at="2026-01-01T00:00:00+00:00",
        llem_version="1",
        study_design_hash="0" * 64,
        order="sequential",
        seed=1,
        cycles=1,
        experiments=entries,
    )
    writer = ManifestWriter(tmp_path, manifest)
    states = [states_of(tmp_path)]
    for position in range(1, 5):
        for change in ("running", "done" if position != 2 else "failed"):
            writer.experiment(position, change, failure={"type": "Crash", "message": "ä\n"} if position == 2 else None)  # type: ignore[arg-type]
            states.append(states_of(tmp_path))
    writer.close()
    return tmp_path, states


def test_a_journal_cut_at_any_byte_gives_the_state_of_its_whole_lines(long_study: tuple[Path, list[str]]) -> None:
    folder, states = long_study
    journal = folder / JOURNAL
    lines = journal.read_bytes()
    assert lines.count(b"\n") == len(states) - 1
    for size in cuts(journal):
        whole_lines = lines[:size].count(b"\n")
        assert states_of(folder) == states[whole_lines], f"cut at byte {size}"
        torn = size > 0 and lines[size - 1 : size] != b"\n"
        found = recover(folder)
        assert bool(found.damage) == torn, f"cut at byte {size}: {found.damage}"
    assert states_of(folder) == states[-1]


def test_a_journal_with_lost_blocks_gives_a_state_that_was(long_study: tuple[Path, list[str]]) -> None:
    folder, states = long_study
    journal = folder / JOURNAL
    whole = journal.read_bytes()
    for at in range(0, len(whole), 16):  # a size that grew before its blocks were written shows zeros
        journal.write_bytes(whole[:at] + bytes(len(whole) - at))
        assert states_of(folder) == states[whole[:at].count(b"\n")], f"zeros from byte {at}"


@pytest.mark.parametrize("name", [MANIFEST, PREVIOUS])
def test_a_snapshot_cut_at_any_byte_loses_nothing(finished: Study, name: str) -> None:
    assert finished.folder is not None
    path, before = finished.folder / name, states_of(finished.folder)
    for size in cuts(path):
        found = recover(finished.folder)
        if found.damage:
            assert name == MANIFEST
            assert str(path) in found.damage[0]
        assert states_of(finished.folder) == before, f"{name} cut at byte {size}"


def test_both_snapshots_cut_are_told_and_not_guessed(finished: Study) -> None:
    assert finished.folder is not None
    (finished.folder / PREVIOUS).write_bytes(b"")
    for _ in cuts(finished.folder / MANIFEST):
        with pytest.raises(ResultError) as told:
            recover(finished.folder)
        assert str(finished.folder / MANIFEST) in str(told.value)


def test_a_result_cut_at_any_byte_is_told(finished: Study) -> None:
    assert finished.folder is not None
    entry = recover(finished.folder).manifest.experiments[0]
    job = finished.folder / entry.directory
    size_of_all = len((job / "result.json").read_bytes().rstrip())  # without its closing newline it is still whole
    for size in cuts(job / "result.json"):
        with pytest.raises(ResultError) as told:
            verify(job, entry.config_hash, entry.cycle, entry.files)
        assert str(job) in str(told.value)
        if size < size_of_all:
            with pytest.raises(ResultError):
                read_result(job)
    verify(job, entry.config_hash, entry.cycle, entry.files)


@pytest.mark.parametrize("name", ["result.json", "requests.parquet", "timeseries.parquet", "experiment.json"])
def test_a_study_with_a_cut_file_is_resumed_to_a_whole_one(finished: Study, name: str) -> None:
    assert finished.folder is not None
    job = sorted(finished.folder.glob("experiments/*"))[1]
    path = job / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if name != "experiment.json":
        del finished.finished[job.name]
    finished.complete()
    said = finished.said[-1].read_text()
    if name != "experiment.json":
        assert name in said, said
