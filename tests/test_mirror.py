"""Tests of the core lie where its code lies: `core/tests/X` for the package `llem.X`."""

from __future__ import annotations

from pathlib import Path

CORE = Path(__file__).parents[1] / "core"
PACKAGES = {path.parent.name for path in (CORE / "src" / "llem").glob("*/__init__.py")}
MODULES = {path.stem for path in (CORE / "src" / "llem").glob("*.py")}


def test_each_package_of_the_core_has_a_folder_of_tests_and_no_other_folder_has_any() -> None:
    folders = {path.relative_to(CORE / "tests").parts[0] for path in (CORE / "tests").glob("*/**/test_*.py")}
    assert folders == PACKAGES


def test_what_lies_in_no_folder_tests_a_module_that_lies_in_none() -> None:
    loose = {path.stem.removeprefix("test_") for path in (CORE / "tests").glob("test_*.py")}
    assert {name for name in loose if not any(name == m or name.startswith(f"{m}_") for m in MODULES)} == set()
