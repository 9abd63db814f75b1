"""Where a study ran: one account for each kind of environment, read from one result of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.plugin_api import RESULT, ResultError, read_object
from llem_analysis.row_environments import COLUMNS

MOST = 40
"""Number of kinds of environment that are told apart; experiments of further ones have none here."""

PARTS = ("node", "exclusive", "machine", "os", "cpu", "memory", "gpu", "meters", "python", "engine", "packages")
"""Parts of a result's environment that concern more than the one run."""


def environments_of(
    folder: Path, rows: Sequence[Mapping[str, Any]]
) -> tuple[tuple[dict[str, Any], ...], dict[str, int]]:
    """The kinds of environment that finished runs had, and each run's (by its directory) place among them.

    A kind is a node with its hardware, and the backend: packages are those of the first of its runs.
    """
    kinds: dict[str, int] = {}
    place: dict[str, int] = {}
    found: list[dict[str, Any]] = []
    for row in rows:
        if row.get("status") != "done":
            continue
        kind = repr([row.get(column) for column in COLUMNS] + [row.get("config.backend")])
        if kind not in kinds:
            if len(found) == MOST:
                continue
            try:
                result = read_object(folder / str(row["directory"]) / RESULT, "result")
            except ResultError:
                continue  # its folder is gone; another run of this kind may tell
            kinds[kind] = len(found)
            found.append(_account(row, result))
        found[kinds[kind]]["runs"] += 1
        place[str(row["directory"])] = kinds[kind]
    return tuple(found), place


def _account(row: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    environment = result.get("environment") or {}
    runner = (environment.get("study") or {}).get("runner") or {}
    samplers = [
        {key: sampler.get(key) for key in ("name", "devices", "achieved_hz")}
        for sampler in result.get("samplers") or ()
        if sampler.get("used")
    ]
    return {
        "backend": row.get("config.backend"),
        "runs": 0,
        **{part: environment[part] for part in PARTS if environment.get(part) is not None},
        "runner": {key: runner[key] for key in ("name", "argument", "image_id") if runner.get(key)},
        "samplers": samplers,
    }


def versions_of(environments: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """llem's distributions and the engines with every version that runs had of them."""
    found: dict[str, dict[str, None]] = {}
    for environment in environments:
        packages = environment.get("packages") or {}
        own = {name: version for name, version in packages.items() if name == "llem" or name.startswith("llem-")}
        for name, version in {**own, **(environment.get("engine") or {})}.items():
            if isinstance(version, str):
                found.setdefault(name, {})[version] = None
    return {name: tuple(versions) for name, versions in found.items()}
