"""The backend that docs/plugins.md teaches is real: built from the page, it conforms, and llem runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from plain_environment import plain_environment

PAGE = Path(__file__).parent.parent / "docs" / "plugins.md"
TITLED = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def _files() -> dict[str, str]:
    found = dict(TITLED.findall(PAGE.read_text(encoding="utf-8")))
    return {name: text for name, text in found.items() if "." in name}  # the others are steps of the walk


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, str]]:
    """The plugin's source folder, and the environment of a process that has it installed."""
    folder = tmp_path_factory.mktemp("llem-bigram")
    for name, text in _files().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    site = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    environment = plain_environment()
    environment |= {"PYTHONPATH": str(site), "XDG_CONFIG_HOME": str(site / "no-config")}
    return folder, environment


def _run(command: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_backend_is_under_100_lines() -> None:
    modules = [text for name, text in _files().items() if not name.startswith("test_")]
    assert len(modules) == 3
    assert sum(len(text.splitlines()) for text in modules) < 100


@pytest.mark.process
def test_it_passes_every_conformance_test(plugin: tuple[Path, Mapping[str, str]]) -> None:
    from llem_plugin_kit import BackendConformance

    output = _run([sys.executable, "-m", "pytest", "-q", "test_bigram.py", "-p", "no:cacheprovider"], *plugin)
    tests = [name for name in dir(BackendConformance) if name.startswith("test_")]
    assert f"{len(tests)} passed" in output


@pytest.mark.process
def test_it_is_listed_with_what_it_provides(plugin: tuple[Path, Mapping[str, str]]) -> None:
    listed = json.loads(_run([sys.executable, "-m", "llem", "plugins", "--json"], *plugin))
    (bigram,) = [p for p in listed["plugins"] if p["distribution"] == "llem-bigram"]
    assert bigram["provides"] == {"backend": ["bigram"]}
    assert bigram["set_aside"] is None


@pytest.mark.process
@pytest.mark.parametrize("scenario", ["offline", "single_stream"])
def test_llem_runs_it(plugin: tuple[Path, Mapping[str, str]], scenario: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "llem", "run", "--backend", "bigram", "--model", "random:tiny-llama", "-n", "4"]
    command += ["--output-tokens", "32", "--output", str(tmp_path), "--set", "measurement.min_window_s=0.2"]
    command += ["--set", "baseline.enabled=false", "--set", f"measurement.scenario={scenario}"]
    _run(command, *plugin)
    (file,) = tmp_path.glob("*/experiments/**/result.json")
    result = json.loads(file.read_text(encoding="utf-8"))
    assert result["status"] == "done"
    assert result["tokens"]["output"] == 32 * result["tokens"]["requests"]
    assert result["latency"]["ttft_s"]["n"] == result["tokens"]["requests"]
    assert result["memory"]["peak_memory_mb"] is None
