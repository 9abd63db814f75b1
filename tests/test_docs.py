"""The documentation says what is: generated pages are current, links lead somewhere, examples load, parse and run."""

from __future__ import annotations

import ast
import contextlib
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import click
import pytest
from plain_environment import plain_environment

from llem.cli.group import command_line
from llem.config.layers import load_study
from llem.config.reading import read_yaml
from llem.errors import PluginError
from llem.plan import make_plan
from llem.plugins import Registry, default_registry
from llem.specs.kinds import BACKENDS, RUNNERS, SCENARIOS

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md")]
)
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
STUDY_KEYS = {"model", "sweep"}
INLINE = re.compile(r"`(llem [^`\n]+)`")
ELSEWHERE = ("docs/study.md", "docs/import.md")
"""The studies of the first page are planned one by one in test_study_page.py; the second has mappings of tables."""


def _blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for number, (kind, text) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), 1):
            if kind == language:
                found.append((f"{page.relative_to(ROOT)}:block {number}", text))
    return found


def _studies() -> list[tuple[str, str]]:
    found = [(name, text) for name, text in _blocks("yaml") if not name.startswith(ELSEWHERE)]
    blocks = [(name, text) for name, text in found if STUDY_KEYS & read_yaml(text, name).data.keys()]
    examples = [
        (str(f.relative_to(ROOT)), f.read_text(encoding="utf-8")) for f in sorted((ROOT / "examples").glob("*.yaml"))
    ]
    return blocks + examples


def _commands() -> list[tuple[str, str]]:
    """Command lines in blocks of a shell; in `console` those after a prompt."""
    blocks = [*_blocks("bash"), *_blocks("sh"), *_blocks("console")]
    joined = [(name, text.replace("\\\n", " ")) for name, text in blocks]
    lines = [(name, line.removeprefix("$ ")) for name, text in joined for line in text.splitlines()]
    return [(name, line) for name, line in lines if line.startswith("llem ")]


def _mentions() -> list[tuple[str, str]]:
    """Commands within sentences, each once a page."""
    return [
        (f"{page.relative_to(ROOT)}: {line}", line)
        for page in PAGES
        for line in sorted(set(INLINE.findall(_prose(page))))
        if "…" not in line and "COMMAND" not in line
    ]


def _prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def _ids(cases: list[tuple[str, str]]) -> list[str]:
    return [name for name, _ in cases]


def _anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.process
def test_the_reference_is_what_the_code_says() -> None:
    command = [sys.executable, "-m", "docs.reference", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_check_notices_a_page_that_was_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from docs import reference

    monkeypatch.setattr(reference, "FOLDER", tmp_path / "reference")
    # What the code says of each page is another test's: here each says one thing.
    for made in ("PAGES", "PARTS"):
        monkeypatch.setattr(reference, made, {name: f"of {name}\n".format for name in getattr(reference, made)})
    for name in reference.PARTS:  # the rest of such a page is written by hand
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"before\n{reference.BEGIN}\nold\n{reference.END}\nafter\n", encoding="utf-8")
    assert reference.main(["--check"]) == 1
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
    page = tmp_path / "reference" / "cli.md"
    page.write_text(page.read_text(encoding="utf-8") + "edited\n", encoding="utf-8")
    assert reference.main(["--check"]) == 1
    assert reference.main([]) == 0
    (tmp_path / "reference" / "left-over.md").write_text("")
    assert reference.main(["--check"]) == 1


@pytest.mark.parametrize("page", PAGES, ids=[str(p.relative_to(ROOT)) for p in PAGES])
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.relative_to(ROOT)} links to {target}"
        if anchor:
            assert anchor in _anchors(file), f"{page.relative_to(ROOT)} links to {target}"


def test_every_page_can_be_reached_from_the_index() -> None:
    seen, left = set(), [ROOT / "docs" / "index.md"]
    while left:
        page = left.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = (t.partition("#")[0] for t in LINK.findall(page.read_text(encoding="utf-8")) if ":" not in t)
        left += [found for t in targets if t.endswith(".md") and (found := (page.parent / t).resolve()).is_file()]
    assert {p for p in PAGES if p.is_relative_to(ROOT / "docs")} <= seen


