"""Runs every benchmark, one after another: `python -m bench [--quick]`. Figures go to bench/results/NAME.json."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NOT_A_BENCHMARK = {"__init__", "__main__", "report", "studies"}


def names() -> list[str]:
    """The benchmarks that there are."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.stem not in NOT_A_BENCHMARK)


def main() -> int:
    """Run them all; the exit code is 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs; figures are printed, not kept")
    quick = parser.parse_args().quick
    failed = []
    for name in names():
        command = [sys.executable, "-m", f"bench.{name}"]
        command += ["--quick"] if quick else ["--json", str(HERE / "results" / f"{name}.json")]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
