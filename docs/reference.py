"""Writes the pages of docs/reference from the code itself: `python -m docs.reference`, or `make docs`.

With `--check` nothing is written: exit code 1 where a page on disk is not what would be written.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from docs.reference_pages import cli, configuration, hooks, messages, results

FOLDER = Path(__file__).parent / "reference"

PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": configuration.page,
    "cli.md": cli.page,
    "results.md": results.page,
    "hooks.md": hooks.page,
    "messages.md": messages.page,
}
"""File name to what makes its content."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the pages; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a page is out of date")
    check = parser.parse_args(arguments).check
    stale = {name for name, make in PAGES.items() if not _is_current(name, make(), say=check)}
    extra = {path.name for path in FOLDER.glob("*.md")} - set(PAGES)
    if check:
        for name in sorted(extra):
            print(f"docs/reference/{name} is no page that is generated: remove it.")
        if stale or extra:
            print("The reference is out of date: run `make docs` and commit what changes.")
        return 1 if stale or extra else 0
    FOLDER.mkdir(exist_ok=True)
    for name in sorted(stale):
        (FOLDER / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"wrote docs/reference/{name}")
    for name in sorted(extra):
        (FOLDER / name).unlink()
        print(f"removed docs/reference/{name}")
    return 0


def _is_current(name: str, text: str, *, say: bool) -> bool:
    path = FOLDER / name
    found = path.read_text(encoding="utf-8") if path.is_file() else ""
    if say and found != text:
        difference = difflib.unified_diff(
            found.splitlines(), text.splitlines(), f"docs/reference/{name} on disk", "from the code", lineterm="", n=1
        )
        print("\n".join(difference))
    return found == text


if __name__ == "__main__":
    sys.exit(main())
