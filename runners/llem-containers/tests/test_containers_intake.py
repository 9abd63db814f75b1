"""Intake from a container: events, files, output and baselines, none of it trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet as pq

from llem_containers.baseline_cache import BASELINES, BaselineCache
from llem_containers.intake import Events, known_event, take
from llem_containers.text import clean


@given(st.binary(max_size=300))
def test_no_line_breaks_the_reading_of_events(line: bytes) -> None:
    event = known_event(line)
    assert event is None or event["event"] in {"phase", "progress", "message", "failure"}


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda c: st.lists(c) | st.dictionaries(st.text(), c),
    )
)
def test_a_progress_event_comes_through_with_numbers_that_are_numbers(value: object) -> None:
    line = json.dumps({"t_ns": 1, "event": "progress", "done": value, "phase": value}).encode()
    event = known_event(line)
    if event is not None:
        assert event.get("done") is None or isinstance(event["done"], int | float)
        assert not isinstance(event.get("phase"), list | dict)
        json.dumps(event, allow_nan=False)


def test_an_event_is_passed_on_when_its_line_is_whole(tmp_path: Path) -> None:
    events = Events(tmp_path, tmp_path / "out", ["s3cret"])
    line = json.dumps({"t_ns": 1, "event": "message", "text": "a s3cret"}).encode() + b"\n"
    (tmp_path / "events.jsonl").write_bytes(line[:20])
    events.forward()
    assert not (tmp_path / "out").exists()
    (tmp_path / "events.jsonl").write_bytes(line)
    events.forward()
    assert json.loads((tmp_path / "out").read_text())["text"] == "a ***"


def test_only_files_of_known_name_and_kind_are_taken(tmp_path: Path) -> None:
    exchange, job = tmp_path / "exchange", tmp_path / "job"
    exchange.mkdir()
    job.mkdir()
    expected = {"config_hash": "a" * 64, "study": "s", "cycle": 1, "position": 1}
    (exchange / "result.json").write_text(json.dumps({"identity": expected, "text": "s3cret"}))
    (exchange / "readings.jsonl").symlink_to("/etc/passwd")
    (exchange / "core.123").write_text("no")
    refused = take(exchange, job, expected, ["s3cret"])
    assert refused == ["readings.jsonl is a symbolic link, not a file"]
    assert [path.name for path in job.iterdir()] == ["result.json"]
    assert json.loads((job / "result.json").read_text())["text"] == "***"


def test_logs_of_what_an_engine_started_are_taken_without_secrets(tmp_path: Path) -> None:
    exchange, job = tmp_path / "exchange", tmp_path / "job"
    exchange.mkdir()
    job.mkdir()
    (exchange / "server.log").write_text("\x1b[31mkey s3cret\x1b[0m\n")
    (exchange / "passwords.log").symlink_to("/etc/passwd")
    for name in ("worker.log", "worker.attempt-1.log", ".hidden.log", "two words.log"):
        (exchange / name).write_text("no")
    assert take(exchange, job, {}, ["s3cret"]) == ["passwords.log is a symbolic link, not a file"]
    assert [path.name for path in job.iterdir()] == ["server.log"]
    assert (job / "server.log").read_text() == "key ***\n"


def test_of_a_thousand_logs_a_few_are_taken(tmp_path: Path) -> None:
    exchange, job = tmp_path / "exchange", tmp_path / "job"
    exchange.mkdir()
    job.mkdir()
    for number in range(1000):
        (exchange / f"{number:04d}.log").touch()
    assert take(exchange, job, {}) == []
    assert sorted(path.name for path in job.iterdir()) == [f"{number:04d}.log" for number in range(8)]


def test_a_file_that_has_a_second_name_is_refused_since_that_may_be_written_to_later(tmp_path: Path) -> None:
    exchange, job = tmp_path / "exchange", tmp_path / "job"
    exchange.mkdir()
    job.mkdir()
    (exchange / "readings.jsonl").write_text("{}\n")
    (tmp_path / "second").hardlink_to(exchange / "readings.jsonl")
    assert take(exchange, job, {}) == ["readings.jsonl has a second name"]
    assert list(job.iterdir()) == []


@pytest.mark.parametrize("key", ["config_hash", "study", "cycle", "position"])
def test_a_result_of_another_experiment_is_kept_as_none(tmp_path: Path, key: str) -> None:
    exchange, job = tmp_path / "exchange", tmp_path / "job"
    exchange.mkdir()
    job.mkdir()
    expected = {"config_hash": "a" * 64, "study": "s", "cycle": 1, "position": 1}
    (exchange / "result.json").write_text(json.dumps({"identity": {**expected, key: "another"}}))
    (problem,) = take(exchange, job, expected)
    assert problem == f"result.json is of another experiment (its {key} is not the one that was given)"
    assert [path.name for path in job.iterdir()] == ["result.invalid.json"]


def test_a_result_is_never_taken_before_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {"config_hash": "a" * 64, "study": "s", "cycle": 1, "position": 1}
    move = Path.replace
    for moves in range(4):
        exchange, job = tmp_path / f"exchange {moves}", tmp_path / f"job {moves}"
        exchange.mkdir()
        job.mkdir()
        for name in ("requests.parquet", "timeseries.parquet"):
            pq.write_table(pa.table({"a": [1]}), exchange / name)
        (exchange / "readings.jsonl").write_text("{}\n")
        (exchange / "result.json").write_text(json.dumps({"identity": expected}))
        left = iter(range(moves))

        def until_killed(source: Path, target: Path, left: Iterator[int] = left) -> Path:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return move(source, target)

        monkeypatch.setattr(Path, "replace", until_killed)
        with pytest.raises(KeyboardInterrupt):
            take(exchange, job, expected)
        assert len(list(job.iterdir())) == moves
        assert not (job / "result.json").exists(), f"killed after {moves} files"


def test_a_log_is_without_secrets_and_without_what_steers_a_terminal() -> None:
    text = b"\x1b[31mred\x1b[0m\ttab\r\n\x1b]0;title\x07bell\x07 s3cret"
    assert clean(text, [b"s3cret"]) == b"red\ttab\r\nbell ***"


def test_only_small_files_of_known_name_go_on_to_the_next_container(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    place = first / BASELINES
    place.mkdir(parents=True)
    name = "0" * 32 + ".json"
    (place / name).write_text("{}")
    (place / ("1" * 32 + ".json")).symlink_to("/etc/passwd")
    (place / ("2" * 32 + ".json")).write_bytes(bytes(2**17))
    (place / "other.json").write_text("{}")
    baseline_cache = BaselineCache()
    baseline_cache.take(first)
    baseline_cache.give(second)
    assert [path.name for path in (second / BASELINES).iterdir()] == [name]


def test_a_folder_that_is_a_link_gives_nothing_to_the_next_container(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "baselines").mkdir(parents=True)
    (tmp_path / "elsewhere" / "baselines" / ("0" * 32 + ".json")).write_text("{}")
    scratch = tmp_path / "scratch"
    (scratch / BASELINES.parent.parent).mkdir(parents=True)
    (scratch / BASELINES.parent).symlink_to(tmp_path / "elsewhere")
    baseline_cache = BaselineCache()
    baseline_cache.take(scratch)
    baseline_cache.give(tmp_path / "next")
    assert not (tmp_path / "next").exists()


@pytest.mark.parametrize("time", ["1" + "0" * 400, "1e999", "NaN", "true", '"1"', "null"])
def test_an_event_at_no_possible_time_is_dropped(time: str) -> None:
    assert known_event(f'{{"t_ns": {time}, "event": "message"}}'.encode()) is None
