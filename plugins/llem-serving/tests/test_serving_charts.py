"""The charts of loads, drawn from studies whose truth is known."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served_studies import energy_j, good_tokens, write_served_study

from llem.plugins import default_registry
from llem_report.charts import CHARTS, Drawn
from llem_report.document import document
from llem_report.export import rendered
from llem_report.gather import gather
from llem_report.models import ReportStudy
from llem_report.registered_charts import charts
from llem_serving.charts import energy, in_flight, latency
from llem_serving.charts.curves import loads_of
from llem_serving.charts.steps import binned
from llem_serving.judging.in_flight import Step, mean_in_flight

RATES = (1.0, 2.0, 4.0, 8.0, 16.0)
SIZES = ({"testbed.batch_size": 1}, {"testbed.batch_size": 4})
SLO = {"ttft_s": 0.2, "attainment": 0.95}
NAMES = ("energy-rate", "latency-load", "in-flight")


def slow(setting: Mapping[str, Any], rate: float) -> float:
    """The small batch misses the objectives from 8 requests/s on."""
    return 0.1 if setting["testbed.batch_size"] == 1 and rate >= 8 else 0.0


def troubled(setting: Mapping[str, Any], rate: float, cycle: int) -> Mapping[str, str]:
    if setting["testbed.batch_size"] == 1 and rate == 16:
        return {"saturated": "more and more wait"}
    return {"unsteady": "throughput varies"} if setting["testbed.batch_size"] == 4 and (rate, cycle) == (4, 2) else {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two configurations over five rates: one that misses and saturates, one that is unsteady at 4 requests/s."""
    place = tmp_path_factory.mktemp("served") / "loads"
    return write_served_study(place, RATES, settings=SIZES, slow=slow, slo=SLO, warnings=troubled, noise=0.02)


@pytest.fixture(scope="module")
def study(folder: Path) -> ReportStudy:
    return gather(folder)


def values(view: Any, kind: str, **mark: Any) -> Iterator[list[dict[str, Any]]]:
    """The data of every layer with a mark of a kind."""
    if isinstance(view, list):
        for one in view:
            yield from values(one, kind, **mark)
    elif isinstance(view, dict):
        own = view.get("mark")
        if isinstance(own, dict) and own["type"] == kind and all(own.get(k) == v for k, v in mark.items()):
            yield view["data"]["values"]
        yield from values([inner for key, inner in view.items() if key not in ("data", "mark")], kind, **mark)


def spec_of(drawn: Drawn) -> dict[str, Any]:
    assert drawn.why_not is None
    assert drawn.spec is not None
    return drawn.spec


def every(view: Any, kind: str, **mark: Any) -> list[dict[str, Any]]:
    return [one for found in values(view, kind, **mark) for one in found]


def ends(lines: list[dict[str, Any]], label: str) -> set[tuple[float, float]]:
    return {(line["x"], line["x2"]) for line in lines if "x2" in line and line["configuration"] == label}


def test_points_are_the_energy_of_good_tokens(study: ReportStudy) -> None:
    points = every(spec_of(energy.draw(study)), "point")
    for point in points:
        missed = slow({"testbed.batch_size": 1 if point["configuration"] == "batch_size=1" else 4}, point["x"])
        assert point["y"] == pytest.approx(energy_j(point["x"]) / good_tokens(point["x"], missed), rel=0.05)
        assert point["low"] < point["y"] < point["high"]
        assert point["kept"] is (missed == 0)
    assert len(points) == 9, "the saturated one has no figure"


def test_lines_join_steady_neighbours_only(study: ReportStudy) -> None:
    spec = spec_of(energy.draw(study))
    within, beyond = every(spec, "rule", strokeWidth=1.6), every(spec, "rule", strokeDash=[5, 4])
    within = [line for line in within if line not in beyond]
    assert ends(within, "batch_size=1") == {(1, 2), (2, 4)}
    assert ends(beyond, "batch_size=1") == {(4, 8)}, "8 misses the objectives, and 16 saturates"
    assert ends(within, "batch_size=4") == {(1, 2), (8, 16)}, "4 was not steady"
    assert ends(beyond, "batch_size=4") == set()


def test_what_was_not_steady_is_marked(study: ReportStudy) -> None:
    spec = spec_of(energy.draw(study))
    marks = {(one["configuration"], one["x"], one["mark"], one["y"] is None) for one in every(spec, "text")}
    assert marks == {("batch_size=1", 16, "×", True), ("batch_size=4", 4, "u", False)}


def test_the_edge_is_the_last_rate_before_the_first_that_misses(study: ReportStudy) -> None:
    drawn = energy.draw(study)
    (edges,) = values(spec_of(drawn), "rule", strokeDash=[2, 3])
    assert edges == [{"x": 4.0, "configuration": "batch_size=1"}, {"x": 2.0, "configuration": "batch_size=4"}]
    for said in ("TTFT 0.2 s", "at least 95.00 %", "Dotted vertical lines", "saturated", "95 % intervals"):
        assert said in drawn.caption
    assert "objectives kept up to 4.00 requests/s" in drawn.description


