"""The cost of an experiment besides its work: the whole of one that loads no model and generates for milliseconds.

`fixed_s` is by a worker that is forked from a fork server, `plain_spawn_s` by one that is started afresh (`--no-warm-start`), both
by the local runner, from dispatch to the result on disk: the worker, its sampler, the meters' choice, the facts of the machine,
the tables and the result are in it. The engine imports what one on PyTorch has imported when a model is loaded.
`optimum_process_launcher_s` is the process launcher of optimum-benchmark, with the same imports in the process and an empty
report: it starts no meters and writes nothing. `template_s` is paid once in a study. They alternate in one run; the first of
each is not counted.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench.report import Figure, arguments, machine, publish
from bench.starting import importing, rival
from llem.plugins import default_registry
from llem.specs.kinds import BACKENDS, SCENARIOS

ROOT = Path(__file__).parents[1]
BACKEND = "importing"
_STEP_S = 0.2


def main() -> None:
    """Rounds of the three in turn, so that a change of the machine's pace meets all of them."""
    options = arguments(__doc__).parse_args()
    where = machine()
    rounds = 1 if options.quick else 15
    with tempfile.TemporaryDirectory() as folder:
        _install(Path(folder, "site"))
        experiment, close = _experiments(Path(folder))
        begin = time.perf_counter()
        experiment(True)
        first = time.perf_counter() - begin
        experiment(False)
        times: dict[str, list[float]] = {"fixed_s": [], "plain_spawn_s": [], "optimum_process_launcher_s": []}
        try:
            for _ in range(rounds):
                times["fixed_s"] += [experiment(True) for _ in range(3)]
                times["plain_spawn_s"].append(experiment(False))
                times["optimum_process_launcher_s"] += rival.launches(2, importing.MODULES)[1:]
        finally:
            close()
    figures = {name: Figure.of(values, "s") for name, values in times.items()}
    figures["template_s"] = Figure.of([first - figures["fixed_s"].value], "s")
    publish("warm_start", where, figures, options.json)


def _install(site: Path) -> None:
    """Have this process and workers see the backend."""
    importing.install(site)
    folders = [str(site), str(ROOT / "tests" / "testbed")]
    sys.path[:0] = folders
    os.environ["PYTHONPATH"] = os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


def _experiments(folder: Path) -> tuple[Callable[[bool], float], Callable[[], None]]:
    """Runs one experiment, warm or not, and gives its seconds; and what ends the runners."""
    from llem.config.compose import Composer
    from llem.config.identity import config_hash
    from llem.plugins import Registry
    from llem.results.job_directory import JobDocument
    from llem.runners.failure import Ended, final_result
    from llem.runners.local import LocalRunner
    from llem.specs.runner import Job, RunnerContext

    config = Composer(Registry()[BACKENDS], Registry()[SCENARIOS]).compose(
        {
            "backend": BACKEND,
            "model": "random:tiny-llama",
            "dataset": {"name": "synthetic", "n": 4, "input_tokens": 8, "output_tokens": 2},
            "measurement": {"min_window_s": 0, "settle_s": 0},
            "warmup": {"enabled": False},
            "baseline": {"enabled": False},
        }
    )
    identity = config_hash(config)
    runners = {
        warm: LocalRunner(
            RunnerContext(registry=default_registry(), study_id="bench", backend=BACKEND, warm_start=warm)
        )
        for warm in (True, False)
    }

    def run(warm: bool) -> float:
        job_dir = Path(tempfile.mkdtemp(dir=folder))
        document = JobDocument(config=config.document(), config_hash=identity, base_dir=str(job_dir), study="bench")
        begin, started_at = time.perf_counter(), datetime.now(UTC)
        document.write(job_dir)
        running = runners[warm].start(Job(directory=job_dir, config=config, config_hash=identity))
        while (ending := running.wait(_STEP_S)) is None:
            pass
        result = final_result(job_dir, document, Ended(why="Crash", ending=ending, started_at=started_at))
        seconds = time.perf_counter() - begin
        if result.status != "done" or result.environment["start"]["warm"] is not warm:
            sys.exit(f"the experiment went otherwise: {result.failure} {result.environment.get('start')}")
        return seconds

    def close() -> None:
        for runner in runners.values():
            runner.close()

    return run, close


if __name__ == "__main__":
    main()
