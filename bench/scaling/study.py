"""One study that does nothing, from its text to its table, in a process of its own: `python -m bench.scaling.study N FOLDER`.

Prints what each step took, in seconds, and the process's peak memory, as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.scaling.nothing import NothingRunner, registry
from llem.config.layers import load_study
from llem.config.reading import read_yaml
from llem.plan import make_plan
from llem.progress import TextReporter
from llem.specs.kinds import BACKENDS
from llem.study.folder import create
from llem.study.loop import run_plan
from llem.study.run import bring_together
from llem.study.schedule import running
from llem.study.schedule.dispatch import Dispatcher

CYCLES = 4
WARM_UP = 100


def study_text(experiments: int) -> str:
    """YAML of a study of so many experiments, a multiple of 100: four cycles of each configuration."""
    side, rest = divmod(experiments, 25 * CYCLES)
    if side < 1 or rest:
        raise ValueError(f"experiments must be a multiple of {25 * CYCLES}, not {experiments}")
    return f"""\
name: nothing-{experiments}
model: random:tiny-llama
backend: nothing
runners: {{nothing: nothing}}
dataset: {{name: synthetic, n: 8, input_tokens: 16}}
sweep:
  dataset.output_tokens: {{min: 1, max: {side}, num: {side}}}
  nothing.batch_size: [1, 2, 4, 8, 16]
  decoding.temperature: [0, 0.5, 0.7, 1.0, 1.5]
execution: {{cycles: {CYCLES}, experiment_gap_s: 0, cycle_gap_s: 0}}
"""


class Stopwatch:
    """Adds up what calls of functions take."""

    def __init__(self) -> None:
        self.spent_s = 0.0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def call(*arguments: Any, **named: Any) -> Any:
            begin = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.spent_s += time.perf_counter() - begin

        return call


@contextmanager
def timed() -> Iterator[Stopwatch]:
    """Times what belongs to dispatching: making job directories, and reading and checking what came back."""
    watch = Stopwatch()
    parts = ((Dispatcher, "start"), (running.RunningExperiment, "outcome"), (running, "final_result"))
    kept = [getattr(owner, name) for owner, name in parts]
    for (owner, name), function in zip(parts, kept, strict=True):
        setattr(owner, name, watch.around(function))
    try:
        yield watch
    finally:
        for (owner, name), function in zip(parts, kept, strict=True):
            setattr(owner, name, function)


def run(experiments: int, output: Path) -> dict[str, Any]:
    """Run the study and say what it took.

    Returns:
        Seconds: `expand_s` (text to plan), `dispatch_s` (job directories, their documents, reading and checking what came
        back), `runner_s` (the runner itself, which is nobody's cost), `bookkeeping_s` (manifest, journal, table, reporter,
        schedule: all that is left); and `peak_mb`, `folder`.
    """
    installed = registry()
    begin = time.perf_counter()
    document = read_yaml(study_text(experiments), "study.yaml").data
    study = load_study(None, document=document, environ={}, backends=installed[BACKENDS])
    plan = make_plan(study, installed)
    expanded = time.perf_counter()
    if plan.total != experiments:
        raise ValueError(f"the plan has {plan.total} experiments, not {experiments}")
    folder = create(output, plan.name)
    NothingRunner.spent_s = 0.0
    with Path("/dev/null").open("w") as nowhere, timed() as dispatch:
        start = time.perf_counter()
        outcome = run_plan(plan, installed, folder, TextReporter(nowhere))
        bring_together(folder, outcome.state, outcome.table)
        end = time.perf_counter()
    if outcome.counts["done"] != experiments:
        raise ValueError(f"{outcome.counts['done']} of {experiments} experiments are done")
    return {
        "experiments": experiments,
        "expand_s": expanded - begin,
        "runner_s": NothingRunner.spent_s,
        "dispatch_s": dispatch.spent_s,
        "bookkeeping_s": end - start - dispatch.spent_s - NothingRunner.spent_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "folder": str(folder),
    }


if __name__ == "__main__":
    run(WARM_UP, Path(sys.argv[2]))  # imports, and caches of what is the same in every study
    print(json.dumps(run(int(sys.argv[1]), Path(sys.argv[2]))))
