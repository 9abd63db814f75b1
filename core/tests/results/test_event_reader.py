"""Events read while they are written: whole lines only, and a file put in the place of another from its begin."""

from __future__ import annotations

from pathlib import Path

from llem.results.job_directory import EventReader


def codes(reader: EventReader) -> list[object]:
    return [event["code"] for event in reader.new()]


def test_a_line_is_read_once_it_has_its_end(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert codes(reader) == []
    path.write_text('{"code": 1}\n{"co')
    assert codes(reader) == [1]
    with path.open("a") as stream:
        stream.write('de": 2}\n')
    assert codes(reader) == [2]


def test_a_file_in_the_place_of_another_is_read_from_its_begin(tmp_path: Path) -> None:
    path, fresh = tmp_path / "events.jsonl", tmp_path / "fresh"
    path.write_text('{"code": 1}\n{"code": 2}\n')
    reader = EventReader(path)
    assert codes(reader) == [1, 2]
    fresh.write_text('{"code": 3}\n{"code": 4}\n{"code": 5}\n')
    fresh.replace(path)
    assert codes(reader) == [3, 4, 5]