@pytest.mark.parametrize(("name", "text"), _studies(), ids=_ids(_studies()))
def test_a_study_in_the_docs_is_taken(name: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    document = read_yaml(text, name).data
    # A fragment shows the sweep alone; the page's first study is what it belongs to.
    whole = text if "model" in document else f"model: random:tiny-llama\nbackend: pytorch\n{text}"
    if "backend" in document.get("sweep", {}):
        whole = whole.replace("backend: pytorch\n", "", 1)
    file.write_text(whole, encoding="utf-8")
    registry = default_registry()
    missing = [b for b in _swept_backends(document) if b not in registry[BACKENDS]]
    if missing:
        with pytest.raises(PluginError, match=f"{missing[0]}"):
            load_study(
                file,
                environ={},
                backends=registry[BACKENDS],
                find_backend=partial(registry.find, BACKENDS),
                runners=registry[RUNNERS],
                scenarios=registry[SCENARIOS],
            )
        return
    study = load_study(
        file, environ={}, backends=registry[BACKENDS], runners=registry[RUNNERS], scenarios=registry[SCENARIOS]
    )
    assert make_plan(study, Registry()).total > 0


def _swept_backends(document: dict[str, object]) -> list[str]:
    sweep = document.get("sweep")
    axis = sweep.get("backend", []) if isinstance(sweep, dict) else []
    return [name for name in axis if isinstance(name, str)]


@pytest.mark.parametrize(("name", "line"), _commands(), ids=_ids(_commands()))
def test_a_command_in_the_docs_has_only_options_that_exist(name: str, line: str) -> None:
    _parse(line)


@pytest.mark.parametrize(("name", "line"), _mentions(), ids=_ids(_mentions()))
def test_a_command_in_a_sentence_has_only_options_that_exist(name: str, line: str) -> None:
    # A sentence may leave out what the command is about.
    with contextlib.suppress(click.MissingParameter, click.BadOptionUsage, click.exceptions.NoArgsIsHelpError):
        _parse(line)


def _parse(line: str) -> None:
    words = shlex.split(line.partition(" | ")[0].partition(" > ")[0].partition(" && ")[0], comments=True)[1:]
    command: click.Command = command_line
    with click.Context(command_line, info_name="llem", obj=default_registry()) as context:
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            _, found, words = command.resolve_command(context, words)
            assert found is not None, line
            command = found
        if "--help" not in words and "--version" not in words:
            try:
                command.make_context(command.name, list(words), parent=context)
            except click.BadParameter as error:
                if "does not exist" not in error.message:  # a file of the reader's
                    raise


PROGRAMS = [(name, text) for name, text in _blocks("python") if not name.startswith("docs/reference/")]
"""Those of the reference are signatures."""


@pytest.mark.parametrize(("name", "text"), PROGRAMS, ids=_ids(PROGRAMS))
def test_python_in_the_docs_is_python(name: str, text: str) -> None:
    ast.parse(text, name)


@pytest.mark.process
def test_the_python_on_the_page_of_backends_runs() -> None:
    done = subprocess.run([sys.executable, "-c", _python("backends.md")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "max_num_seqs" in done.stdout


def _python(page: str) -> str:
    return "\n".join(text for name, text in _blocks("python") if name.startswith(f"docs/{page}:"))


@pytest.mark.process
def test_the_python_on_the_pages_runs_from_top_to_bottom(tmp_path: Path) -> None:
    """The library page makes a study; the pages that read one then read it, under the name that they give it."""
    library = _python("library.md")
    assert library.count("llem.run_") >= 3
    script = f"""
{library}
assert result.status == "done", result.failure
assert table.num_rows == 2
assert again.manifest["state"] == "complete"
assert len(frame) == 2
study.directory.rename("results/batching-20260101T120000Z")
{_python("results.md")}
assert failed == []
{_python("getting-started.md")}
"""
    environment = plain_environment()
    environment["XDG_CONFIG_HOME"] = str(tmp_path / "no-config")
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "batchsize" in done.stdout
    assert "b'J'" in done.stdout
