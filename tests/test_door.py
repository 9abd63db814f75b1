"""The pages for whoever comes to the repository: what they name is there, and what machines read of them is valid."""

from __future__ import annotations

import ast
import fnmatch
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from cffconvert.cli.cli import cli
from click.testing import CliRunner

from tools.release import distributions, main, problem_of

ROOT = Path(__file__).parent.parent
PAGES = ("CONTRIBUTING.md", "RELEASING.md", "SECURITY.md", "CODE_OF_CONDUCT.md")
RELEASE = ROOT / ".github" / "workflows" / "release.yml"
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
LATER = {"dist/", "docs/reference/"}
"""Folders that a command of the page makes."""


def _named(page: str) -> set[str]:
    """Paths that a page names between backticks: what has a slash or the ending of a file."""
    text = (ROOT / page).read_text(encoding="utf-8")
    spans = set(re.findall(r"`([\w./-]+)`", text)) | set(re.findall(r"^pytest ([\w./-]+)", text, re.MULTILINE))
    return {span for span in spans if "/" in span or re.search(r"\.(md|toml|txt|yml|yaml|cff|py)$", span)}


def _folded(page: str) -> str:
    return " ".join((ROOT / page).read_text(encoding="utf-8").split())


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_is_there(page: str) -> None:
    missing = [
        path
        for path in _named(page) - LATER
        if not (ROOT / path).exists()
        and not any(ROOT.glob(f"**/{path}"))
        and path not in {"image/", "tests/", "util.py"}
    ]
    assert not missing


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "RELEASING.md", "README.md", "docs/installation.md"])
def test_every_target_of_make_that_a_page_names_is_one(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z-]+)`", text)) | set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE))
    assert named
    assert named <= targets


def test_contributing_says_how_to_add_each_kind_that_plugins_register() -> None:
    from llem.specs.kinds import KINDS

    table = _folded("CONTRIBUTING.md").split("| you want to add |")[1]
    words = {"energy sampler": "a sampler", "preflight check": "a check"}
    for kind in KINDS:
        word = words.get(kind.word, kind.word)
        assert re.search(rf"\b{word}\b", table), f"CONTRIBUTING.md does not say how to add: {kind.word}"


def test_an_order_of_experiments_touches_the_files_that_contributing_names() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith("| an order of experiments |")]
    sources = [*ROOT.glob("core/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py"), *ROOT.glob("runners/*/src/**/*.py")]
    touched = {
        str(file.relative_to(ROOT))
        for file in sources
        if "latin_square" in file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value == "latin_square"
    }
    assert touched == set(re.findall(r"`([\w./-]+\.py)`", row))


def test_the_citation_is_valid_and_of_this_version() -> None:
    done = CliRunner().invoke(cli, ["--validate", "--infile", str(ROOT / "CITATION.cff")])
    assert done.exit_code == 0, done.output
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    core = tomllib.loads((ROOT / "core" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == core["version"]
    assert citation["license"] == core["license"]
    assert citation["url"] == core["urls"]["Documentation"]


@pytest.mark.parametrize("form", [form for form in FORMS if form.name != "config.yml"], ids=lambda form: form.name)
def test_an_issue_form_asks_each_thing_once_and_says_what_for(form: Path) -> None:
    found = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= found.keys()
    asked = [part for part in found["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in asked}) == len(asked) > 1
    assert all(part["attributes"]["label"] and part["attributes"]["description"] for part in asked)
    assert any(part.get("validations", {}).get("required") for part in asked)


def test_the_release_finds_every_distribution_by_its_folder() -> None:
    folders = {file.parent for file in [ROOT / "core" / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")]}
    folders |= {file.parent for file in ROOT.glob("runners/*/pyproject.toml")}
    found = distributions()
    assert set(found) == folders
    assert next(iter(found.values()))[0] == "llem"
    text = RELEASE.read_text(encoding="utf-8") + (ROOT / "RELEASING.md").read_text(encoding="utf-8")
    listed = [name for name, _ in found.values() if name != "llem" and re.search(rf"^\s*- {name}$", text, re.MULTILINE)]
    assert not listed, "the workflow finds distributions by folder, and lists none"


def test_a_distribution_that_is_added_is_found_and_one_without_a_pyproject_is_none(tmp_path: Path) -> None:
    for name, version in (("core", "1.0"), ("runners/llem-x", "1.1"), ("plugins/llem-y", "1.0")):
        (tmp_path / name).mkdir(parents=True)
        project = f'[project]\nname = "{name.rpartition("/")[2]}"\nversion = "{version}"\n'
        (tmp_path / name / "pyproject.toml").write_text(project)
    (tmp_path / "plugins" / "notes").mkdir()
    found = distributions(tmp_path)
    assert [name for name, _ in found.values()] == ["core", "llem-y", "llem-x"]
    assert problem_of("v1.0", found) == "the tag is v1.0, and llem-x is 1.1."
    found.pop(tmp_path / "runners" / "llem-x")
    assert problem_of("v1.0", found) is None


def test_a_tag_of_another_version_ends_the_release(capsys: pytest.CaptureFixture[str]) -> None:
    version = next(iter(distributions().values()))[1]
    assert main(["--tag", f"v{version}"]) == 0
    assert main(["--tag", "v99.0"]) == 1
    assert f"llem is {version}" in capsys.readouterr().err


def test_each_job_of_the_release_takes_the_files_of_its_own_distribution_only() -> None:
    script = RELEASE.read_text(encoding="utf-8")
    assert 'mv all/"${DISTRIBUTION//-/_}"-[0-9]* dist/' in script
    built = [
        f"{name.replace('-', '_')}-{version}{ending}"
        for name, version in distributions().values()
        for ending in ("-py3-none-any.whl", ".tar.gz")
    ]
    for name, _ in distributions().values():
        assert len(fnmatch.filter(built, f"{name.replace('-', '_')}-[0-9]*")) == 2


def test_the_release_publishes_by_trust_and_not_by_a_token() -> None:
    workflow: dict[str, Any] = yaml.safe_load(RELEASE.read_text(encoding="utf-8"))
    publish = workflow["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["if"] == "github.ref_type == 'tag'"
    assert set(publish["needs"]) == set(workflow["jobs"]) - {"publish"}
    assert [step["uses"] for step in publish["steps"] if "pypi" in step.get("uses", "")] == [
        "pypa/gh-action-pypi-publish@release/v1"
    ]
    assert "secrets." not in RELEASE.read_text(encoding="utf-8")
    others = [job for name, job in workflow["jobs"].items() if name != "publish"]
    assert workflow["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in others)


def test_the_index_lists_each_page_once() -> None:
    docs = ROOT / "docs"
    text = (docs / "index.md").read_text(encoding="utf-8")
    linked = re.findall(r"^- \[[^\]]+\]\(([^)]+)\)", text, re.MULTILINE)
    pages = {str(page.relative_to(docs)) for page in docs.rglob("*.md")} - {"index.md"}
    assert sorted(linked) == sorted(pages)


def test_links_lead_to_projects_own_pages_and_not_to_a_registry() -> None:
    registries = re.compile(r"https?://(www\.)?(pypi\.org/(project|p)/|hub\.docker\.com|npmjs\.com|anaconda\.org)")
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("core/*.md")]
    pages += [*ROOT.glob("plugins/*/*.md"), *ROOT.glob("runners/*/*.md"), *ROOT.glob("examples/**/*.md")]
    pages += ROOT.glob("*/*/pyproject.toml")
    assert [page for page in pages if registries.search(page.read_text(encoding="utf-8"))] == []
