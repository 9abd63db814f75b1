"""Plugins' imports of the core: one module, listed, documented, light, and held for every plugin of this repository."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from docs.reference_pages.plugin_api import page
from llem import plugin_api

ROOT = Path(__file__).parent.parent
CORE = ROOT / "core" / "src" / "llem"
LISTED = Path(__file__).with_name("plugin_api.txt")
CONTRACT = "plugins import the core by llem.plugin_api alone"


def test_it_is_what_is_listed() -> None:
    """A name that goes or changes breaks plugins: API_VERSION rises. One that comes is kept from then on."""
    version, *names = LISTED.read_text(encoding="utf-8").split()
    assert plugin_api.__all__ == names
    assert int(version) == plugin_api.API_VERSION


def test_every_name_is_there_and_type_checkers_know_the_same() -> None:
    stub = ast.parse((CORE / "plugin_api.pyi").read_text(encoding="utf-8"))
    told = {(a.name, n.module) for n in stub.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert told == {
        (name, module)
        for modules in plugin_api.TOPICS.values()
        for module, names in modules.items()
        for name in names.split()
    }
    for name in plugin_api.__all__:
        assert getattr(plugin_api, name) is not None


def test_each_name_is_explained_on_its_page() -> None:
    text = page()
    for name in plugin_api.__all__:
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` | ")]
        assert len(row.removeprefix(f"| `{name}` | ").strip(" |")) > 2, row


@pytest.mark.process
def test_importing_it_imports_nothing_of_what_it_names() -> None:
    code = "import sys, llem.plugin_api; print(*sorted(n for n in sys.modules if n.startswith('llem')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["llem", "llem.plugin_api"]


def test_import_linter_holds_every_plugin_to_it() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (contract,) = [c for c in linter["contracts"] if c["name"] == CONTRACT]
    packages = {path.name for path in [*ROOT.glob("plugins/*/src/*"), *ROOT.glob("runners/*/src/*")] if path.is_dir()}
    assert set(contract["source_modules"]) == packages
    assert set(linter["root_packages"]) == packages | {"llem"}
    modules = {
        f"llem.{path.stem}" for path in CORE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    not_held = {"llem.__init__", "llem.__main__", "llem.plugin_api"}
    assert set(contract["forbidden_modules"]) == modules - not_held


def test_examples_and_templates_import_nothing_else() -> None:
    templates = ROOT.glob("plugins/llem-plugin-kit/src/llem_plugin_kit/scaffold/templates/*/*.py.txt")
    examples = ROOT.glob("examples/plugins/*/*/**/*.py")
    lines = [
        (path, line.split()[1])
        for path in [*templates, *examples, ROOT / "docs" / "plugins.md"]
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("from llem.")
    ]
    assert len(lines) > 10
    assert [(path.name, module) for path, module in lines if module != "llem.plugin_api"] == []
