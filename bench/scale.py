"""The cost of a study's size: expansion, dispatch, bookkeeping and queries at 100, 10,000 and 100,000 experiments, and
conclusions from 10,000 results.

Experiments do nothing (`bench.scaling.nothing`), so that what is left is llem's own work; each study runs in a process of its
own. Studies lie in memory where there is room (/dev/shm), which shows growth best: on a disk each experiment waits some
milliseconds more for what must be safe there, however large the study is, and `disk_…_ms` is that.

- `expand_N_s`: from the text of a study to its plan. `expand_1m_…`: 1,000,000 points as a stream, in a process that keeps
  nothing but what it needs to know a duplicate; `peak_mb` is its resident set.
- `dispatch_N_ms`: for each experiment, its job directory and document, and reading and checking what came back.
- `bookkeeping_N_ms`: for each experiment, all else: schedule, manifest, journal, seal, table, reporter.
- `query_N_s`: `llem show` as a whole command; `query_chosen_N_s` with conditions and order; `library_N_s` a mean by
  `llem.load_study`, in a fresh Python.
- `bookkeeping_ratio_A_B`: for each experiment, in a study of A against one of B. Up to 500 experiments the manifest is
  written anew at each change, so that a study of 100 pays more for each than one of 10,000.
- `…_exponent`: b of cost ~ nᵇ for the whole study.
- `analyze_N_s`, `report_N_s`, `…_mb`: conclusions from studies of N whole results (`bench.scaling.whole`), as whole commands, with
  the memory that all their processes hold at one time. Of the shapes of `bench.scaling.shapes` the one that takes most;
  `analyze_N_SHAPE_s` is that of each.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.report import Figure, arguments, machine, publish
from bench.scaling.analysing import analysed
from bench.scaling.fit import exponent, label
from bench.scaling.queries import answered
from bench.scaling.shapes import SHAPES
from bench.studies import study_text
from llem.specs.kinds import BACKENDS, SCENARIOS

RUNS = {100: 9, 10_000: 3, 100_000: 1}
"""Size to how many studies of it are run."""

QUICK = {100: 1, 1_000: 1, 2_000: 1}

CONCLUDED = 10_000
CONCLUDED_RUNS = 3
CONCLUDED_QUICK = 400
SHAPES_QUICK = ("gaps", "unlike")

WIDE = 100
"""Costs that are mostly fixed, such as a command's start, get an exponent only over so wide a range of sizes."""

DISK_SIZE = 1_000
IN_MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30