def test_a_rate_that_keeps_again_above_one_that_misses_moves_no_edge(tmp_path: Path) -> None:
    shares = {1.0: 0.0, 2.0: 0.2, 4.0: 0.0}
    folder = write_served_study(tmp_path / "s", list(shares), slow=lambda _, rate: shares[rate], slo=SLO, cycles=1)
    (curve,) = loads_of(folder, []).curves
    assert (curve.within, curve.edge) == (1, 1.0)
    assert [point.kept for point in curve.points] == [True, False, True]
    drawn = energy.draw(gather(folder))
    assert "too few cycles for intervals" in drawn.caption


def test_a_curve_without_an_edge_says_why(tmp_path: Path) -> None:
    always = write_served_study(tmp_path / "a", [1.0, 2.0], slo=SLO, cycles=1)
    never = write_served_study(tmp_path / "n", [1.0, 2.0], slow=lambda *_: 0.5, slo=SLO, cycles=1)
    assert "Kept at every rate: random:tiny-llama on testbed." in energy.draw(gather(always)).caption
    assert "Not kept at the lowest rate: random:tiny-llama on testbed." in energy.draw(gather(never)).caption
    assert not every(spec_of(energy.draw(gather(always))), "rule", strokeDash=[2, 3])


def test_without_limits_every_answer_is_good_and_there_is_no_edge(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", [1.0, 2.0], slow=lambda *_: 0.5, cycles=1)
    drawn = energy.draw(gather(folder))
    assert "every answered request is good" in drawn.caption
    assert {point["kept"] for point in every(spec_of(drawn), "point")} == {True}


def test_estimates_say_so_and_are_not_drawn_beside_measurements(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", [1.0, 2.0], slo=SLO, cycles=2, method="estimate")
    for chart in (energy, in_flight):
        assert "an estimate" in chart.draw(gather(folder)).caption
    assert "(estimate)" in json.dumps(energy.draw(gather(folder)).spec)
    other = folder / "experiments" / "00001" / "result.json"
    data = json.loads(other.read_text())
    data["energy"]["headline"]["method"] = data["energy"]["totals"][0]["method"] = "counter"
    other.write_text(json.dumps(data))
    assert "different methods" in str(energy.draw(gather(folder)).why_not)


def test_latency_stands_at_the_achieved_rate_and_is_joined_where_it_was_steady(study: ReportStudy) -> None:
    drawn = latency.draw(study)
    spec = spec_of(drawn)
    ttft = spec["hconcat"][0]
    medians = [p for p in every(ttft, "point") if p["percentile"] == "50th"]
    assert {(p["configuration"], p["x"], p["y"]) for p in medians} == {
        (f"batch_size={size}", rate, 100.0) for size in (1, 4) for rate in RATES if (size, rate) != (1, 16.0)
    }
    tails = {p["x"]: p["y"] for p in every(ttft, "point") if p["percentile"] == "95th" and "=1" in p["configuration"]}
    assert tails == {4.0: 100.0, 8.0: 500.0}, "p95 takes 200 requests"
    solid = every(ttft, "rule", strokeDash=[1, 0])
    assert ends(solid, "batch_size=1") == {(1, 2), (2, 4), (4, 8)}
    assert ends(solid, "batch_size=4") == {(1, 2), (8, 16)}
    crosses = [one for one in every(ttft, "text") if one["y"] is None]
    assert [(one["x"], one["mark"]) for one in crosses] == [(16.0, "×")]
    assert "scheduled arrival" in drawn.caption


def test_the_run_over_time_is_the_best_within_the_objectives(study: ReportStudy) -> None:
    drawn = in_flight.draw(study)
    assert spec_of(drawn)["title"]["text"] == "load.rate_rps=16, testbed.batch_size=4"
    requests, power = spec_of(drawn)["vconcat"]
    rows = every(requests, "line")
    inside = [row for row in rows if row["t"] >= 0 and row["to"] <= 60]
    # Little: 16 requests/s that stay for half a second.
    assert sum(row["mean"] for row in inside) / len(inside) == pytest.approx(8, rel=0.01)
    watts = [row["power"] for row in every(power, "line") if 1 < row["t"] < 58]
    assert min(watts) == pytest.approx(energy_j(16.0) / 60, rel=0.1)
    assert "Shaded: the measured window" in drawn.caption
    assert "GPU-1" in drawn.caption


def test_damaged_tables_leave_the_run_over_time_out(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", [1.0, 2.0], slo=SLO, cycles=1)
    for job in (folder / "experiments").iterdir():
        (job / "timeseries.parquet").write_bytes(b"PAR1")
    without = in_flight.draw(gather(folder))
    assert "no readings of power" in without.caption
    assert len(spec_of(without)["vconcat"]) == 1
    for job in (folder / "experiments").iterdir():
        (job / "requests.parquet").write_bytes(b"PAR1")
    assert "missing or damaged" in str(in_flight.draw(gather(folder)).why_not)


@pytest.mark.process
@pytest.mark.parametrize("width", ["single", "double"])
@pytest.mark.parametrize("name", NAMES)
def test_charts_are_registered_and_become_files(study: ReportStudy, name: str, width: Any) -> None:
    drawn = charts(default_registry())[name].draw(study, width)
    for theme in ("light", "dark"):
        assert "var(" not in rendered(drawn, "svg", theme).decode()  # type: ignore[arg-type]
    assert "NaN" not in json.dumps(drawn.spec)
    assert drawn.caption.endswith(".")
    assert drawn.description.endswith(".")


def test_a_report_has_them_and_one_of_other_runs_has_not(study: ReportStudy, write_design: Any) -> None:
    known = charts(default_registry())
    page = document(study, known)
    assert [one["name"] for one in page["figures"]][-3:] == list(NAMES)
    assert all(one["spec"] for one in page["figures"] if one["name"] in NAMES)
    keys = [column["key"] for column in page["columns"]]
    assert {"j_per_good_token", "goodput_rps", "attainment", "achieved_rps"} <= set(keys)
    offline = document(gather(write_design([{"a.x": 1}, {"a.x": 2}])), known)
    assert not {one["name"] for one in offline["figures"]} & set(NAMES)


@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 40))
def test_bins_keep_the_mean_over_time(seed: int, steps: int, bins: int) -> None:
    generator = random.Random(seed)
    times = sorted(generator.sample(range(10**6), steps + 1))
    series = [Step(t, generator.randint(0, 9)) for t in times]
    found = binned(series, bins)
    length = (times[-1] - times[0]) / 1e9
    area = sum(one.mean * (one.end_s - one.start_s) for one in found)
    assert area / length == pytest.approx(mean_in_flight(series, times[0], times[-1]), rel=1e-6, abs=1e-9)
    assert all(one.least <= one.mean + 1e-9 and one.mean <= one.most + 1e-9 for one in found)
    assert all(before.end_s == after.start_s for before, after in pairwise(found))
    assert max(one.most for one in found) == max(step.n for step in series[:-1])


def test_a_report_answers_by_energy_of_good_tokens_within_the_objectives(study: ReportStudy) -> None:
    choice = str(study.answer.choice)
    assert choice.startswith("Lowest energy per good token: load.rate_rps=16, testbed.batch_size=4, with ")
    assert "It is one of 8 of 10 configurations that kept the study's objectives: attainment 100.00 %" in choice
    said = " ".join(study.method)
    assert (
        "Requests arrived at 1 to 16 requests/s (constant arrivals), whether or not earlier ones were answered" in said
    )
    assert "Load began at least 2 s before the window" in said
    assert "The measured window, under load, was 60 s long, in 6 equal parts" in said
    assert "it is repeated until" not in said


def test_an_answer_without_objectives_says_so(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", [1.0, 2.0], cycles=2, noise=0.01)
    assert str(gather(folder).answer.choice).endswith(
        " No share of requests had to keep objectives (`llem pick --slo`)."
    )


def test_one_saturated_cycle_takes_the_figures_of_the_others_out_of_the_curve(tmp_path: Path) -> None:
    folder = write_served_study(
        tmp_path / "s",
        [1.0, 2.0],
        slo=SLO,
        warnings=lambda _, rate, cycle: {"saturated": "…"} if (rate, cycle) == (2, 3) else {},
    )
    study = gather(folder)
    assert {point["x"] for point in every(spec_of(energy.draw(study)), "point")} == {1.0}
    assert {point["x"] for point in every(spec_of(latency.draw(study)), "point")} == {1.0}
    assert [one["mark"] for one in every(spec_of(energy.draw(study)), "text")] == ["×"]
    (curve,) = loads_of(folder, []).curves
    assert [(point.state, point.marked, point.runs, point.kept) for point in curve.points] == [
        ("steady", 0, 3, True),
        ("saturated", 1, 3, False),
    ]


def test_distributions_are_of_the_requests_that_arrived_in_the_window(study: ReportStudy) -> None:
    rows = spec_of(CHARTS["latency"].draw(study))["data"]["values"]
    counts = {(row["configuration"], row["n"]) for row in rows if row["measure"] == "ttft_s"}
    assert ("load.rate_rps=1, testbed.batch_size=4", 3 * 60) in counts
    assert ("load.rate_rps=16, testbed.batch_size=4", 3 * 960) in counts


def test_what_ends_where_an_interval_begins_is_none_of_its_values() -> None:
    # Nine in flight up to 1 s, none from there on: the second half never had one.
    found = binned([Step(0, 9), Step(10**9, 0), Step(2 * 10**9, 3)], 2)
    assert [(one.mean, one.least, one.most) for one in found] == [(9, 9, 9), (0, 0, 0)]


def test_the_attainment_of_cycles_is_that_of_their_requests(tmp_path: Path) -> None:
    folder = write_served_study(tmp_path / "s", [4.0], slo=SLO, cycles=2, all_slow={(4.0, 2)})
    job = folder / "experiments" / "00001" / "result.json"
    result = json.loads(job.read_text())
    result["scenario_metrics"]["arrived_requests"] *= 3
    job.write_text(json.dumps(result))
    (curve,) = loads_of(folder, []).curves
    assert [point.attainment for point in curve.points] == [pytest.approx(0.75)]
