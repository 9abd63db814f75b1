"""The parts of the site from outside docs/: MkDocs calls these hooks, as mkdocs.yml says.

Pages link to files of the repository, such as a distribution's README, by paths that work on a forge. On the site a Markdown
file that is linked so becomes a page below `repository/`, a folder its README, and any other file lies there as it is.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
FOLDER = "repository"
LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")


def site_path(page: str, target: str) -> str:
    """Where a link from a page of the site leads on the site, below its root.

    Args:
        page: the page's path on the site, such as `backends.md`; one below `repository/` is where the repository has it.
        target: a relative path as it works in the repository.
    """
    home = page.removeprefix(f"{FOLDER}/") if page.startswith(f"{FOLDER}/") else f"docs/{page}"
    path = posixpath.normpath(posixpath.join(posixpath.dirname(home), target))
    if (ROOT / path / "README.md").is_file():
        path += "/README.md"
    return path.removeprefix("docs/") if path.startswith("docs/") else f"{FOLDER}/{path}"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what pages of docs/ link to outside of it, and what those link to in turn."""
    left = [(file.src_uri, file.content_string) for file in files.documentation_pages()]
    while left:
        page, text = left.pop()
        for _, target, _ in LINK.findall(text):
            path = site_path(page, target)
            source = ROOT / path.removeprefix(f"{FOLDER}/")
            if not path.startswith(f"{FOLDER}/") or files.get_file_from_path(path) or not source.is_file():
                continue
            if source.suffix == ".md":
                content = source.read_text(encoding="utf-8")
                files.append(File.generated(config, path, content=content, inclusion=InclusionLevel.NOT_IN_NAV))
                left.append((path, content))
            else:
                files.append(File.generated(config, path, abs_src_path=str(source), inclusion=InclusionLevel.INCLUDED))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn each relative link into the one that works on the site."""
    here = page.file.src_uri

    def onsite(link: re.Match[str]) -> str:
        before, target, after = link.groups()
        path = site_path(here, target)
        if files.get_file_from_path(path) is None:
            return link[0]
        return f"{before}{posixpath.relpath(path, posixpath.dirname(here) or '.')}{after}"

    return LINK.sub(onsite, markdown)
