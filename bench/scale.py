"""What a large sweep costs: expansion of 1,000,000 points as a stream, in memory and time.

Peak memory is the resident set of a process of its own that expands, validates and identifies every point and keeps
nothing but what it needs to know a duplicate.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

from bench.report import Figure, arguments, machine, publish
from bench.studies import study_text


def expand(points: int) -> dict[str, float]:
    """Expand a study of so many points in this process."""
    from llem.config.layers import load_study
    from llem.config.reading import read_yaml
    from llem.plugins import default_registry
    from llem.sweep import Sweep

    backends = default_registry().backends
    start = time.perf_counter()
    study = load_study(None, document=read_yaml(study_text(points), "study.yaml").data, environ={}, backends=backends)
    count = sum(1 for _ in Sweep(study.config, backends, study.locate))
    if count != points:
        sys.exit(f"expanded {count} points, not {points}")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"s": time.perf_counter() - start, "peak_mb": peak_mb}


def main() -> None:
    """Expand in fresh processes."""
    parser = arguments(__doc__)
    parser.add_argument("--expand", type=int, metavar="POINTS", help="only expand so many points, in this process")
    options = parser.parse_args()
    if options.expand:
        print(json.dumps(expand(options.expand)))
        return
    where = machine()
    runs, points = (1, 100_000) if options.quick else (3, 1_000_000)
    label = "100k" if options.quick else "1m"
    command = [sys.executable, "-m", "bench.scale", "--expand", str(points)]
    found = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(runs)
    ]
    figures = {
        f"expand_{label}_peak_mb": Figure.of([f["peak_mb"] for f in found], "MiB"),
        f"expand_{label}_s": Figure.of([f["s"] for f in found], "s"),
    }
    publish("scale", where, figures, options.json)


if __name__ == "__main__":
    main()
