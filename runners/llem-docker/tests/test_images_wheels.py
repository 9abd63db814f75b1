"""Wheels of what is installed: they install elsewhere, and are what is installed here."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from llem.errors import PluginError
from llem_docker.images.wheels import wheel_of


def _install(wheel: Path, target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", "--target", str(target)]
    done = subprocess.run([*command, str(wheel)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.process
def test_an_installed_distribution_becomes_a_wheel_that_pip_installs(tmp_path: Path) -> None:
    wheel = wheel_of("pluggy", tmp_path)
    assert wheel.name == f"pluggy-{importlib.metadata.version('pluggy')}-py3-none-any.whl"
    _install(wheel, tmp_path / "site")
    for file in importlib.metadata.files("pluggy") or ():
        if file.suffix == ".py":
            installed = (tmp_path / "site" / file).read_bytes()
            assert hashlib.sha256(installed).digest() == hashlib.sha256(file.read_binary()).digest()


def test_the_wheel_keeps_entry_points_and_leaves_the_installers_notes_behind(tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel_of("pytest", tmp_path)) as wheel:
        names = wheel.namelist()
        assert wheel.testzip() is None
    facts = [name.rpartition("/")[2] for name in names if ".dist-info/" in name]
    assert {"METADATA", "RECORD", "entry_points.txt"} <= set(facts)
    assert not {"INSTALLER", "REQUESTED", "direct_url.json"} & set(facts)
    assert not [name for name in names if name.startswith(("..", "/")) or name.endswith(".pyc")]


@pytest.mark.process
def test_an_editable_installation_is_built_from_its_source(tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel_of("llem", tmp_path)) as wheel:
        assert {"llem/worker.py", "llem/hookspecs.py"} <= set(wheel.namelist())


def test_compiled_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="psutil holds compiled code"):
        wheel_of("psutil", tmp_path)


def test_what_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"llem-nothing is not installed here\. pip install llem-nothing"):
        wheel_of("llem-nothing", tmp_path)


BUILDS_ITSELF = """
import zipfile

def build_wheel(folder, settings=None, metadata=None):
    name = "theirs-1.0-{tag}.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("theirs.py", "")
        wheel.writestr("theirs-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: theirs\\nVersion: 1.0\\n")
        wheel.writestr("theirs-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {tag}\\n")
        wheel.writestr("theirs-1.0.dist-info/RECORD", "")
    return name
"""


def editable(tmp_path: Path, tag: str) -> None:
    """A distribution `theirs`, whose project brings what builds it, installed in editable mode in a folder of `tmp_path`."""
    source, facts = tmp_path / "source", tmp_path / "site" / "theirs-1.0.dist-info"
    source.mkdir()
    facts.mkdir(parents=True)
    (source / "builder.py").write_text(BUILDS_ITSELF.replace("{tag}", tag))
    project = '[build-system]\nrequires = []\nbuild-backend = "builder"\nbackend-path = ["."]\n'
    (source / "pyproject.toml").write_text(f'{project}[project]\nname = "theirs"\nversion = "1.0"\n')
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (facts / "direct_url.json").write_text(f'{{"url": "{source.as_uri()}", "dir_info": {{"editable": true}}}}')


@pytest.mark.process
def test_a_plugin_in_editable_mode_is_built_by_what_its_author_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editable(tmp_path, "py3-none-any")
    monkeypatch.syspath_prepend(tmp_path / "site")
    made = wheel_of("theirs", tmp_path)
    assert made.name == "theirs-1.0-py3-none-any.whl"
    assert "theirs.py" in zipfile.ZipFile(made).namelist()


@pytest.mark.process
def test_a_plugin_in_editable_mode_with_compiled_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = f"cp{sys.version_info.major}{sys.version_info.minor}"
    editable(tmp_path, f"{running}-{running}-linux_{platform.machine()}")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(PluginError, match="theirs holds compiled code"):
        wheel_of("theirs", tmp_path)
