"""The time that a user waits for nothing: `llem --version`, and the dry run of a study of 10,000 points.

`python_s` is the bare interpreter in the same run, for comparison. All plugins of the environment are installed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.report import Figure, arguments, machine, publish
from bench.studies import study_text

POINTS = 10_000


def timed(command: list[str]) -> float:
    """Seconds that a command takes as a whole process. Raises CalledProcessError where it fails."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return time.perf_counter() - start


def main() -> None:
    """Measure the three in turn, so that a change of the machine's pace meets all of them."""
    options = arguments(__doc__).parse_args()
    where = machine()
    runs = 3 if options.quick else 15
    llem = str(Path(sys.executable).with_name("llem"))
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study.yaml"
        study.write_text(study_text(POINTS))
        commands = {
            "version_s": [llem, "--version"],
            "python_s": [sys.executable, "-c", "pass"],
            "dry_run_10k_s": [llem, "run", str(study), "--dry-run"],
        }
        for command in commands.values():
            timed(command)  # files into the page cache
        times: dict[str, list[float]] = {key: [] for key in commands}
        for _ in range(runs):
            for key, command in commands.items():
                times[key].append(timed(command))
    publish("startup", where, {key: Figure.of(values, "s") for key, values in times.items()}, options.json)


if __name__ == "__main__":
    main()
