"""Verify the bundle of a real study, replicate it here, and fail where llem-pytorch takes more energy than it did.

The study (study.yaml) is one configuration of the demo in turn with a fixed loop over transformers on a model of its shape. Machines differ, so
that what is judged is energy per output token in ratio to that loop, cycle by cycle, against the same ratio of the baseline, which is the
bundle. Each step is a command as a user types it: `llem verify`, `llem replicate`, `llem gate --relative-to backend=reference`.

Ends with 1 where the gate fails, or where one of the commands does. Where the gate cannot tell, it says so and ends with 0: a busy machine is no
fault of a change. `--accept` measures a new baseline, on purpose, after a change that is wanted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection
from pathlib import Path

HERE = Path(__file__).parent
BUNDLE = HERE.parent / "results" / "self_gate.zip"
REFERENCE = "backend=reference"
LIMIT = "10%"
"""More than machines with other CPUs differ in this ratio, less than a copy of the cache or a pass too many costs."""

PASSED, FAILED, UNDECIDED = 0, 1, 5


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baseline", type=Path, default=BUNDLE, metavar="BUNDLE", help=f"default: {BUNDLE.name}")
    parser.add_argument("--max-increase", default=LIMIT, metavar="SHARE", help=f"default: {LIMIT}")
    parser.add_argument("--accept", action="store_true", help="measure a new baseline, and write it to the bundle")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="llem-self-gate-") as name:
        folder = Path(name)
        if options.accept:
            return accept(options.baseline, folder)
        return judge(options.baseline, options.max_increase, folder)


def accept(bundle: Path, folder: Path) -> int:
    """Measure the study, and write its bundle."""
    llem("run", str(HERE / "study.yaml"), "--output", str(folder / "results"), "--no-gaps")
    bundle.unlink(missing_ok=True)
    llem("bundle", str(only_study(folder / "results")), "--output", str(bundle))
    return PASSED


def judge(bundle: Path, limit: str, folder: Path) -> int:
    """Verify, replicate and gate; returns the exit code."""
    llem("verify", str(bundle))
    # On machines that differ a figure may well be different or undecided: that it is judged is what has to work.
    llem("replicate", str(bundle), "--output", str(folder / "replica"), allowed=(PASSED, FAILED, UNDECIDED))
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(folder / "baseline")
    found = llem(
        "gate",
        str(only_study(folder / "baseline")),
        str(only_study(folder / "replica" / "results")),
        "--max-increase",
        limit,
        "--relative-to",
        REFERENCE,
        allowed=(PASSED, FAILED, UNDECIDED),
    )
    if found == UNDECIDED:
        print("self-gate: it cannot tell on this machine today; this is no failure.", flush=True)
        return PASSED
    return found


def llem(*words: str, allowed: Collection[int] = (PASSED,)) -> int:
    """The exit code of a command of llem, with the reference as a plugin. Ends this program where it is not an allowed one."""
    print(f"$ llem {' '.join(words)}", flush=True)
    path = os.pathsep.join([str(HERE / "plugin"), *filter(None, [os.environ.get("PYTHONPATH")])])
    code = subprocess.run([sys.executable, "-m", "llem", *words], env={**os.environ, "PYTHONPATH": path}).returncode
    if code not in allowed:
        sys.exit(f"self-gate: llem {words[0]} ended with {code}")
    return code


def only_study(folder: Path) -> Path:
    """The study in a folder or below it."""
    (found,) = {path.parent for path in folder.rglob("manifest.json")}
    return found


if __name__ == "__main__":
    sys.exit(main())
