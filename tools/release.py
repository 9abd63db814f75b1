"""The distributions of this repository, found by folder, for a release: `python -m tools.release`."""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("core", "plugins/*", "runners/*")
"""Patterns of the folders that hold a distribution, the core first: nothing goes out before what it needs."""


def distributions(root: Path = ROOT) -> dict[Path, tuple[str, str]]:
    """Folder of each distribution to its name and version, in the order in which they are published."""
    found = {}
    for pattern in FOLDERS:
        for file in sorted(root.glob(f"{pattern}/pyproject.toml")):
            project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
            found[file.parent] = (project["name"], project["version"])
    return found


def problem_of(tag: str, found: Mapping[Path, tuple[str, str]]) -> str | None:
    """The reason why a tag releases none of these, in a sentence; None where all of them have its version."""
    other = [f"{name} is {version}" for name, version in found.values() if f"v{version}" != tag]
    return f"the tag is {tag}, and {', '.join(other)}." if other else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the folders, or the names as JSON; hold a tag against the versions."""
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the names as a JSON list")
    parser.add_argument("--tag", help="fail where a distribution has another version than this tag, such as v0.2.0")
    options = parser.parse_args(arguments)
    found = distributions()
    if options.tag is not None:
        problem = problem_of(options.tag, found)
        if problem is not None:
            print(problem, file=sys.stderr)
        return int(problem is not None)
    if options.json:
        print(json.dumps([name for name, _ in found.values()]))
    else:
        print("\n".join(str(folder.relative_to(ROOT)) for folder in found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
