"""Only what an experiment left, whole and as it left it, counts as its result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from llem.errors import LlemError, ResultError
from llem.results.job_directory import EXPERIMENT, REQUESTS, RESULT, TIMESERIES, write_json
from llem.results.models import ExperimentResult, Failure
from llem.study.manifest.manifest import Entry
from llem.study.resume.inspection import inspect_results
from llem.study.resume.set_aside import keep_aside, set_aside
from llem.study.verify import seal, verify

MakeResult = Callable[..., ExperimentResult]
HASH = "a" * 64
PARQUET = b"PAR1" + b"data" + (4).to_bytes(4, "little") + b"PAR1"


@pytest.fixture
def job(tmp_path: Path, make_result: MakeResult) -> Path:
    """A finished experiment."""
    folder = tmp_path / "experiments" / "one"
    folder.mkdir(parents=True)
    for name in (TIMESERIES, REQUESTS):
        (folder / name).write_bytes(PARQUET)
    write_json(folder / RESULT, make_result(config_hash=HASH).model_dump(mode="json"))
    return folder


def failed(folder: Path, make_result: MakeResult, kind: str) -> None:
    result = make_result(config_hash=HASH, failure=Failure(type=kind, message="it failed"))
    write_json(folder / RESULT, result.model_dump(mode="json"))


def test_what_is_as_it_was_left_is_kept(job: Path) -> None:
    files = seal(job)
    assert set(files) == {RESULT, TIMESERIES, REQUESTS}
    assert verify(job, HASH, 1, files).status == "done"
    assert verify(job, HASH, 1, None).status == "done"


@pytest.mark.parametrize("name", [RESULT, TIMESERIES, REQUESTS])
def test_a_sealed_file_that_changed_or_went_is_found(job: Path, name: str) -> None:
    files = seal(job)
    data = (job / name).read_bytes()
    for changed in (data + b" ", data[:-1], data.replace(b"1", b"2", 1)):
        (job / name).write_bytes(changed)
        with pytest.raises(ResultError, match=name):
            verify(job, HASH, 1, files)
    (job / name).unlink()
    with pytest.raises(ResultError, match=name):
        verify(job, HASH, 1, files)


@pytest.mark.parametrize("name", [TIMESERIES, REQUESTS])
@pytest.mark.parametrize("data", [b"", b"PAR1", PARQUET[:-1], PARQUET[4:], b"PAR1" + b"\xff" * 4 + b"PAR1", None])
def test_without_a_seal_a_table_that_is_not_whole_is_found(job: Path, name: str, data: bytes | None) -> None:
    if data is None:
        (job / name).unlink()
    else:
        (job / name).write_bytes(data)
    with pytest.raises(ResultError, match=name):
        verify(job, HASH, 1, None)


@pytest.mark.timeout(20)
def test_a_file_that_takes_no_space_and_is_a_terabyte_long_is_not_read(job: Path) -> None:
    files = seal(job)
    with (job / TIMESERIES).open("wb") as stream:
        stream.truncate(2**40)
    for mark in (files[TIMESERIES], f"{2**40} 0", "", None):
        with pytest.raises(ResultError, match=TIMESERIES):
            verify(job, HASH, 1, {**files, TIMESERIES: mark})  # type: ignore[dict-item]


def test_a_footer_fits_into_its_file_to_the_byte_or_the_file_is_not_whole(job: Path) -> None:
    def table(footer: int) -> bytes:
        return b"PAR1" + b"12345678" + footer.to_bytes(4, "little") + b"PAR1"

    for footer, whole in ((0, True), (8, True), (9, False), (12, False), (20, False), (2**31, False)):
        (job / TIMESERIES).write_bytes(table(footer))
        if whole:
            assert verify(job, HASH, 1, None).status == "done"
        else:
            with pytest.raises(ResultError, match="no whole Parquet file"):
                verify(job, HASH, 1, None)


def test_a_result_of_another_experiment_or_cycle_is_none(job: Path) -> None:
    with pytest.raises(ResultError, match="of another experiment"):
        verify(job, "b" * 64, 1, None)
    with pytest.raises(ResultError, match="of another experiment"):
        verify(job, HASH, 2, None)


def test_a_failed_experiment_needs_no_tables_but_a_reason(job: Path, make_result: MakeResult) -> None:
    failed(job, make_result, "Crash")
    for name in (TIMESERIES, REQUESTS):
        (job / name).unlink()
    assert verify(job, HASH, 1, None).status == "failed"
    result = make_result(config_hash=HASH).model_copy(update={"status": "failed"})
    write_json(job / RESULT, result.model_dump(mode="json"))
    with pytest.raises(ResultError, match="not why"):
        verify(job, HASH, 1, None)


def entry(state: str, **values: object) -> Entry:
    return Entry(position=1, cycle=1, config_hash=HASH, directory="experiments/one", state=state, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", ["pending", "running", "interrupted", "done"])
def test_a_result_counts_whatever_the_manifest_had_come_to_know(job: Path, tmp_path: Path, state: str) -> None:
    found = inspect_results(tmp_path, [entry(state)], retry_failed=True, with_results=True)
    assert found.kept == {1: "done"}
    assert found.results[1].status == "done"
    assert found.found == (set() if state == "done" else {1})


@pytest.mark.parametrize(
    ("state", "kind", "retry", "where"),
    [
        ("failed", "Crash", False, "kept"),
        ("failed", "Crash", True, "again"),
        ("pending", "Crash", False, "kept"),  # the manifest was lost
        ("running", "Crash", False, "half_done"),  # nobody vouches for this failure
        ("interrupted", "Interrupted", False, "half_done"),
        ("pending", "Interrupted", False, "half_done"),
    ],
)
def test_failures_count_where_somebody_vouches_for_them(
    job: Path, tmp_path: Path, make_result: MakeResult, state: str, kind: str, retry: bool, where: str
) -> None:
    failed(job, make_result, kind)
    found = inspect_results(tmp_path, [entry(state)], retry_failed=retry, with_results=False)
    assert [name for name in ("kept", "again", "half_done", "gone", "damaged") if getattr(found, name)] == [where]


@pytest.mark.parametrize(("state", "where"), [("done", "gone"), ("failed", "gone"), ("running", "half_done")])
def test_what_left_no_result_is_gone_or_half_done(job: Path, tmp_path: Path, state: str, where: str) -> None:
    (job / RESULT).unlink()
    (job / EXPERIMENT).write_text("{}")
    found = inspect_results(tmp_path, [entry(state)], retry_failed=False, with_results=False)
    assert [name for name in ("kept", "again", "half_done", "gone", "damaged") if getattr(found, name)] == [where]


def test_what_never_began_or_is_no_part_is_passed_over(tmp_path: Path) -> None:
    rows = [entry("pending"), entry("dropped"), entry("not_needed")]
    found = inspect_results(tmp_path, rows, retry_failed=False, with_results=False)
    assert not any((found.kept, found.again, found.half_done, found.gone, found.damaged))


def test_a_result_that_cannot_be_read_stops_everything_and_is_not_measured_again(job: Path, tmp_path: Path) -> None:
    (job / RESULT).unlink()
    (job / RESULT).symlink_to("/proc/self/mem")  # reading its beginning is an I/O error
    with pytest.raises(LlemError, match="cannot be read") as caught:
        inspect_results(tmp_path, [entry("done")], retry_failed=False, with_results=False)
    assert f"move {job} away" in str(caught.value)


def test_nothing_that_is_set_aside_replaces_what_is_there(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "job").mkdir()
        (tmp_path / "job" / "log").write_text(str(number))
        assert set_aside(tmp_path, tmp_path / "job") is not None
    assert [(tmp_path / "set-aside" / n / "log").read_text() for n in ("job", "job.2", "job.3")] == ["0", "1", "2"]
    assert set_aside(tmp_path, tmp_path / "job") is None
    keep_aside(tmp_path, "study.yaml", "a")
    keep_aside(tmp_path, "study.yaml", "b")
    assert (tmp_path / "set-aside" / "study.yaml.2").read_text() == "b"
