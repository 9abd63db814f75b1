"""A unit test that starts a process or loads an engine fails; one that says so by its marker does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import kinds
import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[1]
HEAD = "import multiprocessing, os, subprocess, sys\nimport pytest\n"
RUN = "subprocess.run([sys.executable, '-c', ''])"


def pytest_on(folder: Path, tests: str, *words: str) -> str:
    """Run tests in a folder that has the plugin and an empty package `torch`; returns what is printed."""
    (folder / "torch").mkdir(exist_ok=True)
    (folder / "torch" / "__init__.py").touch()
    (folder / "test_it.py").write_text(HEAD + tests)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n" + "".join(f"  {m}\n" for m in ("unit", *kinds.OTHERS)))
    command = [sys.executable, "-m", "pytest", "-p", "kinds", "-p", "no:cacheprovider", *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT / "tests")])}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # what else is installed takes most of such a run
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "body",
    [
        RUN,
        "os.system('true')",
        "os.waitpid(os.fork() or os._exit(0), 0)",
        "os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)",
        "p = multiprocessing.get_context('spawn').Process(); p.start(); p.join()",
    ],
)
def test_a_unit_test_that_starts_a_process_fails_and_one_that_is_marked_does_not(tmp_path: Path, body: str) -> None:
    plain = pytest_on(tmp_path, f"def test_it():\n    {body}\n")
    assert "has not the marker `process`" in plain
    assert "1 failed" in plain
    assert "1 passed" in pytest_on(tmp_path, f"@pytest.mark.process\ndef test_it():\n    {body}\n")


def test_a_unit_test_whose_fixture_starts_a_process_fails(tmp_path: Path) -> None:
    told = pytest_on(tmp_path, f"@pytest.fixture\ndef made():\n    {RUN}\n\ndef test_it(made):\n    pass\n")
    assert "has not the marker `process`" in told
    assert "1 error" in told


def test_a_unit_test_that_swallows_what_stops_it_fails_all_the_same(tmp_path: Path) -> None:
    body = f"    try:\n        {RUN}\n    except BaseException:\n        pass\n"
    assert "1 failed" in pytest_on(tmp_path, f"def test_it():\n{body}")


def test_a_unit_test_that_loads_an_engine_fails(tmp_path: Path) -> None:
    told = pytest_on(tmp_path, "def test_it():\n    import torch\n")
    assert "loads torch, and has not the marker `engine`" in told
    assert "1 passed" in pytest_on(tmp_path, "@pytest.mark.engine\ndef test_it():\n    import torch\n")


def test_a_run_of_unit_tests_reads_no_module_that_is_marked_as_a_whole(tmp_path: Path) -> None:
    marked = (
        "import torch\npytestmark = [pytest.mark.engine, pytest.mark.skipif(False, reason='')]\n\ndef test_it(): pass\n"
    )
    (tmp_path / "test_unit.py").write_text("def test_other(): pass\n")
    assert re.search(r"== 1 passed in", pytest_on(tmp_path, marked, "-m", "unit"))
    assert "2 passed" in pytest_on(tmp_path, marked)


def test_a_run_of_unit_tests_ends_where_reading_a_module_loads_an_engine(tmp_path: Path) -> None:
    told = pytest_on(tmp_path, "import torch\ndef test_it(): pass\n", "-m", "unit")
    assert "reading the tests loads torch" in told
    assert "passed" not in told


def test_a_test_is_a_process_test_by_a_fixture_of_its_fixtures(tmp_path: Path) -> None:
    code = "@pytest.fixture\ndef llem(): pass\n@pytest.fixture\ndef over(llem: None): pass\ndef test_it(over): pass\n"
    assert "1 deselected" in pytest_on(tmp_path, code, "-m", "unit")


def test_every_kind_is_a_marker() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert {"unit", *kinds.OTHERS} == {marker.split(":")[0] for marker in options["markers"]}


def test_a_run_of_one_kind_reads_no_module_without_it(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("raise RuntimeError('it is read')\n")
    docker = "import pytest\n\n@pytest.mark.docker\ndef test_it(): pass\n\ndef test_unit(): pass\n"
    assert re.search(r"== 1 passed, 1 deselected in", pytest_on(tmp_path, docker, "-m", "docker"))
    assert "it is read" in pytest_on(tmp_path, docker, "-m", "docker or ray")


@pytest.mark.parametrize("body", ["@pytest.mark.engine\ndef test_it(): pass\n", "def test_it(llem: None): pass\n"])
def test_a_run_of_what_every_machine_can_run_reads_what_may_hold_some(tmp_path: Path, body: str) -> None:
    (tmp_path / "test_other.py").write_text("raise RuntimeError('it is read')\n")
    body = f"import pytest\n\n@pytest.fixture\ndef llem(): pass\n\n{body}"
    assert re.search(r"== 1 passed in", pytest_on(tmp_path, body, "-m", "not unit and not (docker or ray)"))


def test_a_kind_that_a_modules_text_does_not_tell_ends_a_run_of_unit_tests(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_collection_modifyitems(items):\n    for item in items: item.add_marker('engine')\n"
    )
    told = pytest_on(tmp_path, "def test_it(): pass\n", "-m", "unit")
    assert "test_it is one of engine: mark it as that in its module" in told
    assert "1 passed" in pytest_on(tmp_path, "import pytest\n\n@pytest.mark.engine\ndef test_it(): pass\n")


def test_a_kind_beside_that_of_its_module_is_read(tmp_path: Path) -> None:
    both = "pytestmark = pytest.mark.process\n\n@pytest.mark.docker\ndef test_it(): pass\n\ndef test_other(): pass\n"
    assert re.search(r"== 1 passed, 1 deselected in", pytest_on(tmp_path, both, "-m", "docker"))
    assert re.search(
        r"== 1 passed, 1 deselected in", pytest_on(tmp_path, both, "-m", "not unit and not (docker or ray)")
    )
