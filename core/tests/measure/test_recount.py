"""J per output token is counted again from the tables of a result, by arithmetic of its own; a wrong figure is found."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sim.meters import GPU, IDLE_THEN_WORK, WALL, Bench, Meter, S

from llem.measure import energy as figure_maker
from llem.measure.figures import throughput
from llem.measure.latency import Timing
from llem.measure.recount import recount
from llem.measure.requests_table import write_requests
from llem.measure.timeseries import write_timeseries
from llem.results.job_directory import REQUESTS, TIMESERIES
from llem.results.models import EnergyBreakdown, Phase, ResultWarning, Tokens
from llem.specs.backend import RequestRecord
from llem.specs.scenario import Answer

BENCH = Bench(load=IDLE_THEN_WORK)
METERS = (Meter(device=GPU, period_s=0.1, noise=0.03), Meter(device=WALL, noise=0.05))
PHASES = [Phase(name="window", start_ns=20 * S, end_ns=30 * S)]
TOKENS = Tokens(requests=10, input=100, output=1000)


def written(folder: Path) -> EnergyBreakdown:
    """Both tables in a folder, and the figures of the same readings."""
    records = [RequestRecord(i, 10, 100, 20 * S + i, 29 * S, "stop") for i in range(10)]
    answer = Answer(1, 1, 20 * S, 29 * S, [], records)
    write_requests(folder / REQUESTS, [Timing(answer, record) for record in records], 20 * S)
    series = BENCH.read(*METERS)
    write_timeseries(series, folder / TIMESERIES, 20 * S)
    return BENCH.figures(*METERS).energy


def again(folder: Path, energy: EnergyBreakdown) -> list[ResultWarning]:
    return recount(folder, energy, throughput(TOKENS, 10.0), PHASES)


def test_right_figures_are_confirmed(tmp_path: Path) -> None:
    energy = written(tmp_path)
    assert {(t.scope, t.method) for t in energy.totals} == {("gpu", "counter"), ("host", "power")}
    assert again(tmp_path, energy) == []


@pytest.mark.parametrize("name", ["_cumulative", "_integrated"])
def test_a_figure_maker_that_is_broken_is_found(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = getattr(figure_maker, name)

    def broken(*given: object) -> float | None:
        joules = right(*given)
        return None if joules is None else joules * 1.015  # the gate sees a counter that is further off itself

    monkeypatch.setattr(figure_maker, name, broken)
    (warning,) = again(tmp_path, written(tmp_path))
    assert warning.code == "identity_broken"
    assert "J per output token were worked out" in warning.message


def test_tokens_of_another_window_are_found(tmp_path: Path) -> None:
    energy = written(tmp_path)
    found = recount(tmp_path, energy, throughput(TOKENS, 10.5), PHASES)
    assert {w.code for w in found} == {"identity_broken"}


def test_a_figure_without_readings_beside_an_edge_is_said_to_be_unchecked(tmp_path: Path) -> None:
    energy = written(tmp_path)
    late = [Phase(name="window", start_ns=20 * S, end_ns=80 * S)]
    found = recount(tmp_path, energy, throughput(TOKENS, 10.0), late)
    assert {w.code for w in found} == {"identity_unchecked"}


@pytest.mark.parametrize(("beyond", "codes"), [(0.03, set()), (0.2, {"identity_broken"})])
def test_a_coarse_counter_may_have_moved_between_its_last_reading_and_the_edge(
    tmp_path: Path, beyond: float, codes: set[str]
) -> None:
    """Ten readings of a counter in steps of 0.3 J; the figure knows of a tick that came after the last of them."""
    energy = written(tmp_path)
    (figure, *_) = energy.totals
    rows = [
        {
            "sampler": figure.samplers[0],
            "device": figure.devices[0],
            "t_s": t / 4,
            "energy_j": 100 + 0.3 * t,
            "power_w": None,
        }
        for t in range(-4, 41)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / TIMESERIES)
    joules = 12.0 * (1 + beyond)
    told = figure.model_copy(
        update={"energy_j": joules, "mean_w": joules / 10, "j_per_output_token": joules / 1000, "method": "counter"}
    )
    found = again(tmp_path, energy.model_copy(update={"totals": [told]}))
    assert {warning.code for warning in found} == codes
