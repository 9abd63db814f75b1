"""The distance of the figures of the scenario `server` from the truth, on a server whose service times, batching and power are known.

The server is behind a socket, in a process of its own, asked by the backend `openai`; and an engine in llem's worker. Each is put
under 20 loads by `llem run`, from 4 % to 90 % of what it can answer. There are two truths. `server`: arrivals as they were
drawn, tokens as the server sent them by its own journal; what is left is llem's error. `path`: the arrivals alone, through
the server in virtual time; the error then holds the lateness of the generator, of the sockets and of the server's own loop.

A further load meets a server that stops for 2 s: by llem, by the truth, and by a generator with 16 connections that waits for
answers and counts latency from the moment it sends (coordinated omission). Rows go to a CSV file beside the JSON.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.report import Figure, arguments, machine, publish

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests"))

from bench.simulated_server import model, running, truth  # noqa: E402
from bench.simulated_server import rows as accounts  # noqa: E402 - needs the folder of the simulator

if TYPE_CHECKING:
    from bench.simulated_server.rows import Row
    from bench.simulated_server.running import Ran, Where

RATES = tuple(range(10, 201, 10))
QUICK_RATES = (40, 120)
LOAD: Mapping[str, float] = {"ramp_s": 2, "duration_s": 8, "drain_s": 10}
QUICK_LOAD: Mapping[str, float] = {"ramp_s": 0.5, "duration_s": 1.5, "drain_s": 5}
PLACES: Sequence[Where] = ("sockets", "in_process")

STOP_S = 2.0
STOP_AT: Mapping[str, float] = {"stall_at": 500, "stall_s": STOP_S}
"""The iteration in which it stops: some three seconds after the start, at the rate below."""
STOP_RPS = 100
CONNECTIONS = 16
STOP_PERCENTILES = (50, 90, 95)


def check_server(ran: Ran, stop_s: float = 0.0) -> None:
    """Raise RuntimeError where the server did not do to the nanosecond what its model says."""
    if (off_ns := truth.off_model_ns(ran, stop_s)) > 0:
        raise RuntimeError(
            f"the server gave a token {off_ns} ns from where its model has it: nothing would be the truth"
        )


def compared(ran: Ran, where: Where) -> list[Row]:
    """The figures of a run beside both truths."""
    if (off_ns := truth.off_model_ns(ran)) > 0:
        raise RuntimeError(
            f"the server gave a token {off_ns} ns from where its model has it: nothing here would be the truth"
        )
    scheduled = truth.drawn(ran)
    by_server = truth.figures(truth.journalled(ran, scheduled), *ran.window_ns)
    by_path = truth.figures(truth.Served.of_path(model.path_of(scheduled)), *ran.window_ns)
    return accounts.rows_of(where, ran.rate_rps, truth.told(ran.result), by_server, by_path, ran.others_share)


def figures(rows: Sequence[Row]) -> dict[str, Figure]:
    """Worst and median error of each group of figures, for each place and truth, and how many are as near as is aimed at."""
    found: dict[str, Figure] = {}
    for where in PLACES:
        here = [row for row in rows if row.where == where]
        found[f"{where}_loads"] = Figure(len({row.rate_rps for row in here}), "1", len(here))
        if others := [share for share in {row.rate_rps: row.others_share for row in here}.values() if share == share]:
            found[f"{where}_others_median_pct"] = Figure(statistics.median(others) * 100, "%", len(others))
            found[f"{where}_others_worst_pct"] = Figure(max(others) * 100, "%", len(others))
        for by in accounts.TRUTHS:
            for group in accounts.GROUPS:
                those = [row for row in here if row.group == group]
                if not those:
                    continue
                errors = [row.error(by) * 100 for row in those]
                found[f"{where}_{group}_worst_pct_by_{by}"] = Figure(max(errors), "%", len(those))
                found[f"{where}_{group}_median_pct_by_{by}"] = Figure(statistics.median(errors), "%", len(those))
                if those[0].is_latency:
                    off = [row.off(by) * 1e3 for row in those]
                    found[f"{where}_{group}_worst_ms_by_{by}"] = Figure(max(off), "ms", len(those))
                    found[f"{where}_{group}_median_ms_by_{by}"] = Figure(statistics.median(off), "ms", len(those))
            judged = [row for row in here if row.group not in accounts.NOT_JUDGED]
            missed = [row for row in judged if not row.keeps_goal(by)]
            for row in missed:
                true = row.server if by == "server" else row.path
                print(
                    f"beyond the goal by {by}: {where}, {row.rate_rps:g}/s, {row.name}: {row.llem:.6g}, truly {true:.6g}"
                )
            found[f"{where}_figures_beyond_goal_by_{by}"] = Figure(len(missed), "1", len(judged))
    return found


def stopping(where: Where, folder: Path, load: Mapping[str, float]) -> dict[str, Figure]:
    """TTFT of a load that meets a server which stops: by llem, by the truth, and by generators that wait."""
    (free,) = running.run(where, [STOP_RPS], folder / f"{where}-stop", load, STOP_AT)
    capped_load = {**load, "max_in_flight": CONNECTIONS}
    (capped,) = running.run(where, [STOP_RPS], folder / f"{where}-capped", capped_load, STOP_AT)
    check_server(free, STOP_S)
    check_server(capped, STOP_S)
    scheduled, (open_ns, close_ns) = truth.drawn(free), free.window_ns
    (stop_ns,) = [entry[1] + 1 for entry in free.journal if entry[0] == "stalled"]
    path = model.path_of(scheduled, stop_ns, STOP_S)
    released = model.waiting(scheduled, CONNECTIONS, stop_ns, STOP_S)
    waits = model.path_of(released, stop_ns, STOP_S)
    inside = (scheduled > open_ns) & (scheduled <= close_ns)
    counted_from_sent = [row["first_token_s"] - row["sent_s"] for row in capped.requests if row["inside"]]
    by_server = truth.figures(truth.journalled(free, scheduled), open_ns, close_ns)
    found = {}
    for percent in STOP_PERCENTILES:
        values = {
            "llem": truth.told(free.result)[f"ttft_p{percent}"],
            "server": by_server[f"ttft_p{percent}"],
            "path": float(np.percentile(path.ttft[inside], percent)) / 1e9,
            "waiting": float(np.percentile((waits.first - released)[inside], percent)) / 1e9,
            "from_sending": float(np.percentile(counted_from_sent, percent)),
        }
        for name, value in values.items():
            if value is not None:
                found[f"{where}_stop_ttft_p{percent}_ms_{name}"] = Figure(value * 1e3, "ms", int(inside.sum()))
    return found


def main() -> None:
    """Both places, all loads, and the server that stops."""
    options = arguments(__doc__).parse_args()
    rates, load = (QUICK_RATES, QUICK_LOAD) if options.quick else (RATES, LOAD)
    where, rows, found = machine(), list[accounts.Row](), dict[str, Figure]()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for place in PLACES:
            for ran in running.run(place, rates, folder / place, load):
                rows += compared(ran, place)
            if not options.quick:
                found |= stopping(place, folder, load)
    if options.json:
        accounts.write(rows, options.json.with_name(f"{options.json.stem}_rows.csv"))
    publish("serving_accuracy", where, figures(rows) | found, options.json)


if __name__ == "__main__":
    main()
