"""The report as a file: whole, of bearable size, and deaf to what a study's texts would like to be."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from llem.results.models import Failure
from llem_report.charts.style import THEMES
from llem_report.gather import gather
from llem_report.models import ReportStudy
from llem_report.packing import packed, script_json
from llem_report.page import blocks_html, page_html, write_page

pytestmark = pytest.mark.process

HOSTILE = '</script><img src=x onerror="alert(1)">{{data}}<!--\u2028'
FAILED = Failure(type="OutOfMemory", message="no room left", phase="load")


class Outline(HTMLParser):
    """Elements with their attributes, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data

    @property
    def data(self) -> dict[str, Any]:
        """The data that the page's scripts read."""
        found: dict[str, Any] = json.loads(self.scripts[0])
        return found


@pytest.fixture
def study(make_result, write_study) -> ReportStudy:
    results = [
        make_result(
            config_hash=f"{size}" * 64, point={"testbed.batch_size": size}, cycle=cycle, position=2 * cycle + size - 2
        )
        for size in (1, 2)
        for cycle in (1, 2, 3)
    ]
    return gather(write_study(*results))


def test_a_page_refers_to_nothing_outside_itself(study, tmp_path):
    write_page(study, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Outline(text)
    for tag, attributes in page.elements:
        assert tag not in ("iframe", "object", "embed", "base"), tag
        for name in ("src", "href", "action", "data", "srcset"):
            address = attributes.get(name)
            assert address is None or address.startswith("#") or address == "data:,", (tag, address)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "connect-src" not in policy
    assert not re.search(r"script-src[^;]*unsafe", policy)


def test_the_page_has_the_colours_of_the_figures(study):
    style = page_html(study).split("<style>")[1].split("</style>")[0]
    light, dark, dark_again = (block.split("}")[0] for block in re.split(r":root[^{]*\{", style)[1:4])
    for theme, block in (("light", light), ("dark", dark), ("dark", dark_again)):
        found = dict(re.findall(r"--([\w-]+): (#\w{6});", block))
        assert found | THEMES[theme] == found


def test_headings_and_references_are_whole(study):
    page = Outline(page_html(study))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        for name in ("aria-labelledby", "for"):
            assert attributes.get(name) in (None, "details-title", *ids), (tag, attributes)
        if tag == "a":
            assert str(attributes["href"]).removeprefix("#") in ids
    assert [tag for tag, _ in page.elements].count("h1") == 1
    charts = [a for _, a in page.elements if a.get("class") == "chart"]
    assert charts
    assert all(a["role"] == "img" for a in charts)


def test_what_a_study_says_stays_text(study):
    rows = [{**row, "label": HOSTILE, "settings": {HOSTILE: HOSTILE}, "failure": HOSTILE} for row in study.rows]
    hostile = replace(
        study,
        title=HOSTILE,
        rows=rows,
        parameters=[HOSTILE],
        findings=[HOSTILE],
        warnings=[HOSTILE],
        environments=[{HOSTILE: HOSTILE, "packages": {HOSTILE: HOSTILE}}],
        citation=HOSTILE,
    )
    plain, page = Outline(page_html(study)), Outline(page_html(hostile))
    assert "img" not in {tag for tag, _ in page.elements}
    assert len(page.scripts) == len(plain.scripts) == 3
    assert page.data["table"]["columns"]["label"] == {"same": HOSTILE}
    assert page.scripts[1:] == plain.scripts[1:]


@pytest.mark.parametrize("text", [HOSTILE, "</SCRIPT >", "<!--<script>", "\u2029", "&lt;"])
def test_json_in_a_script_never_ends_it(text):
    written = script_json({text: [text]})
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == {text: [text]}


def test_packed_rows_say_what_the_rows_said():
    rows = [{"a": 1, "b": n, "c": "x" if n % 2 else None, "d": {"k": [n % 2]}} for n in range(8)]
    rows[3]["only"] = 0.12345678901
    table = packed(rows)
    read = []
    for place in range(table["n"]):
        row = {}
        for key, column in table["columns"].items():
            row[key] = column.get("same") if "same" in column else None
            if "of" in column:
                row[key] = column["values"][column["of"][place]]
            if "list" in column:
                row[key] = column["list"][place]
        read.append(row)
    assert read == [{"a": 1, "only": None, **row} | ({"only": 0.1234568} if "only" in row else {}) for row in rows]
    assert table["columns"]["a"] == {"same": 1}
    assert "of" in table["columns"]["c"]
    assert packed([{"x": float("nan")}])["columns"]["x"] == {"same": None}


def test_a_value_that_is_true_is_not_taken_for_one():
    assert packed([{"x": True}, {"x": 1}, {"x": 1}, {"x": True}])["columns"]["x"]["values"] == [True, 1]


def test_a_study_of_failures_has_a_page(make_result, write_study):
    page = Outline(page_html(gather(write_study(make_result(failure=FAILED), make_result(failure=FAILED, position=2)))))
    assert page.data["table"]["columns"]["status"] == {"same": "failed"}
    assert all(figure["spec"] is None and figure["why_not"] for figure in page.data["figures"])


@pytest.mark.parametrize("measured", [True, False])
def test_a_single_experiment_has_a_page(make_result, write_study, measured):
    page = Outline(page_html(gather(write_study(make_result(j_per_token=0.5 if measured else None)))))
    keys = {column["key"] for column in page.data["columns"]}
    assert ("j_per_output_token" in keys) == measured
    assert page.data["table"]["n"] == 1


@pytest.mark.parametrize("settings", [2, 6])
def test_figures_stand_before_settings_only_where_these_are_many(make_result, write_study, settings):
    results = [
        make_result(config_hash=f"{n}" * 64, position=n, point={f"testbed.k{key}": n for key in range(settings)})
        for n in (1, 2)
    ]
    page = Outline(page_html(gather(write_study(*results))))
    keys = [column["key"] for column in page.data["columns"]]
    assert (keys.index("j_per_output_token") < keys.index("=testbed.k0")) == (settings == 6)
    assert ("label" in keys) == (settings == 6)


def test_a_page_of_ten_thousand_experiments_is_a_file_to_send_by_mail(study, enlarged, tmp_path):
    write_page(enlarged(study, 10_000), tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 15e6


def test_a_page_is_written_whole_or_not_at_all(study, tmp_path):
    path = tmp_path / "there" / "report.html"
    with pytest.raises(OSError, match="there"):
        write_page(study, path)
    path.parent.mkdir()
    write_page(study, path)
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("marked (`unreliable`).", "<p>marked (<code>unreliable</code>).</p>"),
        ("`<b>` & `c`", "<p><code>&lt;b&gt;</code> &amp; <code>c</code></p>"),
        ("one ` alone <b>", "<p>one ` alone &lt;b&gt;</p>"),
    ],
)
def test_codes_and_options_stand_as_code_and_nothing_else_is_markup(text: str, shown: str) -> None:
    assert blocks_html([text]) == shown
    assert blocks_html([{"list": [text]}]) == f"<ul>{shown.replace('p>', 'li>')}</ul>"


