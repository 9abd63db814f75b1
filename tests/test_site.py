"""The documentation's site: built strictly, whole, and without anything that a reader's browser would fetch elsewhere."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin

import pytest

from llem import plugin_api
from llem.errors import DOCUMENTATION

ROOT = Path(__file__).parent.parent
MKDOCS = ROOT / "mkdocs.yml"
HOME = DOCUMENTATION
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
STANDING = {"canonical", "prev", "next", "alternate"}
"""Links in a page's head that no browser follows by itself."""


class Reader(HTMLParser):
    """A page's links, what it fetches, its anchors, and its paragraphs."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.paragraphs: list[str] = []
        self._inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if FETCHED.get(tag) in given and not set(given.get("rel", "").split()) & STANDING:
            self.fetched.append(given[FETCHED[tag]])
        if tag == "p":
            self._inside = True
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "p"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.paragraphs[-1] += data


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--config-file",
        str(config),
        "--site-dir",
        str(site),
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, built as it is published."""
    folder = tmp_path_factory.mktemp("site")
    done = build(MKDOCS, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Reader]:
    """Each page by its address below the site's root, such as `study/`."""
    files = sorted(site.rglob("*.html"))
    return {
        file.relative_to(site).as_posix().removesuffix("index.html"): Reader(file.read_text(encoding="utf-8"))
        for file in files
    }


@pytest.mark.process
def test_every_page_of_the_docs_is_on_the_site(pages: dict[str, Reader]) -> None:
    sources = [p.relative_to(ROOT / "docs").with_suffix("") for p in (ROOT / "docs").rglob("*.md")]
    wanted = {"" if str(p) == "index" else f"{p.as_posix().removesuffix('index').rstrip('/')}/" for p in sources}
    assert wanted <= pages.keys()


@pytest.mark.process
def test_every_link_and_anchor_on_the_site_leads_somewhere(site: Path, pages: dict[str, Reader]) -> None:
    lost = [
        f"{page}: {link}"
        for page, reader in pages.items()
        for link in reader.links
        if _is_lost(page, link, site, pages)
    ]
    assert not lost


def _is_lost(page: str, link: str, site: Path, pages: dict[str, Reader]) -> bool:
    target = urljoin(HOME + page, link)
    if not target.startswith(HOME):
        return False
    path, _, anchor = unquote(target.removeprefix(HOME)).partition("#")
    if path in pages:
        return bool(anchor) and anchor not in pages[path].anchors and not anchor.startswith("__")
    return not (site / path).is_file()


@pytest.mark.process
def test_a_reader_s_browser_fetches_nothing_from_elsewhere(site: Path, pages: dict[str, Reader]) -> None:
    fetched = {f"{page}: {what}" for page, r in pages.items() for what in r.fetched if re.match(r"(https?:)?//", what)}
    styles = [f for f in site.rglob("*.css") if re.search(r"url\([\"']?(https?:)?//|@import", f.read_text("utf-8"))]
    assert not fetched
    assert not styles


@pytest.mark.process
def test_lists_are_lists(pages: dict[str, Reader]) -> None:
    flat = [
        f"{page}: {text[:80]}"
        for page, r in pages.items()
        for text in r.paragraphs
        if re.search(r"\n(- |\| |\d\. )", text)
    ]
    assert not flat, "a list or table needs an empty line before it"


def test_the_site_is_where_errors_say() -> None:
    assert f"site_url: {DOCUMENTATION}\n" in MKDOCS.read_text(encoding="utf-8")


def _public() -> Iterator[str]:
    for module in ("llem", "llem_plugin_kit", "llem_analysis"):
        names = importlib.import_module(module).__all__
        yield from (name for name in names if not name.startswith("_"))
    yield from ("API_VERSION", "PROJECT", "hookimpl")


@pytest.mark.process
def test_every_public_name_is_in_the_library_reference(pages: dict[str, Reader]) -> None:
    described = {anchor.rpartition(".")[2] for anchor in pages["api/"].anchors if anchor.startswith("llem")}
    assert set(_public()) <= described


@pytest.mark.process
def test_every_spec_is_in_the_reference_of_hooks(pages: dict[str, Reader]) -> None:
    modules = [found for topic in plugin_api.TOPICS.values() for found in topic.items()]
    names = [name for module, listed in modules if module.startswith("llem.specs.") for name in listed.split()]
    classes = {name for name in names if isinstance(getattr(plugin_api, name), type)}
    assert {name.lower() for name in classes} <= pages["reference/hooks/"].anchors


@pytest.mark.process
@pytest.mark.parametrize(
    ("page", "word"),
    [
        ("[gone](gone.md)", "gone.md"),
        ("[no such heading](#nowhere)", "#nowhere"),
        ("[from the root](/index.md)", "absolute"),
        (None, "not included in the"),
    ],
    ids=["a page", "an anchor", "an absolute link", "a page outside the nav"],
)
def test_what_leads_nowhere_ends_the_build(page: str | None, word: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Home\n\n{page or ''}\n")
    if page is None:
        (tmp_path / "docs" / "forgotten.md").write_text("# Forgotten\n")
    config = tmp_path / "mkdocs.yml"
    config.write_text(f"INHERIT: {MKDOCS}\ndocs_dir: docs\nnav: [index.md]\nhooks: []\nplugins: []\nextra_css: []\n")
    done = build(config, tmp_path / "site")
    assert done.returncode != 0
    assert word in done.stdout + done.stderr
