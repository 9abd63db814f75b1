"""Whole experiments of the scenario `server` on a backend that answers by a clock and knows its own power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from study_run import Serve, codes

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


def test_energy_is_that_of_the_requests_under_way(serve: Serve) -> None:
    ran = serve()
    (result,), (rows,) = ran.results, ran.requests
    assert result["status"] == "done", result["failure"]
    metrics, headline = result["scenario_metrics"], result["energy"]["headline"]
    # 100 W at rest, 10 W for each that runs: from the begin of its first iteration, which takes 5 to 12 ms, to its last token.
    # Both are by the engine's clock, however late this machine is.
    window_s = result["energy"]["window_s"]
    least_w, most_w = (100 + 10 * running(rows, iteration_s, window_s) for iteration_s in (0.005, 0.012))
    assert 0.995 * least_w < headline["mean_w"] < 1.005 * most_w
    assert most_w > 110
    assert result["tokens"]["output"] == sum(row["window_tokens"] for row in rows)
    assert headline["j_per_output_token"] == pytest.approx(headline["energy_j"] / result["tokens"]["output"])
    assert {"steadiness_untested"} <= codes(result)
    assert metrics["offered_rps"] == pytest.approx(sum(row["inside"] for row in rows) / 3, rel=0.05)
    assert all(row["finish"] == "length" for row in rows)
    assert all(row["sent_s"] >= row["arrival_s"] for row in rows)
    assert not {"identity_broken", "identity_unchecked"} & codes(result)


def running(rows: Sequence[Mapping[str, Any]], iteration_s: float, window_s: float) -> float:
    """Requests that ran in the window, in the mean, where the first iteration of each took so long."""
    spans = [(row["first_token_s"] - iteration_s, row["first_token_s"] + sum(row["itl_s"])) for row in rows]
    return sum(max(0.0, min(end, window_s) - max(begin, 0.0)) for begin, end in spans) / window_s


def test_configurations_that_are_compared_meet_the_same_arrivals(serve: Serve) -> None:
    ran = serve(sweep={"loadbed.max_batch": [4, 8]})
    first, second = ([row["arrival_s"] for row in rows] for rows in ran.requests)
    gaps = [[round(later - earlier, 6) for earlier, later in pairwise(t[:20])] for t in (first, second)]
    assert gaps[0] == gaps[1]


def test_requests_that_fail_miss_every_objective_and_are_in_the_table(serve: Serve) -> None:
    ran = serve(loadbed={"fail_every": 4})
    (result,), (rows,) = ran.results, ran.requests
    failed = [row for row in rows if row["finish"] == "error"]
    assert failed
    assert all("told to fail" in row["error"] for row in failed)
    metrics = result["scenario_metrics"]
    assert metrics["failed_requests"] == len(failed)
    assert metrics["attainment"] == pytest.approx(1 - len(failed) / metrics["arrived_requests"])
    assert "requests_lost" in codes(result)


def test_a_pause_of_the_server_counts_for_all_who_arrive_in_it(serve: Serve) -> None:
    ran = serve(loadbed={"stall_at": 200, "stall_s": 1.0}, slo={"ttft_s": 0.2})
    (result,), (rows,) = ran.results, ran.requests
    late = [row["ttft_s"] for row in rows if row["inside"] and row["ttft_s"] is not None and row["ttft_s"] > 0.2]
    # Those who arrive in the second of the pause wait for its end, from their own arrival on, and not from when they are sent.
    assert len(late) >= 10
    assert max(late) == pytest.approx(1.0, abs=0.25)
    assert result["scenario_metrics"]["attainment"] < 0.9


def test_more_load_than_can_be_answered_is_called_saturated(serve: Serve) -> None:
    ran = serve(
        loadbed={"max_batch": 1, "base_s": 0.005, "request_s": 0.005},
        load={"rate_rps": 20, "steady_s": 30, "duration_s": 6, "drain_s": 1},
    )
    (result,) = ran.results
    assert result["status"] == "done", result["failure"]
    assert "saturated" in codes(result)
    assert result["scenario_metrics"]["steady"] == 0.0
    assert result["scenario_metrics"]["unanswered_requests"] > 0
    assert result["scenario_metrics"]["achieved_rps"] < 0.6 * result["scenario_metrics"]["offered_rps"]


def test_users_who_wait_for_answers_are_never_more_than_there_are(serve: Serve) -> None:
    ran = serve(load={"rate_rps": None, "concurrency": 3, "think_s": 0.05})
    (result,), (rows,) = ran.results, ran.requests
    assert result["status"] == "done", result["failure"]
    assert result["scenario_metrics"]["in_flight_max"] <= 3
    edges = sorted([(r["arrival_s"], 1) for r in rows] + [(r["end_s"], -1) for r in rows], key=lambda e: (e[0], -e[1]))
    count = most = 0
    for _, step in edges:
        count += step
        most = max(most, count)
    assert most <= 3
    assert len(rows) > 20


def test_a_load_that_nobody_answers_fails_and_says_so(serve: Serve) -> None:
    ran = serve(loadbed={"fail_every": 1})
    (result,) = ran.results
    assert result["status"] == "failed"
    assert "requests under way in the window" in result["failure"]["message"]
    assert "told to fail" in result["failure"]["message"]


def test_a_load_whose_energy_for_each_token_rises_is_not_steady(serve: Serve) -> None:
    ran = serve(
        load={"rate_rps": 100, "ramp_s": 0.5, "duration_s": 3, "steady_s": 3, "parts": 3, "drain_s": 3},
        dataset={"n": 20, "input_tokens": 8, "output_tokens": 4},
        loadbed={"idle_w": 20.0, "request_w": 2.0},
        sweep={"loadbed.rise_w_per_s": [0, 80]},
    )
    told = {}
    for result in ran.results:
        messages = [one["message"] for one in result["warnings"] if one["code"] == "unsteady"]
        told[result["config"]["loadbed"].get("rise_w_per_s", 0)] = " ".join(messages)
    assert "J per output token varies by" in told[80]
    assert "J per output token" not in told[0]
