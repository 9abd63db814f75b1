"""Single bits of a finished study flipped: no wrong figure, no wrong state, and what is damaged is told or made anew."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from crash.study import Study
from llem.errors import ResultError
from llem.study.manifest.journal import JOURNAL
from llem.study.manifest.manifest import MANIFEST, PREVIOUS, recover
from llem.study.verify import verify

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]

RESULT_FILES = ["result.json", "requests.parquet", "timeseries.parquet"]


def flip(path: Path, bit: int) -> None:
    """Turn one bit of a file over."""
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


@pytest.mark.parametrize(("name", "step"), [(MANIFEST, 1), (PREVIOUS, 13), (JOURNAL, 1)])
def test_any_bit_of_a_snapshot_or_of_the_journal_may_flip(finished: Study, name: str, step: int) -> None:
    assert finished.folder is not None
    path = finished.folder / name
    before = recover(finished.folder)
    assert not before.damage
    text = before.manifest.text()
    for bit in range(0, path.stat().st_size * 8, step):
        flip(path, bit)
        found = recover(finished.folder)
        assert found.manifest.text() == text, f"bit {bit} of {name}"
        if name != PREVIOUS:  # the spare is looked at only when it is needed
            assert found.damage, f"bit {bit} of {name} is not told"
        flip(path, bit)


@pytest.mark.parametrize("name", RESULT_FILES)
def test_a_flipped_bit_in_a_result_is_told(finished: Study, name: str) -> None:
    assert finished.folder is not None
    entry = recover(finished.folder).manifest.experiments[0]
    job = finished.folder / entry.directory
    bits = (job / name).stat().st_size * 8
    for bit in random.Random(name).sample(range(bits), min(bits, 4000)):
        flip(job / name, bit)
        with pytest.raises(ResultError) as told:
            verify(job, entry.config_hash, entry.cycle, entry.files)
        assert name in str(told.value), f"bit {bit}"
        flip(job / name, bit)
    verify(job, entry.config_hash, entry.cycle, entry.files)


@pytest.mark.parametrize("name", RESULT_FILES)
def test_a_result_with_a_flipped_bit_is_measured_again(finished: Study, name: str) -> None:
    assert finished.folder is not None
    job = sorted(finished.folder.glob("experiments/*"))[2]
    flip(job / name, random.Random(name).randrange((job / name).stat().st_size * 8))
    del finished.finished[job.name]
    finished.complete()
    assert job.name in finished.said[-1].read_text()


def test_a_damaged_table_of_results_is_made_anew(finished: Study) -> None:
    assert finished.folder is not None
    for damage in range(6):
        table = finished.folder / "results.parquet"
        if damage == 5:
            table.unlink()
        else:
            flip(table, random.Random(damage).randrange(table.stat().st_size * 8))
        finished.complete()
