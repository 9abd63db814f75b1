"""Results and analyses in a notebook: small tables, well formed, with nothing of theirs taken for HTML."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import llem
from llem.results.models import Failure
from llem_analysis import Limit, analyze, contrast, html, pareto, pick

HOSTILE = "<script>alert('1')</script> & \"<img src=x onerror=y>"
ALLOWED = {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}


class Page(HTMLParser):
    """Rows of cells, remarks and texts of what an object shows; fails where a tag is not closed in order, or not one of ours."""

    def __init__(self, shown: Any) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.notes: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.source = shown._repr_html_()
        self.feed(self.source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED
        assert {name for name, _ in attrs} <= {"style"}
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "li":
            self.notes.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        elif self._open[-1] == "li":
            self.notes[-1] += data


@pytest.fixture
def designed(write_design: Callable[..., Path]) -> Path:
    """Batch size halves the energy at each step, the mode does nothing; three cycles."""
    points = [{"testbed.batch_size": b, "testbed.mode": m} for b in (1, 2, 4) for m in ("a", HOSTILE)]
    return write_design(
        points,
        energy=lambda p: 1.0 / p["testbed.batch_size"],
        speed=lambda p: 100.0 * p["testbed.batch_size"],
        ttft=lambda p: 0.1 * p["testbed.batch_size"],
        cycles=3,
        noise=0.01,
        relative=True,
        each=lambda p, cycle: {"warnings": {"thermal_throttle": f"{HOSTILE} got hot"}} if cycle == 2 else {},
    )


def test_a_study_shows_its_first_experiments_and_what_to_know_of_all(designed: Path) -> None:
    page = Page(llem.load_study(designed))
    assert page.rows[0] == [
        *("testbed.batch_size", "testbed.mode", "cycle", "status"),
        *("tokens/s", "J per output token", "mean W", "TTFT p50, s"),
    ]
    assert len(page.rows) == 1 + 18
    assert page.rows[1][:4] == ["1", "a", "1", "done"]
    assert page.notes == ["warning: thermal_throttle: on 6 experiments"]
    assert "18 experiments, 18 done" in page.text


def test_a_large_study_shows_a_bounded_table(write_study: Any, make_result: Any) -> None:
    results = [make_result(position=i, point={"testbed.batch_size": i}, method="estimate") for i in range(1, 61)]
    page = Page(llem.load_study(write_study(*results)))
    assert len(page.rows) == 1 + html.MOST_ROWS
    assert "… and 40 more" in page.text
    assert page.rows[1][0] == "1"
    assert page.rows[1][page.rows[0].index("J per output token")] == "~0.500"
    assert any("not a measurement" in note for note in page.notes)


def test_a_study_without_any_result_or_energy_shows_what_there_is(write_study: Any, make_result: Any) -> None:
    failed = make_result(failure=Failure(type="OutOfMemory", message=HOSTILE, phase="load"))
    page = Page(llem.load_study(write_study(failed)))
    assert page.rows[0] == ["status"]
    assert page.notes == ["failed: OutOfMemory: 1 experiment"]
    empty = write_study(name="empty")
    (empty / "experiments").mkdir(parents=True)
    assert "0 experiments" in Page(llem.load_study(empty)).text


def test_a_result_shows_its_figures_with_units_and_its_warnings(make_result: Any) -> None:
    page = Page(make_result(point={"a": HOSTILE}, method="estimate", scope="cpu", warnings={"gpu_shared": HOSTILE}))
    figures = {row[0]: row[1:] for row in page.rows[1:]}
    assert figures["energy per output token"] == ["~0.500", "J"]
    assert figures["throughput"] == ["100", "tokens/s"]
    assert page.notes[0] == f"a={HOSTILE}"
    assert page.notes[-1] == f"warning: gpu_shared: {HOSTILE}"


def test_a_failed_result_shows_why(make_result: Any) -> None:
    page = Page(make_result(failure=Failure(type="Crash", message=f"it ended. {HOSTILE}", phase="window")))
    assert page.text.startswith("failed: random:")
    assert f"failed: Crash in window: it ended. {HOSTILE}" in page.notes


def test_an_unmeasured_result_says_so(make_result: Any) -> None:
    page = Page(make_result(j_per_token=None))
    assert "energy was not measured" in page.notes
    assert not any("energy" in row[0] for row in page.rows)


def test_an_analysis_shows_findings_and_a_table_for_each_figure(designed: Path) -> None:
    page = Page(analyze(designed))
    assert page.notes[0].startswith("Energy per output token depends most on testbed.batch_size")
    effects = [row for row in page.rows if row[0] == "testbed.batch_size"]
    assert effects[0][1:3] == ["1 → 4", "−75 %"]
    assert "energy per output token (geometric mean 0." in page.text
    assert any("thermal_throttle" in note for note in page.notes)


def test_a_front_shows_which_are_on_it(designed: Path) -> None:
    page = Page(pareto(designed, ["j_per_output_token", "ttft_p50_s"]))
    assert page.rows[0] == [
        "configuration",
        "on the front",
        "energy per output token, J",
        "time to first token (median), s",
    ]
    assert {row[1] for row in page.rows[1:]} <= {"yes", ""}
    assert page.rows[1][1] == "yes"


def test_a_pick_shows_what_was_asked_and_what_speaks_against_it(designed: Path) -> None:
    page = Page(pick(designed, limits=[Limit("ttft_p50_s", 0.25)]))
    assert "batch_size=2" in page.text
    assert ["time to first token (median), s", "at most 0.250"] in [[row[0], row[-1]] for row in page.rows]
    assert any(note.startswith("as good as far as cycles tell") for note in page.notes)
    assert any(note.startswith("caution: ") for note in page.notes)


def test_a_contrast_shows_each_pair_and_what_holds_over_all(designed: Path, write_design: Callable[..., Path]) -> None:
    page = Page(contrast([designed]))
    assert page.text.startswith("5 pairs")
    assert page.rows[0] == ["figure", "first", "second", "change", "95 % interval", "p (Holm)"]
    other = write_design(
        [{"testbed.batch_size": b, "testbed.mode": m} for b in (1, 2, 4) for m in ("a", HOSTILE)],
        energy=lambda p: 0.5 / p["testbed.batch_size"],
        cycles=3,
        noise=0.01,
        name="faster",
    )
    both = Page(contrast([designed, other]))
    assert both.rows[0][0] == "over all pairs"
    assert both.rows[1][0] == "energy per output token"
    assert both.rows[1][1].startswith("−5") or both.rows[1][1].startswith("−4")


def test_long_texts_and_lists_are_cut() -> None:
    assert html.text("a" * 300).endswith("…")
    assert html.notes([]) == ""
    assert html.notes(["x"] * 15).count("<li>") == html.MOST_NOTES + 1
