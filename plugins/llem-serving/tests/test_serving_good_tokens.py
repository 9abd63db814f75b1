"""Good tokens and joules per good token against a server of known truth, in virtual time.

The truth takes the arrivals that were drawn, works out by a model of the server when each token was given out, and judges by these
times which requests keep the limits. The limits are set so that some requests of each load keep them and others miss them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driven_load import load_of
from known_server import driven_on_loadbed
from sim.serving.arrivals import Ints, S
from study_run import LOADBED
from test_serving_whole_answers import again

from bench.simulated_server import model, truth
from bench.simulated_server.running import OPTIONS, TOKENS
from llem_serving.arrivals import draw
from llem_serving.config import LoadConfig, SloConfig
from llem_serving.course import Course
from llem_serving.figures import figures_of
from llem_serving.metrics import j_per_good_token

RATES = tuple(range(10, 211, 10))
"""Requests per second; the server answers 222 at the most."""

REQUESTS = 240
"""About so many arrive in a window."""

LIMITED = (("ttft_s",), ("tpot_s",), ("e2e_s",), ("ttft_s", "e2e_s"), ("ttft_s", "tpot_s", "e2e_s"))
EXACT = 1e-9


@pytest.fixture(autouse=True)
def loadbed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The loadbed on the path, with the file of its power in a folder of its own."""
    monkeypatch.syspath_prepend(LOADBED)
    monkeypatch.setenv("LOADBED_POWER", str(tmp_path / "power"))


def arrivals_of(course: Course, load: LoadConfig) -> Ints:
    """The arrivals, drawn again: all that the load had."""
    offsets = draw(load, 1, 3_600.0).t_ns[: len(course.exchanges)]
    arrived = np.array([one.arrived_ns for one in course.exchanges])
    found: Ints = arrived[0] - offsets[0] + offsets
    assert (found == arrived).all()
    return found


def splitting(served: truth.Served, open_ns: int, close_ns: int, names: tuple[str, ...]) -> dict[str, float]:
    """Limits that two thirds of the window's requests keep, each by itself, and the others miss; no latency is within 1 µs of one."""
    inside = (served.scheduled >= open_ns) & (served.scheduled < close_ns)
    first, last = served.tokens[inside, 0], served.tokens[inside, -1]
    latencies = {
        "ttft_s": (first - served.scheduled[inside]) / S,
        "tpot_s": (last - first) / S / (TOKENS - 1),
        "e2e_s": (last - served.scheduled[inside]) / S,
    }
    found = {}
    for name in names:
        values = np.sort(latencies[name])
        apart = np.nonzero(np.diff(values) > 2e-6)[0]
        place = int(apart[np.argmin(np.abs(apart - 2 * len(values) / 3))])
        found[name] = float(values[place] + values[place + 1]) / 2
    return found


@pytest.mark.parametrize("rate_rps", RATES)
def test_good_tokens_and_their_joules_are_the_true_ones(rate_rps: int, tmp_path: Path) -> None:
    fields: dict[str, Any] = {"rate_rps": rate_rps, "ramp_s": 0.5, "duration_s": REQUESTS / rate_rps}
    load = load_of(**fields)
    driven = driven_on_loadbed(OPTIONS, TOKENS, load)
    course = driven.course
    edges = course.open_ns, course.close_ns
    served = truth.Served.of_path(model.path_of(arrivals_of(course, load)))
    for names in LIMITED:
        limits = splitting(served, *edges, names)
        true = truth.figures(served, *edges, limits)
        everything = truth.figures(served, *edges, {})["good_tokens"]
        assert 0.15 * everything < true["good_tokens"] < 0.85 * everything, "the limits split nothing"
        slo = SloConfig(**limits)
        metrics = figures_of(course, load, slo, lambda start, end: None).metrics
        row = {"energy.headline.energy_j": driven.energy_j, "scenario_metrics.good_tokens": metrics["good_tokens"]}
        assert metrics["good_tokens"] == true["good_tokens"]
        assert metrics["goodput_rps"] == pytest.approx(true["goodput_rps"], rel=EXACT)
        assert driven.energy_j == pytest.approx(true["energy_j"], rel=EXACT)
        assert j_per_good_token(row) == pytest.approx(true["j_per_good_token"], rel=EXACT)
        assert again(course, slo, tmp_path)["good_tokens"] == true["good_tokens"], "by the table of requests"
