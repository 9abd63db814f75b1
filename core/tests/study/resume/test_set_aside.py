"""A resumed study moves aside what it does not go on with, within its folder, and nothing from anywhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from llem.study.resume.set_aside import SET_ASIDE, set_aside


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study's folder beside another one, to which a link in it leads."""
    for path in ("study/experiments/a", "outside/a"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "study" / "experiments" / "away").symlink_to(tmp_path / "outside")
    return tmp_path / "study"


@pytest.mark.parametrize("path", ["../outside/a", "experiments/../../outside/a", "experiments/away/a", ".."])
def test_what_is_not_the_study_s_own_is_not_moved(path: str, study: Path) -> None:
    with pytest.raises(OSError, match="not in the study's folder"):
        set_aside(study, study / path)
    assert (study.parent / "outside" / "a").is_dir()
    assert not (study / SET_ASIDE).exists()


def test_a_link_is_moved_itself_and_what_it_leads_to_stays(study: Path) -> None:
    moved = set_aside(study, study / "experiments" / "away")
    assert moved == study / SET_ASIDE / "away"
    assert moved.is_symlink()
    assert (study.parent / "outside" / "a").is_dir()


def test_a_name_that_is_taken_gets_a_number_and_what_is_gone_is_not_moved(study: Path) -> None:
    path, found = study / "experiments" / "a", []
    for _ in range(2):
        path.mkdir(exist_ok=True)
        found.append(set_aside(study, path))
    assert found == [study / SET_ASIDE / "a", study / SET_ASIDE / "a.2"]
    assert set_aside(study, path) is None
