"""The time that a container adds to an experiment: the whole of it through Docker beside the same experiment as a local process.

Both do the same: two tokens for each of a few prompts by an engine without a model, so that what remains is the start of
Python, the measurement, and the results. Both have the same packages, and the Python of the same distribution: the image's own
are copied out of it for the local runs. They alternate in one run. `added_s` is the difference from dispatch to result on disk;
creation, start, end and removal of the container are in it, pulling and preflight are not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.report import Figure, arguments, machine, publish
from llem.config.compose import Composer
from llem.config.identity import config_hash
from llem.errors import LlemError
from llem.plugins import default_registry, load_object
from llem.results.job_directory import JobDocument
from llem.results.store import read_result
from llem.runners.failure import Ended, final_result
from llem.specs.kinds import BACKENDS, RUNNERS, SCENARIOS
from llem.specs.runner import Job, RunnerContext
from llem.study.schedule.pauses import STEP_S

ROOT = Path(__file__).parents[1]
PYTHON = "/usr/bin/python3"
"""The distribution's own, as in the image, which is of the same release."""
LIMIT_S = 300.0


def main() -> None:
    """Pairs in alternating order; the figure is the median of the pairs' differences."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.add_argument(
        "--local", type=Path, metavar="DIR", help="only one local run in that folder; prints its seconds"
    )
    options = parser.parse_args()
    if options.local:
        print(timed("local", options.local))
        return
    where = machine()
    sys.path.insert(0, str(ROOT / "tests" / "testbed"))
    pairs = 3 if options.quick else 15
    local, container = [], []
    with tempfile.TemporaryDirectory() as folder:
        image, packages = _bed(Path(folder))
        _local(packages, Path(folder, "first-local"))  # files into the page cache
        timed(f"docker:{image}", Path(folder, "first-container"))
        for pair in range(pairs):
            if pair % 2:
                container.append(timed(f"docker:{image}", Path(folder, f"{pair}-container")))
            local.append(_local(packages, Path(folder, f"{pair}-local")))
            if not pair % 2:
                container.append(timed(f"docker:{image}", Path(folder, f"{pair}-container")))
    figures = {
        "added_s": Figure.of([c - p for c, p in zip(container, local, strict=True)], "s"),
        "container_s": Figure.of(container, "s"),
        "local_s": Figure.of(local, "s"),
    }
    publish("container_overhead", where, figures, options.json)


def timed(runner: str, job_dir: Path) -> float:
    """Seconds of one experiment from its dispatch to its result, by a runner. Raises SystemExit where it fails."""
    registry = default_registry()
    config = Composer(registry[BACKENDS], registry[SCENARIOS]).compose(
        {
            "backend": "testbed",
            "model": "random:tiny-llama",
            "dataset": {"name": "synthetic", "n": 4, "input_tokens": 8, "output_tokens": 2},
            "measurement": {"min_window_s": 0, "settle_s": 0},
            "warmup": {"enabled": False},
            "baseline": {"enabled": False},
        }
    )
    job_dir.mkdir(parents=True)
    document = JobDocument(
        config=config.document(), config_hash=config_hash(config), base_dir=str(job_dir), study="bench"
    )
    name, _, argument = runner.partition(":")
    made = load_object(registry.find(RUNNERS, name).runner)(
        RunnerContext(registry=default_registry(), argument=argument or None, study_id="bench", backend="testbed")
    )
    begin, started_at = time.perf_counter(), datetime.now(UTC)
    document.write(job_dir)
    try:
        running = made.start(Job(directory=job_dir, config=config, config_hash=document.config_hash))
    except LlemError as error:
        sys.exit(f"{runner}: {error}")
    while (ending := running.wait(STEP_S)) is None:
        if time.perf_counter() - begin > LIMIT_S:
            running.stop(0)
            sys.exit(f"{runner}: the experiment did not end in {LIMIT_S:g} s")
    final_result(job_dir, document, Ended(why="Crash", ending=ending, started_at=started_at))
    seconds = time.perf_counter() - begin
    made.close()
    result = read_result(job_dir)
    if result.status != "done":
        sys.exit(f"{runner}: {result.failure}")
    return seconds


def _local(packages: Path, job_dir: Path) -> float:
    """One local run by the distribution's Python with the image's packages."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), str(ROOT)])}
    command = [PYTHON, "-m", "bench.container_overhead", "--local", str(job_dir)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the local run with {PYTHON}: {done.stderr}")
    return float(done.stdout.split()[-1])


def _bed(folder: Path) -> tuple[str, Path]:
    """An image with Python, llem and the testbed, as the tests make it, and its packages. Starts the engine where none answers."""
    sys.path.insert(0, str(ROOT / "tests"))
    import bed

    if subprocess.run(["bash", str(ROOT / "images" / "engine.sh")], check=False, stdout=subprocess.DEVNULL).returncode:
        sys.exit("container_overhead needs a Docker engine; what is said above is why there is none.")
    return bed.make(), bed.unpack(folder)


if __name__ == "__main__":
    main()
