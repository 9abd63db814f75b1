"""A disk that is full, fails or loses its power under a running study: told in one paragraph, resumed when it is mended."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from crash.disk import Ext4
from crash.processes import all_gone, wait_for
from crash.study import POINTS, Study, assert_told

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Ext4]:
    """A small disk of the test's own."""
    try:
        made = Ext4.make(tmp_path, size_mb=32)
    except (RuntimeError, OSError) as error:
        pytest.skip(f"needs root, loop devices and e2fsprogs: {error}")
    yield made
    for _ in range(100):
        with suppress(RuntimeError):  # a process of the test may not be gone yet
            made.umount()
            return
        time.sleep(0.1)


@pytest.fixture
def on_disk(crash_preload: Path, tmp_path: Path, disk: Ext4) -> Iterator[Study]:
    """A study whose folder is on that disk."""
    found = Study(tmp_path / "study", crash_preload, results=disk.folder / "results")
    yield found
    if found.process is not None:
        found.process.kill()
        found.process.wait()
    all_gone(found.mark)


def ends_by_itself(study: Study) -> str:
    """Wait for the end of llem, which failed; returns what it said: an account that a person can act on."""
    assert study.process is not None
    code = study.process.wait(120)
    all_gone(study.mark)
    text = study.said[-1].read_text(errors="replace")
    assert code not in (0, 130), text
    assert code > 0, text
    assert_told(text)
    return text


@pytest.mark.parametrize("room_kb", [0, 8, 24, 48, 96, 160])
def test_a_full_disk_is_told_and_the_study_resumed_with_more_room(on_disk: Study, disk: Ext4, room_kb: int) -> None:
    ballast = disk.fill(room_kb)
    on_disk.start("--skip-preflight", "output")  # which would refuse so little room at once
    text = ends_by_itself(on_disk)
    assert "No space left" in text, text
    on_disk.finished = on_disk.digests()
    ballast.unlink()
    if on_disk.folder is None:
        on_disk.discard_unplanned()
    on_disk.complete()


def test_a_disk_that_fills_up_while_a_study_runs_costs_nothing_that_was_done(on_disk: Study, disk: Ext4) -> None:
    on_disk.start()
    wait_for(lambda: on_disk.digests() or not on_disk.running, "the first experiment is done")
    ballast = disk.fill(0)
    text = ends_by_itself(on_disk)
    assert "No space left" in text, text
    assert on_disk.folder is not None
    assert str(on_disk.folder) in text
    on_disk.finished = on_disk.digests()
    assert on_disk.finished
    ballast.unlink()
    on_disk.complete()


def test_a_file_system_that_goes_read_only_is_told_and_the_study_resumed_after_its_repair(
    on_disk: Study, disk: Ext4
) -> None:
    on_disk.start()
    wait_for(lambda: on_disk.digests() or not on_disk.running, "the first experiment is done")
    disk.fail()
    text = ends_by_itself(on_disk)
    # A write that is under way as the journal ends fails with EIO; the file system takes no more from then on.
    assert "Read-only file system" in text or "Input/output error" in text, text
    on_disk.finished = on_disk.digests()
    code, said = on_disk.call("resume", str(on_disk.folder))
    assert code != 0
    assert "Read-only file system" in said, said
    assert_told(said)
    disk.repair()
    on_disk.complete()


@pytest.mark.parametrize("seed", range(4))
def test_nothing_recorded_is_lost_when_the_power_of_the_disk_is(on_disk: Study, disk: Ext4, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(2):
        on_disk.start()
        with suppress(subprocess.TimeoutExpired):
            assert on_disk.process is not None
            on_disk.process.wait(chance.uniform(0.8, 6.0))
        recorded = _recorded(on_disk)
        disk.lose_power()
        on_disk.process.kill()
        on_disk.process.wait()
        all_gone(on_disk.mark)
        disk.umount()
        disk.mount()
        on_disk.results.mkdir(exist_ok=True)
        on_disk.finished = on_disk.digests()
        assert recorded <= set(on_disk.finished), f"seed {seed}: done before the power was lost, and gone after it"
        if on_disk.folder is None:
            assert not recorded
            on_disk.discard_unplanned()
    on_disk.complete()
    assert len(on_disk.finished) == POINTS


def _recorded(study: Study) -> set[str]:
    """The job directories of the experiments that the manifest says to be done; none where there is no manifest yet."""
    if study.folder is None or not (study.folder / "manifest.json").exists():
        return set()
    return {Path(entry.directory).name for entry in study.manifest().experiments if entry.state == "done"}
