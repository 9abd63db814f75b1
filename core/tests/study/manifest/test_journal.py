"""Whatever is cut off a journal, flipped or added in it, what is read of it are the changes up to there."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llem.study.manifest.journal import JOURNAL, Journal, change_of, line_of, parse_journal, read_journal

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
CHANGES = st.lists(st.dictionaries(st.text(min_size=1, max_size=6), VALUES, min_size=1, max_size=4), max_size=6)


def written(path: Path, changes: list[dict[str, Any]]) -> list[int]:
    """Write them all; the size of the file before the first and after each."""
    journal = Journal(path)
    sizes = [0]
    for change in changes:
        journal.append(change)
        sizes.append(path.stat().st_size)
    journal.close()
    return sizes


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES)
def test_what_was_appended_is_what_is_read(memory: Callable[[], Path], changes: list[Any]) -> None:
    path = memory() / JOURNAL
    written(path, changes)
    found = read_journal(path)
    assert list(found.changes) == changes
    assert found.damage is None


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES)
def test_a_journal_cut_at_every_byte_gives_the_changes_that_are_whole(
    memory: Callable[[], Path], changes: list[Any]
) -> None:
    path = memory() / JOURNAL
    sizes = written(path, changes)
    data = path.read_bytes()
    for cut in range(len(data) + 1):
        found = parse_journal(data[:cut])
        whole = sum(size <= cut for size in sizes) - 1
        assert list(found.changes) == changes[:whole]
        assert (found.damage is None) == (cut in sizes)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES)
def test_any_flipped_bit_is_found_and_hides_nothing_before_it(memory: Callable[[], Path], changes: list[Any]) -> None:
    path = memory() / JOURNAL
    sizes = written(path, changes)
    data = path.read_bytes()
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        found = parse_journal(bytes(flipped))
        untouched = sum(size <= bit // 8 for size in sizes) - 1
        assert list(found.changes) == changes[:untouched]
        assert found.damage is not None


@given(noise=st.binary(max_size=200))
def test_noise_is_no_change(noise: bytes) -> None:
    assert change_of(noise) is None


@given(change=st.dictionaries(st.text(min_size=1), VALUES, min_size=1, max_size=3))
def test_a_line_is_one_line_and_says_its_change(change: dict[str, Any]) -> None:
    line = line_of(change)
    assert line.count(b"\n") == 1
    assert change_of(line) == change


def test_a_new_journal_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    written(path, [{"a": 1}])
    Journal(path).close()
    assert read_journal(path).changes == ()
    assert [p.name for p in tmp_path.iterdir()] == [JOURNAL]


def test_a_change_that_does_not_fit_on_the_disk_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    journal = Journal(path)
    journal.append({"seq": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, before[1]))
    try:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is looked at
            journal.append({"seq": 2, "text": "x" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.errno == errno.EFBIG
    assert read_journal(path).damage is None
    journal.append({"seq": 2})
    journal.close()
    assert [change["seq"] for change in read_journal(path).changes] == [1, 2]


def test_a_journal_that_is_a_folder_is_told_by_the_system(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).mkdir()
    with pytest.raises(OSError, match=os.strerror(errno.EISDIR)):
        read_journal(tmp_path / JOURNAL)
