"""What a container adds to an experiment: the whole of it through Docker beside the same experiment as a local process.

Both do the same: two tokens for each of a few prompts by an engine without a model, so that what remains is the start of
Python, the measurement, and the results. Local and container runs alternate in one run. `added_s` is the difference from
dispatch to result on disk; creation, start, end and removal of the container are in it, pulling and preflight are not.
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
from llem.results.job_directory import EVENTS, EventReader, JobDocument
from llem.results.store import read_result
from llem.runners.failure import Ended, settle
from llem.specs.runner import Job, RunnerContext
from llem.study.interrupts import Interrupts
from llem.study.watch import watch

ROOT = Path(__file__).parents[1]
TESTBED = str(ROOT / "tests" / "testbed")
LIMIT_S = 300.0


def main() -> None:
    """Pairs in alternating order; the figure is the median of the pairs' differences."""
    parser: argparse.ArgumentParser = arguments(__doc__)
    parser.add_argument("--image", help="an image with llem and the testbed backend; made where none is given")
    options = parser.parse_args()
    where = machine()
    sys.path.insert(0, TESTBED)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [TESTBED, os.environ.get("PYTHONPATH")]))
    pairs = 3 if options.quick else 15
    image = options.image or _image()
    runs: dict[str, list[float]] = {"local": [], f"docker:{image}": []}
    with tempfile.TemporaryDirectory() as folder:
        for name in runs:
            timed(name, Path(folder, f"first-{len(name)}"))  # files into the page cache
        for pair in range(pairs):
            for name in sorted(runs, reverse=bool(pair % 2)):
                runs[name].append(timed(name, Path(folder, f"{pair}-{len(name)}")))
    local, container = runs.values()
    figures = {
        "added_s": Figure.of([c - p for c, p in zip(container, local, strict=True)], "s"),
        "container_s": Figure.of(container, "s"),
        "local_s": Figure.of(local, "s"),
    }
    publish("container_overhead", where, figures, options.json)


def timed(runner: str, job_dir: Path) -> float:
    """Seconds of one experiment from its dispatch to its result, by a runner. Raises SystemExit where it fails."""
    registry = default_registry()
    config = Composer(registry.backends).compose(
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
    made = load_object(registry.runner(name).runner)(
        RunnerContext(argument=argument or None, study_id="bench", backend="testbed")
    )
    begin, started_at = time.perf_counter(), datetime.now(UTC)
    document.write(job_dir)
    try:
        running = made.start(Job(directory=job_dir, config=config, config_hash=document.config_hash))
    except LlemError as error:
        sys.exit(f"{runner}: {error}")
    ended: Ended = watch(
        running,
        EventReader(job_dir / EVENTS),
        timeout_s=LIMIT_S,
        silence_timeout_s=LIMIT_S,
        started_at=started_at,
        tell=lambda event: None,
        interrupts=Interrupts(),
    )
    settle(job_dir, document, ended)
    seconds = time.perf_counter() - begin
    made.close()
    result = read_result(job_dir)
    if result.status != "done":
        sys.exit(f"{runner}: {result.failure}")
    return seconds


def _image() -> str:
    """An image with Python, llem and the testbed, as the tests make it; the engine is started where none answers."""
    sys.path.insert(0, str(ROOT / "tests"))
    from bed import make

    subprocess.run(["bash", str(ROOT / "images" / "engine.sh")], check=True, stdout=subprocess.DEVNULL)
    return make()


if __name__ == "__main__":
    main()
