"""The one door to files that somebody else may have put there, and the paths that they name."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from llem.files import NotAFileError, OutsideError, inside, open_file, parse_json, read_file, require_regular


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


MADE: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "socket": make_socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": lambda path: path.mkdir(),
    "loop": lambda path: path.symlink_to(path.name),
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", MADE)
def test_what_is_no_file_is_refused_at_once_and_nothing_waits(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    MADE[kind](path)
    for reader in (open_file, read_file):
        with pytest.raises(OSError):  # noqa: PT011 - each kind has its own words
            reader(path)


def test_a_file_of_a_terabyte_that_takes_no_space_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(NotAFileError, match="larger than the 512 MiB"):
        read_file(path)


def test_a_file_may_be_as_large_as_the_bound_and_no_byte_larger(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abcd")
    assert read_file(path, 4) == b"abcd"
    with pytest.raises(NotAFileError):
        read_file(path, 3)


def test_a_pipe_that_takes_the_place_of_a_file_after_the_first_look_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"a")

    def exchanged(looked_at: Path) -> None:
        require_regular(looked_at)
        path.unlink()
        os.mkfifo(path)

    monkeypatch.setattr("llem.files.require_regular", exchanged)
    with pytest.raises(NotAFileError, match="it is a pipe"):
        open_file(path)


def test_a_file_through_a_link_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a")
    (tmp_path / "link").symlink_to("x")
    assert read_file(tmp_path / "link") == b"a"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/../../x", "/etc", "a//b", "a/", "a/./b", "a\0b", "experiments/.."]
)
def test_a_name_that_is_no_path_below_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutsideError):
        inside(tmp_path, name)


def test_a_link_out_of_the_folder_is_refused_and_one_within_it_is_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "study", tmp_path / "outside"
    (folder / "experiments" / "a").mkdir(parents=True)
    outside.mkdir()
    (folder / "experiments" / "b").symlink_to("a")
    (folder / "experiments" / "c").symlink_to(outside)
    (folder / "away").symlink_to("..")
    assert inside(folder, "experiments/a") == folder / "experiments" / "a"
    assert inside(folder, "experiments/b/x") == folder / "experiments" / "b" / "x"
    for name in ("experiments/c", "experiments/c/x", "away", "away/outside"):
        with pytest.raises(OutsideError):
            inside(folder, name)


def test_a_folder_that_is_reached_through_a_link_has_an_inside(tmp_path: Path) -> None:
    (tmp_path / "real" / "experiments").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real" / "experiments" / "b").symlink_to(tmp_path / "real")
    assert inside(tmp_path / "link", "experiments/b")


def test_json_that_is_nested_too_deeply_is_no_json() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(b"[" * 100_000)
