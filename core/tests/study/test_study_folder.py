"""Every study gets a folder of its own, or a clear refusal."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from llem.errors import LlemError, PreflightError
from llem.study.folder import create, writing


def test_two_studies_of_one_name_never_share_a_folder(tmp_path: Path) -> None:
    made = [create(tmp_path / "deep" / "results", "s") for _ in range(5)]
    assert len(set(made)) == 5
    assert all((d / "experiments").is_dir() and d.is_absolute() for d in made)


def test_the_folder_carries_name_and_time(tmp_path: Path) -> None:
    name, stamp = create(tmp_path, "my-study").name.rsplit("-", 1)
    assert name == "my-study"
    assert len(stamp) == len("20250101T000000Z")


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(PreflightError, match="cannot be written") as caught:
        create(tmp_path / "results", "s")
    assert caught.value.exit_code == 3
    assert str(tmp_path / "results") in str(caught.value)


def test_a_full_disk_becomes_an_error_that_says_what_is_kept(tmp_path: Path) -> None:
    with pytest.raises(LlemError, match="No space left on device") as caught, writing(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.exit_code == 1
    assert "are kept" in str(caught.value)
    assert str(caught.value).endswith(f"llem resume {tmp_path}.")


def test_an_error_in_a_job_directory_names_the_study_to_go_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "experiments" / "my study"
    with pytest.raises(LlemError) as caught, writing(folder / "experiments" / "00001-a-c1"):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    assert str(caught.value).endswith(f"llem resume '{folder}'.")
