"""The same as an ordinary user, whom a site gives nothing but Apptainer. Where the tests run as root, they become one."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import rootfs

pytestmark = [
    pytest.mark.apptainer,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.getuid() != 0, reason="not root: every other test of this tier ran as an ordinary user"),
]

NAME = "llem-apptainer-test"


@pytest.fixture(scope="module")
def user() -> Iterator[pwd.struct_passwd]:
    """An ordinary user, made for the test."""
    subprocess.run(["useradd", "--create-home", NAME], check=True)
    yield pwd.getpwnam(NAME)
    subprocess.run(["userdel", "--remove", NAME], check=False, capture_output=True)


@pytest.fixture
def place(user: pwd.struct_passwd) -> Iterator[Path]:
    """A folder of that user."""
    folder = Path(tempfile.mkdtemp())
    os.chown(folder, user.pw_uid, user.pw_gid)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def begin(
    user: pwd.struct_passwd, place: Path, bed: Path, command: Callable[..., list[str]]
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `llem run` of an image as that user, by the Python of the image's own folder: the user may not see the test's."""
    begun: list[subprocess.Popen[str]] = []

    def start(image: Path, *words: str, **settings: object) -> subprocess.Popen[str]:
        line = command(image, *words, **settings)
        line[0] = str(bed / rootfs.HOME / "bin" / "python3")
        line[line.index("--output") + 1] = str(place / "results")
        process = subprocess.Popen(
            line,
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            cwd=place,
            env={
                "HOME": user.pw_dir,
                "USER": user.pw_name,
                "PATH": os.environ["PATH"],
                "TMPDIR": str(place),
                "LLEM_LOCK_DIR": str(place),
                "LD_LIBRARY_PATH": str(bed / rootfs.HOME / "lib"),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
            process.communicate()


def of(user: pwd.struct_passwd) -> list[psutil.Process]:
    """That user's processes."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.uids().real == user.pw_uid and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("kind", ["sif", "folder"])
def test_an_ordinary_user_runs_an_experiment_and_nothing_is_left(
    begin: Callable[..., subprocess.Popen[str]], user: pwd.struct_passwd, place: Path, sif: Path, bed: Path, kind: str
) -> None:
    process = begin(sif if kind == "sif" else bed)
    _, stderr = process.communicate(timeout=280)
    assert process.returncode == 0, stderr
    result = json.loads(next(place.glob("results/*/experiments/*/result.json")).read_text())
    assert result["status"] == "done"
    assert {path.stat().st_uid for path in (place / "results").rglob("*")} == {user.pw_uid}
    assert of(user) == []
    assert not list(place.glob("llem-*-*"))


def test_control_groups_that_a_user_does_not_have_are_told_before_anything_starts(
    begin: Callable[..., subprocess.Popen[str]], place: Path, sif: Path
) -> None:
    process = begin(sif, "--set", "runner_options.apptainer.memory=1g")
    _, stderr = process.communicate(timeout=280)
    if Path("/sys/fs/cgroup/cgroup.controllers").exists() and process.returncode == 0:
        pytest.skip("here an ordinary user has control groups")
    assert "cannot limit a container's memory" in stderr
    assert "let the batch system limit the job" in stderr
    assert not list(place.glob("results/*/experiments/*"))


def test_a_killed_llem_of_an_ordinary_user_takes_its_container_along(
    begin: Callable[..., subprocess.Popen[str]], user: pwd.struct_passwd, place: Path, sif: Path
) -> None:
    process = begin(sif, measurement__min_window_s=600)
    end = time.monotonic() + 120
    while not any('"window"' in path.read_text() for path in place.glob("results/*/experiments/*/events.jsonl")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)
    assert len(of(user)) > 3
    process.send_signal(signal.SIGKILL)
    process.communicate()
    end = time.monotonic() + 30
    while left := of(user):
        assert time.monotonic() < end, [one.cmdline() for one in left]
        time.sleep(0.1)
