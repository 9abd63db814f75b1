"""A study that really ran, once for all tests that bundle one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from plain_environment import plain_environment, set_for_llem

STUDY = {
    "name": "told",
    "model": "random:tiny-llama",
    "dataset": {"name": "synthetic", "n": 4, "input_tokens": 4, "output_tokens": 5},
    "backend": "testbed",
    "measurement": {"min_window_s": 0.4, "settle_s": 0, "samplers": ["estimate"]},
    "warmup": {"enabled": False},
    "baseline": {"enabled": False},
    "sweep": {"testbed.fail": ["no", "raise"]},
    "execution": {"cycles": 3, "experiment_gap_s": 0, "cycle_gap_s": 0},
}

Llem = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of six experiments, of which three failed; energy by estimate. Not to be written to."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.yaml").write_text(json.dumps(STUDY))
    done = _llem(folder, "run", "study.yaml", "--output", "results")
    (found,) = (folder / "results").iterdir()
    assert len(list(found.glob("experiments/*/result.json"))) == 6, done.stderr
    return found


@pytest.fixture(scope="session")
def bundled(ran: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle. Not to be written to."""
    folder = tmp_path_factory.mktemp("bundle")
    done = _llem(folder, "bundle", ran, "-o", "b.zip")
    assert done.returncode == 0, done.stderr
    return folder / "b.zip"


@pytest.fixture
def bundle(bundled: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(bundled, tmp_path / "b.zip"))


@pytest.fixture
def study(ran: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(ran, tmp_path / "results" / ran.name))


@pytest.fixture
def llem(tmp_path: Path) -> Llem:
    """Runs llem with these words in the test's folder."""

    def run(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return _llem(tmp_path, *words, **variables)

    return run


@pytest.fixture
def llem_here(llem_here: Llem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Llem:
    """Runs llem with these words in the test's folder, in this process."""
    for name in set_for_llem():
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return llem_here


def _llem(folder: Path, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = plain_environment() | {"XDG_CACHE_HOME": str(folder / "cache"), **variables}
    return subprocess.run(
        [sys.executable, "-m", "llem", *map(str, words)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
