"""The report in a real Chromium. Each page is closed by a check that it complained of nothing and asked nobody."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from llem.results.models import Failure
from llem_report.gather import gather
from llem_report.page import write_page

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

FAILED = Failure(type="OutOfMemory", message="no room for <b>9 GiB</b>", phase="load")
ROWS = "#scroller tbody tr[data-place]"


@pytest.fixture
def report(make_result, write_study, tmp_path: Path) -> Callable[..., Path]:
    """Writes the report of four configurations in three cycles, the last of which failed; `change` sees the study first."""

    def write(change: Callable[[Any], Any] = lambda study: study) -> Path:
        results = []
        for cycle in (1, 2, 3):
            for place, (size, model) in enumerate([(1, "small"), (8, "small"), (1, "large"), (8, "large")]):
                failed = cycle == 3 and place == 3
                results.append(
                    make_result(
                        config_hash=str(place) * 64,
                        point={"testbed.batch_size": size, "model": model},
                        cycle=cycle,
                        position=4 * (cycle - 1) + place + 1,
                        tokens_per_s=100.0 * size - cycle,
                        j_per_token=0.8 / size + 0.01 * cycle + 0.1 * place,
                        warnings={"thermal_throttle": "the GPU was hot"} if place == 1 else None,
                        failure=FAILED if failed else None,
                    )
                )
        path = tmp_path / "report.html"
        write_page(change(gather(write_study(*results))), path)
        return path

    return write


def column(page: Page, label: str) -> list[str]:
    """The cells of the rows in view under a heading."""
    place = page.locator("#scroller thead th").all_text_contents().index(label)
    return [row.locator("td").nth(place).inner_text() for row in page.locator(ROWS).all()]


def test_figures_table_and_sentences_are_there(report, open_page):
    page = open_page(report())
    assert page.locator("h1").inner_text() == "made-by-hand"
    assert page.locator(ROWS).count() == 12
    assert page.locator("#findings li").count() >= 1
    drawn = [one.get_attribute("id") for one in page.locator("section[id^=figure-]:has(.chart svg)").all()]
    assert {"figure-effects", "figure-pareto"} <= set(drawn)
    for section in page.locator("section[id^=figure-]").all():
        has_figure = section.locator(".chart svg").count() > 0
        assert has_figure != bool(section.locator(".why-not").inner_text())
    for chart in page.locator(".chart:has(svg)").all():
        assert len(chart.get_attribute("aria-label") or "") > 20


def test_filters_narrow_the_table(report, open_page):
    page = open_page(report())
    page.get_by_label("status").select_option(label="failed")
    assert page.locator(ROWS).count() == 1
    assert page.locator("#shown").inner_text() == "1 of 12 experiments."
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(ROWS)).to_have_count(12)
    page.get_by_label("Contains").fill("LARGE done")
    assert set(column(page, "model")) == {"large"}
    assert page.locator(ROWS).count() == 5
    page.get_by_label("Contains").fill("throttle")
    assert page.locator(ROWS).count() == 3
    page.get_by_label("Contains").fill("nothing like this")
    assert page.locator("#shown").inner_text() == "0 of 12 experiments."


def test_a_heading_sorts_up_down_and_not_at_all(report, open_page):
    page = open_page(report())
    label = "throughput tokens/s"
    heading = page.locator("th", has_text="throughput")
    before = column(page, "#")
    heading.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    values = column(page, label)
    assert values[-1] == ""  # the failed run has none: last whichever way
    assert [float(v) for v in values[:-1]] == sorted(float(v) for v in values[:-1])
    page.keyboard.press("Space")
    assert heading.get_attribute("aria-sort") == "descending"
    values = column(page, label)
    assert values[-1] == ""
    assert [float(v) for v in values[:-1]] == sorted((float(v) for v in values[:-1]), reverse=True)
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "none"
    assert column(page, "#") == before


def test_keys_move_through_the_table_and_open_an_experiment(report, open_page):
    page = open_page(report())
    grid = page.get_by_role("grid", name="Experiments")
    grid.focus()
    for key, place in (("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1), ("End", 11), ("Home", 0), ("ArrowDown", 1)):
        page.keyboard.press(key)
        assert grid.get_attribute("aria-activedescendant") == f"row-{place}"
    page.keyboard.press("Enter")
    details = page.get_by_role("dialog")
    assert "batch_size=8" in details.locator("h2").inner_text()
    text = details.inner_text()
    assert "mean of 3 runs" in text
    assert re.search(r"energy per output token\s+0\.\d+\s+J\s+0\.\d+\s+0\.\d+ to 0\.\d+", text), text
    assert "thermal_throttle the GPU was hot" in text
    assert "experiments/0002" in text
    page.keyboard.press("Escape")
    assert details.count() == 0
    assert page.evaluate("document.activeElement.tagName") == "TABLE"


def test_a_click_shows_why_an_experiment_failed(report, open_page):
    page = open_page(report())
    page.locator(ROWS).nth(11).click()
    assert "no room for <b>9 GiB</b>" in page.get_by_role("dialog").inner_text()
    page.get_by_role("button", name="Close").click()
    assert page.get_by_role("dialog").count() == 0


def test_the_first_tab_offers_to_skip_to_the_findings(report, open_page):
    page = open_page(report())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_system_chooses_the_theme_until_somebody_does(report, open_page, scheme):
    page = open_page(report(), color_scheme=scheme)
    other = {"light": "dark", "dark": "light"}[scheme]
    assert brightness(page) == scheme
    page.locator("#theme").click()
    assert brightness(page) == other
    page.emulate_media(color_scheme=other)
    assert brightness(page) == other


def brightness(page: Page) -> str:
    """The theme in use, by paper and ink alike, in a figure too."""
    seen = []
    for selector, style in (("body", "backgroundColor"), ("body", "color"), (".chart text", "fill")):
        rgb = page.locator(selector).first.evaluate(f"(one) => getComputedStyle(one).{style}")
        light = sum(map(int, re.findall(r"\d+", rgb)[:3])) > 382
        seen.append("light" if light == (style == "backgroundColor") else "dark")
    assert len(set(seen)) == 1, seen
    return seen[0]


def test_print_is_light_whole_and_without_controls(report, enlarged, open_page):
    page = open_page(report(lambda study: enlarged(study, 1000)), color_scheme="dark")
    page.emulate_media(media="print")
    expect(page.locator(ROWS)).to_have_count(200)
    assert brightness(page) == "light"
    assert page.locator("#print-note").inner_text() == "The first 200 of 1,000 experiments."
    for name in ("#theme", "#filters", "nav", "#copy"):
        assert not page.locator(name).is_visible()
    pdf = page.pdf()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) > 3
    page.emulate_media(media="screen")
    expect(page.locator("#print-note")).to_have_text("")
    assert page.locator(ROWS).count() < 100


def test_ten_thousand_experiments_keep_the_document_small(report, enlarged, open_page):
    page = open_page(report(lambda study: enlarged(study, 10_000)))
    assert page.locator("#shown").inner_text() == "10,000 experiments."
    assert page.locator(ROWS).count() < 100
    assert page.evaluate("document.querySelectorAll('*').length") < 20_000
    grid = page.get_by_role("grid", name="Experiments")
    assert grid.get_attribute("aria-rowcount") == "10001"
    grid.focus()
    page.keyboard.press("End")
    assert column(page, "#")[-1] == "10000"
    assert grid.get_attribute("aria-activedescendant") == "row-9999"
    assert page.locator("#row-9999").is_visible()
    page.locator("#scroller").evaluate("(one) => { one.scrollTop = one.scrollHeight / 2 }")
    page.locator("#row-5000").wait_for()
    assert page.locator(ROWS).count() < 100
    page.get_by_label("Contains").fill("batch_size=777,")
    assert column(page, "#") == ["778"]


def test_hostile_texts_stay_texts_in_a_browser(report, open_page):
    hostile = "</script><img src=x onerror=\"document.title='taken'\">{{data}}"

    def spoil(study: Any) -> Any:
        rows = [{**row, "label": hostile, "settings": {hostile: hostile}, "failure": hostile} for row in study.rows]
        return replace(study, title=hostile, rows=rows, parameters=[hostile], findings=[hostile], warnings=[hostile])

    page = open_page(report(spoil))
    page.locator(ROWS).first.click()
    assert page.get_by_role("dialog").locator("h2").inner_text() == hostile
    assert page.locator("img").count() == 0
    assert page.title().startswith(hostile)


@pytest.mark.parametrize("kind", ["one", "failures", "no energy"])
def test_studies_that_lack_much_have_a_page(make_result, write_study, tmp_path, open_page, kind):
    results = {
        "one": [make_result()],
        "failures": [make_result(failure=FAILED), make_result(failure=FAILED, position=2)],
        "no energy": [
            make_result(j_per_token=None, point={"testbed.batch_size": n}, config_hash=str(n) * 64) for n in (1, 2)
        ],
    }[kind]
    write_page(gather(write_study(*results)), tmp_path / "report.html")
    page = open_page(tmp_path / "report.html")
    assert page.locator(ROWS).count() == len(results)
    page.locator(ROWS).first.click()
    assert page.get_by_role("dialog").is_visible()


def test_a_narrow_window_scrolls_no_page_sideways(report, open_page):
    page = open_page(report(), viewport={"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_charts_fit_a_window_of_500_pixels(report, open_page):
    page = open_page(report(), viewport={"width": 500, "height": 900})
    charts = page.locator(".chart:has(svg)")
    assert charts.count() >= 2
    for chart in charts.all():
        assert chart.evaluate("one => one.scrollWidth <= one.clientWidth"), chart.get_attribute("aria-label")


def test_a_filter_dims_the_points_that_it_leaves_out(report, open_page):
    page = open_page(report())
    points = page.locator("#figure-pareto .mark-symbol path")
    dimmed = page.locator("#figure-pareto .mark-symbol path.dimmed")
    assert points.count() >= 4
    assert dimmed.count() == 0
    page.locator("select[name='=model']").select_option(label="large")
    assert 0 < dimmed.count() < points.count()
    page.get_by_role("button", name="Show all").click()
    expect(dimmed).to_have_count(0)
