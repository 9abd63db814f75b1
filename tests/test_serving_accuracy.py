"""The accuracy benchmark of the scenario `server`: its truths, its account of errors, and llem's arithmetic against both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sim.serving import StepPower
from sim.serving.arrivals import S

from bench.serving_accuracy import compared
from bench.serving_accuracy import figures as figures_of_rows
from bench.simulated_server import model, running, truth
from bench.simulated_server.rows import GROUPS, Row, rows_of, write
from llem_serving.arrivals import draw
from llem_serving.config import LoadConfig

MS = 1_000_000
LOAD: Mapping[str, Any] = {"rate_rps": 100.0, "steady_s": 0}


def ran(**changes: Any) -> running.Ran:
    """A run whose server did just what the model says, with a window from the 10th arrival to the 60th."""
    offsets = draw(LoadConfig(**LOAD), 1, 3_600.0).t_ns[:100]
    arrivals = 5 * S + offsets
    tokens = truth.Served.of_path(model.path_of(arrivals)).tokens
    open_ns, close_ns = int(arrivals[9]), int(arrivals[59])
    journal = [["power", 0, 100.0], ["power", open_ns + 200 * MS, 150.0]]
    journal += [["answered", place, int(arrivals[place]), tokens[place].tolist()] for place in range(100)]
    return running.Ran(
        result={
            "config": {"load": LOAD},
            "identity": {"cycle": 1},
            "phases": [{"name": "window", "start_ns": open_ns, "end_ns": close_ns}],
        },
        requests=changes.get(
            "requests",
            [{"id": n, "finish": "length", "arrival_s": (int(arrivals[n]) - open_ns) / S} for n in range(100)],
        ),
        journal=changes.get("journal", journal),
    )


def served() -> truth.Served:
    """Three requests of eight tokens, 10 ms apart; the second has its first token when the third arrives."""
    scheduled = np.array([100, 200, 300]) * MS
    first = np.array([110, 300, 310]) * MS
    return truth.Served(
        scheduled,
        first[:, None] + 10 * MS * np.arange(8),
        StepPower(np.array([0, 250 * MS]), np.array([100.0, 200.0])),
    )


def test_figures_are_those_of_the_definitions() -> None:
    found = truth.figures(served(), 150 * MS, 350 * MS)
    assert found["energy_j"] == pytest.approx(0.1 * 100 + 0.1 * 200)
    assert found["offered_rps"] == pytest.approx(2 / 0.2)
    # Given out after 150 and up to 350: of the first 160, 170, 180; of the second 300 to 350; of the third 310 to 350.
    assert found["tokens_per_s"] == pytest.approx((3 + 6 + 5) / 0.2)
    assert found["achieved_rps"] == pytest.approx(1 / 0.2)
    assert found["ttft_p50"] == pytest.approx((0.1 + 0.01) / 2)
    assert found["ttft_p90"] == pytest.approx(0.01 + 0.9 * 0.09)
    assert found["e2e_p50"] == pytest.approx((0.17 + 0.08) / 2)
    assert found["tpot_p99"] == pytest.approx(0.01)
    assert found["itl_p50"] == pytest.approx(0.01)
    assert found["goodput_rps"] == 0.0


def test_who_arrives_as_the_window_opens_is_outside_and_as_it_closes_inside() -> None:
    assert truth.figures(served(), 200 * MS, 350 * MS)["offered_rps"] == pytest.approx(1 / 0.15)
    assert truth.figures(served(), 150 * MS, 300 * MS)["offered_rps"] == pytest.approx(2 / 0.15)


def test_a_good_request_keeps_both_limits() -> None:
    quick = truth.Served(served().scheduled, served().scheduled[:, None] + np.arange(1, 9) * 8 * MS, served().power)
    assert truth.figures(quick, 150 * MS, 350 * MS)["goodput_rps"] == pytest.approx(2 / 0.2)
    late = quick.tokens.copy()
    late[1, 0] += 13 * MS  # 21 ms to its first token
    assert truth.figures(truth.Served(quick.scheduled, late, quick.power), 150 * MS, 350 * MS)[
        "goodput_rps"
    ] == pytest.approx(1 / 0.2)
    late = quick.tokens.copy()
    late[2, -1] += 7 * MS  # 71 ms to its last
    assert truth.figures(truth.Served(quick.scheduled, late, quick.power), 150 * MS, 350 * MS)[
        "goodput_rps"
    ] == pytest.approx(1 / 0.2)


def test_good_tokens_are_those_of_the_window_of_requests_that_keep_the_limits_whenever_they_arrived() -> None:
    open_ns, close_ns = 150 * MS, 350 * MS
    # The second has its first token after 100 ms, and the third ends 80 ms after it came; the first came before the window.
    for slo, good in (
        ({"ttft_s": 0.05}, 3 + 5),
        ({"e2e_s": 0.1}, 3 + 5),
        ({"ttft_s": 0.1}, 3 + 6 + 5),
        ({"tpot_s": 0.009}, 0),
        ({"tpot_s": 0.0101, "e2e_s": 0.17}, 3 + 6 + 5),
        ({"e2e_s": 0.05}, 0),
    ):
        found = truth.figures(served(), open_ns, close_ns, slo)
        assert found["good_tokens"] == good
        assert found["j_per_good_token"] == pytest.approx(30 / good if good else 0)
    never = served()
    never.tokens[0] = 0
    assert truth.figures(never, open_ns, close_ns, {})["good_tokens"] == 6 + 5, "one that has no answer keeps nothing"


def test_a_request_of_the_window_without_a_record_is_no_truth() -> None:
    tokens = served().tokens
    tokens[1] = 0
    with pytest.raises(RuntimeError, match="no answer"):
        truth.figures(truth.Served(served().scheduled, tokens, served().power), 150 * MS, 350 * MS)


def test_the_arrivals_are_drawn_again_and_have_to_be_those_of_the_table() -> None:
    one = ran()
    arrivals = truth.drawn(one)
    assert arrivals[9] == one.window_ns[0]
    assert arrivals[59] == one.window_ns[1]
    rows = [dict(row) for row in one.requests]
    rows[30]["arrival_s"] += 2e-6
    with pytest.raises(RuntimeError, match="from where they were drawn"):
        truth.drawn(ran(requests=rows))


def test_a_journal_is_read_with_its_power_and_its_tokens() -> None:
    one = ran()
    arrivals = truth.drawn(one)
    found = truth.journalled(one, arrivals)
    open_ns, close_ns = one.window_ns
    by_server = truth.figures(found, open_ns, close_ns)
    by_path = truth.figures(truth.Served.of_path(model.path_of(arrivals)), open_ns, close_ns)
    assert by_server["energy_j"] == pytest.approx(0.2 * 100 + ((close_ns - open_ns) / S - 0.2) * 150)
    of_energy = {"energy_j", "j_per_good_token"}
    assert {name: by_server[name] for name in by_path if name not in of_energy} == {
        name: value for name, value in by_path.items() if name not in of_energy
    }
    assert by_server["j_per_good_token"] * by_server["good_tokens"] == pytest.approx(by_server["energy_j"])
    sent = [["sent", entry[1], entry[2], [t + MS for t in entry[3]]] for entry in one.journal if entry[0] == "answered"]
    later = truth.figures(truth.journalled(ran(journal=[*one.journal, *sent]), arrivals), open_ns, close_ns)
    assert later["ttft_p50"] == pytest.approx(by_server["ttft_p50"] + 0.001)


def test_a_server_that_does_not_keep_to_its_model_is_found_out() -> None:
    one = ran()
    assert truth.off_model_ns(one) == 0
    journal = [list(entry) for entry in one.journal]
    assert journal[22][0] == "answered"
    journal[22][3] = [*journal[22][3][:-1], journal[22][3][-1] + 7]
    assert truth.off_model_ns(ran(journal=journal)) == 7


def test_a_server_that_stops_keeps_to_the_model_that_stops_with_it() -> None:
    one = ran()
    arrivals = truth.drawn(one)
    stop_ns = int(model.path_of(arrivals).started[30])
    tokens = truth.Served.of_path(model.path_of(arrivals, stop_ns + 1, 0.2)).tokens
    journal = [["answered", n, int(arrivals[n]), tokens[n].tolist()] for n in range(100)]
    assert truth.off_model_ns(ran(journal=[*journal, ["stalled", stop_ns]]), 0.2) == 0
    assert truth.off_model_ns(ran(journal=journal)) >= 200 * MS


@given(st.lists(st.integers(0, 12 * MS), min_size=1, max_size=60), st.integers(1, 20), st.integers(0, 300 * MS))
def test_a_generator_that_waits_has_no_more_under_way_and_sends_as_soon_as_it_may(
    gaps: list[int], most: int, stop_ns: int
) -> None:
    scheduled = np.cumsum(np.array(gaps, np.int64))
    released = model.waiting(scheduled, most, stop_ns, 0.1)
    path = model.path_of(released, stop_ns, 0.1)
    for place, at in enumerate(released.tolist()):
        assert at >= scheduled[place]
        assert place - int((path.last[:place] <= at).sum()) < most
        assert at == scheduled[place] or at in path.last[:place] or at == released[place - 1]


def row(name: str, llem: float, server: float, path: float | None = None) -> Row:
    """A row of a load of 40 requests/s."""
    return Row("sockets", 40.0, name, llem, server, server if path is None else path)


@pytest.mark.parametrize(
    ("one", "kept"),
    [
        (row("energy_j", 1004.9, 1000), True),
        (row("energy_j", 1005.1, 1000), False),
        (row("tokens_per_s", 99.1, 100), True),
        (row("tokens_per_s", 98.9, 100), False),
        (row("achieved_rps", 98.9, 100), False),
        (row("ttft_p50", 0.0069, 0.005), True),
        (row("ttft_p50", 0.0071, 0.005), False),
        (row("e2e_p99", 1.009, 1), True),
        (row("e2e_p99", 1.011, 1), False),
        (row("offered_rps", 0, 0), True),
        (row("offered_rps", 1, 0), False),
    ],
)
def test_a_goal_is_a_share_and_for_latencies_two_milliseconds(one: Row, kept: bool) -> None:
    assert one.keeps_goal("server") is kept


def test_figures_are_the_worst_and_the_median_of_each_group_by_each_truth(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row("ttft_p50", 0.011, 0.010, 0.012), row("ttft_p90", 0.030, 0.020, 0.030), row("energy_j", 101, 100, 101)]
    rows += [row("goodput_rps", 1, 2), row("tpot_p50", 0.01, 0.01)]
    rows += [row("good_tokens", 99, 90), row("j_per_good_token", 0.9, 1.0)]
    found: dict[str, Any] = {name: (figure.value, figure.n) for name, figure in figures_of_rows(rows).items()}
    assert found["sockets_ttft_worst_pct_by_server"] == (pytest.approx(50), 2)
    assert found["sockets_ttft_median_pct_by_server"] == (pytest.approx(30), 2)
    assert found["sockets_ttft_worst_ms_by_server"] == (pytest.approx(10), 2)
    assert found["sockets_ttft_worst_ms_by_path"] == (pytest.approx(1), 2)
    assert found["sockets_energy_worst_pct_by_server"] == (pytest.approx(1), 1)
    assert found["sockets_energy_worst_pct_by_path"] == (0, 1)
    assert found["sockets_goodput_worst_pct_by_server"] == (pytest.approx(50), 1)
    assert found["sockets_good_tokens_worst_pct_by_server"] == (pytest.approx(10), 1)
    assert found["sockets_j_per_good_token_worst_pct_by_server"] == (pytest.approx(10), 1)
    assert "sockets_j_per_good_token_worst_ms_by_server" not in found
    assert found["sockets_figures_beyond_goal_by_server"] == (2, 4)  # what objectives decide is not judged
    assert found["sockets_figures_beyond_goal_by_path"] == (0, 4)
    assert "beyond the goal by server: sockets, 40/s, ttft_p90: 0.03, truly 0.02" in capsys.readouterr().out


def test_a_figure_that_llem_does_not_give_has_no_row(tmp_path: Path) -> None:
    truths = {"ttft_p50": 1.0, "ttft_p99": 2.0}
    rows = rows_of("sockets", 40.0, {"ttft_p50": 1.5, "ttft_p99": None}, truths, truths, 0.25)
    assert [one.name for one in rows] == ["ttft_p50"]
    write(rows, tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text() == (
        "where,rate_rps,name,llem,server,path,others_share\nsockets,40.0,ttft_p50,1.5,1.0,1.0,0.25\n"
    )


@pytest.mark.process
def test_llems_figures_are_exactly_those_of_the_server_in_its_worker(tmp_path: Path) -> None:
    load = {"ramp_s": 0.3, "duration_s": 1.5, "drain_s": 5}
    (one,) = running.run("in_process", [120], tmp_path / "run", load)
    rows = compared(one, "in_process")
    assert {*GROUPS} == {one.group for one in rows}
    for one_row in rows:
        # The meter extrapolates between two steps of the server, which lie late where its loop was late.
        has_energy = one_row.group in ("energy", "j_per_good_token")
        assert one_row.error("server") < (5e-3 if has_energy else 1e-6), one_row