RULES = """
name: ours
about: what <our> group publishes
rules:
  - {id: cycles, says: "every configuration runs `three` times", value: configuration.cycles, at_least: 99, source: <b>us</b>, remedy: Set execution.cycles.}
  - {id: done, says: no run failed, value: status, equals: done, source: our group, remedy: Run it again.}
"""


def test_an_audit_that_was_asked_for_is_a_section(study, tmp_path):
    rules = tmp_path / "ours.yaml"
    rules.write_text(RULES)
    text = page_html(gather(study.directory, str(rules)))
    page = Outline(text)
    section = text[
        text.index('<section aria-labelledby="audit-title">') : text.index('aria-labelledby="environment-title"')
    ]
    assert "by the rules ours: 1 failed, 1 passed, 0 not applicable. (what &lt;our&gt; group publishes)" in section
    assert "<td>cycles</td><td>failed (2 of 2)</td><td>3</td>" in section
    assert "<code>three</code>" in section
    assert "&lt;b&gt;us&lt;/b&gt;" in section
    assert "<summary>1 other rule</summary>" in section
    assert section.index("failed (2 of 2)") < section.index("<summary>") < section.index("<td>done</td>")
    assert ("a", {"href": "#audit-title"}) in page.elements


def test_a_page_without_an_audit_shows_no_trace_of_one(study):
    page = Outline(page_html(study))
    assert ("a", {"href": "#audit-title"}) not in page.elements
    assert [a for tag, a in page.elements if a.get("aria-labelledby") == "audit-title"] == [
        {"aria-labelledby": "audit-title", "hidden": None}
    ]