def expand(points: int) -> dict[str, float]:
    """Expand a study of so many points in this process."""
    from llem.config.layers import load_study
    from llem.config.reading import read_yaml
    from llem.plugins import default_registry
    from llem.sweep import Sweep

    registry = default_registry()
    backends, scenarios = registry[BACKENDS], registry[SCENARIOS]
    start = time.perf_counter()
    study = load_study(None, document=read_yaml(study_text(points), "study.yaml").data, environ={}, backends=backends)
    count = sum(1 for _ in Sweep(study.config, backends, scenarios, study.locate))
    if count != points:
        sys.exit(f"expanded {count} points, not {points}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"s": time.perf_counter() - start, "peak_mb": peak_mb}


def expanded(points: int, runs: int) -> dict[str, Figure]:
    """Figures of expansion alone, each run in a fresh process."""
    found = [_in_process("bench.scale", "--expand", str(points)) for _ in range(runs)]
    name = f"expand_{label(points)}"
    return {
        f"{name}_peak_mb": Figure.of([f["peak_mb"] for f in found], "MiB"),
        f"{name}_s": Figure.of([f["s"] for f in found], "s"),
    }


def studied(size: int, runs: int, queries: int, output: Path) -> dict[str, Figure]:
    """Figures of studies of one size, and of questions about the last of them."""
    found: list[dict[str, Any]] = []
    for _ in range(runs):
        for earlier in output.iterdir():
            shutil.rmtree(earlier)
        found.append(_in_process("bench.scaling.study", str(size), str(output)))
    name = label(size)
    figures = {
        f"expand_{name}_s": Figure.of([f["expand_s"] for f in found], "s"),
        f"dispatch_{name}_ms": Figure.of([f["dispatch_s"] * 1e3 / size for f in found], "ms"),
        f"bookkeeping_{name}_ms": Figure.of([f["bookkeeping_s"] * 1e3 / size for f in found], "ms"),
        f"study_{name}_peak_mb": Figure.of([f["peak_mb"] for f in found], "MiB"),
    }
    for kind, seconds in answered(Path(found[-1]["folder"]), queries, warm_up=queries > 1).items():
        figures[f"{kind}_{name}_s"] = Figure.of(seconds, "s")
    return figures


def compared(figures: dict[str, Figure], sizes: list[int]) -> dict[str, Figure]:
    """The conclusions from them: the largest study against the others for each experiment, and how each cost grows."""
    first, last = sizes[0], sizes[-1]
    each = {size: figures[f"bookkeeping_{label(size)}_ms"] for size in sizes}
    found = {
        f"bookkeeping_ratio_{label(last)}_{label(size)}": Figure(
            each[last].value / each[size].value, "1", each[last].n, None
        )
        for size in sizes[:-1]
    }
    for name, unit in (("expand", "s"), ("dispatch", "ms"), ("bookkeeping", "ms"), ("query", "s")):
        if unit == "s" and last < WIDE * first:
            continue  # a fixed part hides how it grows
        costs = {n: figures[f"{name}_{label(n)}_{unit}"].value * (n if unit == "ms" else 1) for n in sizes}
        found[f"{name}_exponent"] = Figure(exponent(costs), "1", len(sizes), None)
    return found


def on_disk(size: int) -> dict[str, Figure]:
    """The cost of an experiment to llem where the study lies on a disk, all of it together."""
    with tempfile.TemporaryDirectory(prefix="llem-scale-", dir=Path.cwd()) as folder:
        found = _in_process("bench.scaling.study", str(size), folder)
    spent_s = found["dispatch_s"] + found["bookkeeping_s"]
    return {f"disk_{label(size)}_ms": Figure(spent_s * 1e3 / size, "ms", 1, None)}


def grown(folder: Path, *, quick: bool) -> dict[str, Figure]:
    """Figures of studies that do nothing, and how they grow with the studies' size."""
    runs = QUICK if quick else RUNS
    figures = expanded(100_000, 1) if quick else expanded(1_000_000, 3)
    for size, count in runs.items():
        figures |= studied(size, count, 1 if quick else 7, folder)
    figures |= compared(figures, sorted(runs))
    return figures | on_disk(100 if quick else DISK_SIZE)


def _in_process(module: str, *words: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", module, *words], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def _room(chosen: Path | None) -> Iterator[Path]:
    if chosen is None and IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ROOM_BYTES:
        chosen = IN_MEMORY
    with tempfile.TemporaryDirectory(prefix="llem-scale-", dir=chosen) as folder:
        yield Path(folder)


def main() -> None:
    """Measure, smallest studies first."""
    parser = arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--expand", type=int, metavar="POINTS", help="only expand so many points, in this process")
    parser.add_argument("--folder", type=Path, help="where studies lie; by default in memory, where there is room")
    parser.add_argument("--conclusions", action="store_true", help="only what conclusions cost: `analyze` and `report`")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="draw how costs grow (needs matplotlib)")
    options = parser.parse_args()
    if options.expand:
        print(json.dumps(expand(options.expand)))
        return
    where = machine()
    with _room(options.folder) as folder:
        where["folder"] = "memory" if IN_MEMORY in folder.parents else "disk"
        figures = {} if options.conclusions else grown(folder, quick=options.quick)
        if options.quick:
            figures |= analysed(SHAPES_QUICK, CONCLUDED_QUICK, 1, folder)
        else:
            figures |= analysed(tuple(SHAPES), CONCLUDED, CONCLUDED_RUNS, folder)
    publish("scale", where, figures, options.json)
    if options.picture and not options.conclusions:
        from bench.scaling.picture import draw

        draw({"machine": where, "figures": {key: asdict(figure) for key, figure in figures.items()}}, options.picture)


if __name__ == "__main__":
    main()
