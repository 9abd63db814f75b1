"""A suite that everything passes proves nothing: each plugin here breaks one promise, and a test of the suite fails on it."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

LIARS = Path(__file__).parent / "liars"
_TABLES = runpy.run_path(str(LIARS / "lies.py"))
KINDS: Mapping[str, Mapping[str, str | None]] = {
    "backend": _TABLES["BACKENDS"],
    "sampler": _TABLES["METERS"],
    "check": _TABLES["CHECKS"],
    "runner": _TABLES["RUNNERS"],
}
Failures = Callable[[str], Mapping[str, set[str]]]


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> Failures:
    """Takes a kind, runs its suite on each of its plugins, returns the failed tests of each."""
    known: dict[str, Mapping[str, set[str]]] = {}

    def run(kind: str) -> Mapping[str, set[str]]:
        if kind not in known:
            known[kind] = _run(kind, tmp_path_factory.mktemp(kind) / "report.xml")
        return known[kind]

    return run


def _run(kind: str, report: Path) -> Mapping[str, set[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    path = os.pathsep.join([str(LIARS), os.environ["PYTHONPATH"]])
    # All of the suite on the honest one; of a liar the test that must notice, since many start processes.
    names = [
        f"{LIARS / 'suites.py'}::Test_{kind}_{name}{'' if must is None else f'::test_{must}'}"
        for name, must in KINDS[kind].items()
    ]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        f"--junitxml={report}",
    ]
    done = subprocess.run(
        [*command, *names],
        env={**environment, "PYTHONPATH": path},
        cwd=LIARS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    found: dict[str, set[str]] = {name: set() for name in KINDS[kind]}
    for case in ET.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            liar = case.attrib["classname"].rpartition(f"Test_{kind}_")[2]
            found[liar].add(case.attrib["name"].removeprefix("test_"))
    return found


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, lies in KINDS.items() for name in lies])
def test_a_lie_fails_and_the_truth_passes(failures: Failures, kind: str, name: str) -> None:
    must, failed = KINDS[kind][name], failures(kind)[name]
    if must is None:
        assert failed == set()
    else:
        assert must in failed, f"it passed; failed were {sorted(failed)}"


def test_every_suite_asks_enough(failures: Failures) -> None:
    for kind, lies in KINDS.items():
        noticed = {must for must in lies.values() if must is not None}
        assert len(noticed) >= 6, kind
