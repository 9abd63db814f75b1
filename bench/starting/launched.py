"""Run by the environment of optimum-benchmark: starts a process by its launcher, times in all, and prints the seconds of each.

python launched.py TIMES MODULE...
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

# Without its library this module fails to import, and the launcher would import it only because it is installed.
sys.modules["amdsmi"] = None  # type: ignore[assignment]


def work(modules: list[str]) -> Any:
    """The work of an experiment that loads nothing: imports, and a report."""
    from optimum_benchmark import BenchmarkReport

    for name in modules:
        importlib.import_module(name)
    return BenchmarkReport.from_list([])


def main(times: int, modules: list[str]) -> None:
    """Launch, again and again."""
    from optimum_benchmark import ProcessConfig
    from optimum_benchmark.launchers.process.launcher import ProcessLauncher

    launcher = ProcessLauncher(ProcessConfig())
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        launcher.launch(work, [modules])
        seconds.append(time.perf_counter() - begin)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
