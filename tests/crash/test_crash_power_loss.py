"""A power loss at every instant of a study: what it said to be done is there, whole, and it can be resumed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crash.power import Disk, instants
from crash.study import POINTS, Study
from llem.errors import ResultError
from llem.study.manifest.manifest import recover
from llem.study.verify import verify

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]

RESUMED = 3
"""Number of states that are resumed to the end, for each kind of file system."""


@dataclass(frozen=True)
class Recorded:
    """A study that was run under the recorder."""

    root: Path
    record: Path


@pytest.fixture(scope="module")
def recorded(crash_preload: Path, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A study that was whose worker was killed, then itself, and that was resumed to its end."""
    root, record = tmp_path_factory.mktemp("recorded"), tmp_path_factory.mktemp("record")
    study = Study(root, crash_preload)
    study.order.write_text("worker 12 before\n")
    study.start(record=record)
    assert study.settle() == 1
    study.order.write_text("host 12 after\n")
    study.start(record=record)
    assert study.settle() < 0
    study.start(record=record)
    assert study.settle() == 0
    study.check_complete()
    return Recorded(root / "results", record)


def states(recorded: Recorded, target: Path, *, names_in_order: bool) -> Iterator[str]:
    """Put what a power loss leaves into the folder `target`, for one instant after the other; yields what it was."""
    disk = Disk(recorded.root)
    for number, what in instants(recorded.record, disk):
        disk.lose_power(target, names_in_order=names_in_order)
        yield f"power lost after operation {number} ({what})"


@pytest.mark.parametrize("names_in_order", [True, False], ids=["journalled", "posix"])
def test_what_a_study_recorded_as_done_is_there_after_a_power_loss_at_any_instant(
    recorded: Recorded, tmp_path: Path, names_in_order: bool
) -> None:
    most, looked_at = 0, 0
    for what in states(recorded, tmp_path / "lost", names_in_order=names_in_order):
        manifests = list((tmp_path / "lost").glob("*/manifest.json"))
        if not manifests:
            assert most == 0, f"{what}: the manifest is gone"
            assert not list((tmp_path / "lost").glob("*/experiments/*/result.json")), what
            continue
        looked_at += 1
        folder = manifests[0].parent
        found = recover(folder)
        done = [entry for entry in found.manifest.experiments if entry.state == "done"]
        assert len(done) >= most, f"{what}: an experiment that was done no longer is"
        most = len(done)
        for entry in done:
            try:
                verify(folder / entry.directory, entry.config_hash, entry.cycle, entry.files)
            except ResultError as error:
                pytest.fail(f"{what}: {entry.directory} is said to be done: {error}")
        assert (folder / "study.yaml").read_text().strip(), f"{what}: the study's file is lost, and cannot be resumed"
    assert most == POINTS
    assert looked_at > 50


@pytest.mark.parametrize("names_in_order", [True, False], ids=["journalled", "posix"])
def test_a_study_is_resumed_to_its_end_after_a_power_loss(
    recorded: Recorded, crash_preload: Path, tmp_path: Path, names_in_order: bool
) -> None:
    whole = list(states(recorded, tmp_path / "lost", names_in_order=names_in_order))
    chosen = set(random.Random(1).sample(range(len(whole) // 8, len(whole)), RESUMED))
    for number, what in enumerate(states(recorded, tmp_path / "lost", names_in_order=names_in_order)):
        if number in chosen:
            study = Study(tmp_path / f"resumed-{number}", crash_preload)
            (study.root / "results").rmdir()
            (tmp_path / "lost").rename(study.root / "results")
            study.finished = study.digests()
            try:
                study.complete()
            except AssertionError as error:
                raise AssertionError(f"{what}: {error}") from error
