"""The report as one HTML file that loads nothing: style, scripts, data and the plotting library are in it.

A content security policy forbids the page every connection and every script but its own two, which it names by their hash, so
that a text of a study that looked like markup would stay a text even if the escaping here failed.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.plugin_api import write_atomically
from llem_report import bundle as plotting
from llem_report.charts import CHARTS, Chart
from llem_report.document import document
from llem_report.packing import script_json

if TYPE_CHECKING:
    from llem_report.models import ReportStudy

STYLES = ("page.css", "print.css")
SCRIPTS = ("dom.js", "theme.js", "table.js", "filters.js", "figures.js", "details.js", "main.js")

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
SERVED_POLICY = f"{_POLICY}; connect-src 'self'; script-src 'unsafe-inline'"
"""The policy in the server's header; the page's own names its scripts by hash, and both hold."""


def write_page(study: ReportStudy, path: Path, charts: Mapping[str, Chart] = CHARTS) -> None:
    """Write the report of a study, atomically. Raises OSError where the file cannot be written."""
    write_atomically(path, page_html(study, charts))


def page_html(study: ReportStudy, charts: Mapping[str, Chart] = CHARTS) -> str:
    """The report of a study, whole; `charts` as `document` takes them."""
    return rendered(document(study, charts))


def rendered(data: Mapping[str, Any]) -> str:
    """The page of a document; of a live one, it asks for `/data.json` while the study runs."""
    from importlib.metadata import version

    bundle, script = plotting.script(), _script()
    hashes = " ".join(f"'sha256-{_digest(text)}'" for text in (bundle, script))
    connect = "; connect-src 'self'" if data["live"] else ""
    first, *others = data["figures"]
    headings = [
        ("answer", "Answer"),
        ("findings", "Findings"),
        *((f"figure-{f['name']}", f["title"]) for f in data["figures"]),
        ("experiments", "Experiments"),
        *([("audit", "Audit")] if data["fragments"]["audit"] else []),
        *_LAST,
    ]
    values = {
        "policy": html.escape(f"{_POLICY}{connect}; script-src {hashes}"),
        "version": html.escape(version("llem")),
        "title": html.escape(data["title"]),
        "state": html.escape(data["state"]),
        "style": "\n".join(_asset(name) for name in STYLES),
        "contents": "".join(f'<li><a href="#{name}-title">{html.escape(title)}</a></li>' for name, title in headings),
        **{name: blocks_html(blocks) for name, blocks in data["fragments"].items()},
        "no_audit": "" if data["fragments"]["audit"] else " hidden",
        "first_figure": _figure_html(first),
        "figures": "\n".join(_figure_html(figure) for figure in others),
        "method": _asset("method.html"),
        "citation": html.escape(data["citation"]),
        "data": script_json(
            data if data["live"] else {key: value for key, value in data.items() if key != "fragments"}
        ),
        "bundle": bundle,
        "script": script,
    }
    return _filled(_asset("page.html"), values)


_LAST = (("environment", "Environment"), ("method", "Method"), ("citation", "Citation"))


def blocks_html(blocks: Sequence[Any]) -> str:
    """The document's blocks as HTML, every text escaped."""
    return "".join(_block_html(block) for block in blocks)


def _prose(text: str) -> str:
    """Text escaped, with what stands between backquotes as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return html.escape(text)
    return "".join(f"<code>{html.escape(part)}</code>" if n % 2 else html.escape(part) for n, part in enumerate(parts))


def _block_html(block: Any) -> str:
    if isinstance(block, str):
        return f"<p>{_prose(block)}</p>"
    if "list" in block:
        body = "<ul>" + "".join(f"<li>{_prose(item)}</li>" for item in block["list"]) + "</ul>"
    elif "rows" in block:
        head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in block["headings"])
        rows = "".join(f"<tr>{''.join(f'<td>{_prose(text)}</td>' for text in row)}</tr>" for row in block["rows"])
        body = (
            f'<div class="wide"><table class="rows"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        )
    else:
        rows = "".join(
            f'<tr><th scope="row">{html.escape(key)}</th><td>{html.escape(text)}</td></tr>'
            for key, text in block["pairs"]
        )
        body = f'<table class="pairs"><tbody>{rows}</tbody></table>'
    summary = block.get("summary")
    return f"<details><summary>{html.escape(summary)}</summary>{body}</details>" if summary else body


def _figure_html(figure: Mapping[str, Any]) -> str:
    name = html.escape(figure["name"])
    hidden = "" if figure["spec"] else " hidden"
    return (
        f'<section id="figure-{name}" aria-labelledby="figure-{name}-title">\n'
        f'  <h2 id="figure-{name}-title">{html.escape(figure["title"])}</h2>\n'
        f'  <p class="why-not">{html.escape(figure["why_not"] or "")}</p>\n'
        f'  <figure{hidden}><div class="inputs control"></div>'
        f'<div class="chart" role="img" aria-label="{html.escape(figure["description"])}"></div>'
        f"<figcaption>{html.escape(figure['caption'])}</figcaption></figure>\n</section>"
    )


def _filled(template: str, values: Mapping[str, str]) -> str:
    # In one pass: braces in a study's text are no place to fill.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: values[place[1]], template)


def _asset(name: str) -> str:
    return (resources.files("llem_report") / "assets" / name).read_text(encoding="utf-8")


@functools.cache
def _script() -> str:
    body = "\n".join(_asset(name) for name in SCRIPTS)
    return f'"use strict";\n(() => {{\n{body}\n}})();'


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
