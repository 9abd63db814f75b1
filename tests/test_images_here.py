"""Images that are made of this machine take the mirror that apt has, and the index that pip has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

IMAGES = Path(__file__).parents[1] / "images"
needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt is not on this machine")


def run(script: str, *words: str, **environment: str) -> str:
    """The output of one of the scripts, with this Python's pip and these variables besides."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited["PATH"]])
    command = ["bash", str(IMAGES / script), *words]
    return subprocess.run(
        command, env={**inherited, "PATH": path, **environment}, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def sources(tmp_path: Path) -> str:
    """A configuration of apt whose sources are these alone."""
    (tmp_path / "sources.list").write_text(
        "deb http://packages.example.org/php bookworm main\n"
        "deb http://packages.example.org/debian/php bookworm main\n"
        "deb http://mirror.example.org/debian-security bookworm-security main\n"
        "deb http://downloads.example.org/debian bookworm stable\n"
        "deb [arch=amd64] https://mirror.example.org/pub/debian/ bookworm main contrib\n"
        "deb http://other.example.org/debian bookworm main\n"
        "deb http://ports.example.org/ubuntu-ports noble main universe\n"
    )
    config = tmp_path / "apt.conf"
    config.write_text(f'Dir::Etc::sourcelist "{tmp_path / "sources.list"}";\nDir::Etc::sourceparts "/dev/null";\n')
    return str(config)


@needs_apt
@pytest.mark.parametrize(
    ("release", "mirror"),
    [
        (("debian", "bookworm"), "https://mirror.example.org/pub/debian/"),
        (("ubuntu", "noble"), "http://ports.example.org/ubuntu-ports/"),
        (("debian", "trixie"), "http://deb.debian.org/debian"),
        (("ubuntu", "jammy"), "http://archive.ubuntu.com/ubuntu"),
    ],
)
def test_the_mirror_of_a_release_is_the_one_that_apt_here_has(
    sources: str, release: tuple[str, str], mirror: str
) -> None:
    assert run("mirror.sh", *release, APT_CONFIG=sources) == mirror


def test_a_release_of_neither_debian_nor_ubuntu_is_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        run("mirror.sh", "fedora", "43")
    assert "this is fedora" in error.value.stderr


def test_pip_in_a_build_takes_the_index_of_pip_here(tmp_path: Path) -> None:
    settings = tmp_path / "pip.conf"
    settings.write_text(
        "[global]\nindex-url = https://u:p@one.example/simple\nextra-index-url = https://two.example/s\n"
    )
    assert run("pip-conf.sh", PIP_CONFIG_FILE=str(settings)).splitlines() == [
        "[global]",
        "index-url = https://u:p@one.example/simple",
        "extra-index-url = https://two.example/s",
    ]


def test_a_variable_wins_and_a_folder_is_left_out(tmp_path: Path) -> None:
    settings = tmp_path / "pip.conf"
    settings.write_text("[global]\nextra-index-url = https://two.example/s\nproxy = http://proxy.example:3128\n")
    told = run(
        "pip-conf.sh",
        PIP_CONFIG_FILE=str(settings),
        PIP_EXTRA_INDEX_URL="https://three.example/s file:///srv/wheels https://four.example/s",
    )
    assert told.splitlines() == [
        "[global]",
        "extra-index-url = https://three.example/s https://four.example/s",
        "proxy = http://proxy.example:3128",
    ]


def test_where_pip_here_is_set_to_nothing_there_is_no_file(tmp_path: Path) -> None:
    assert run("pip-conf.sh", PIP_CONFIG_FILE=os.devnull) == ""
    assert run("pip-conf.sh", PIP_CONFIG_FILE=os.devnull, PIP_INDEX_URL="file:///srv/simple") == ""
