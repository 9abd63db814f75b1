"""The figures of a window that follow from the true times of tokens and the true power, and those that a result has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sim.serving import Path as ServerPath
from sim.serving import StepPower
from sim.serving.arrivals import Ints, S

from bench.simulated_server.model import path_of
from bench.simulated_server.running import SLO, TOKENS, Ran
from llem_serving.arrivals import draw
from llem_serving.config import LoadConfig
from llem_serving.metrics import j_per_good_token

Bools = npt.NDArray[np.bool_]

PERCENTILES = (50, 90, 95, 99)
LATENCIES = ("ttft", "tpot", "itl", "e2e")
RATES = ("tokens_per_s", "offered_rps", "achieved_rps", "goodput_rps")
_CLOCKS_NS = 1_000
"""Times of a table are seconds in floating point."""


@dataclass(frozen=True)
class Served:
    """All requests of a load and the power meanwhile. Monotonic ns.

    Attributes:
        scheduled: arrivals, as drawn, ascending.
        tokens: a row of token times for each; 0 throughout for one that was not answered.
        power: of the server.
    """

    scheduled: Ints
    tokens: Ints
    power: StepPower

    @classmethod
    def of_path(cls, path: ServerPath) -> Served:
        """A path through the server in virtual time."""
        tokens = np.stack([path.token_times(place) for place in range(len(path.tokens))])
        return cls(path.scheduled, tokens, path.power)


def drawn(ran: Ran) -> Ints:
    """The arrivals of a run, drawn again: each where the table says, to a microsecond.

    Those that came after the last answer are left out.

    Raises:
        RuntimeError: the table has other arrivals.
    """
    load = LoadConfig(**ran.result["config"]["load"])
    rows = [row for row in ran.requests if row["finish"] == "length"]
    offsets = draw(load, ran.result["identity"]["cycle"], 3_600.0).t_ns[: max(row["id"] for row in rows) + 1]
    open_ns, _ = ran.window_ns
    told = np.array([open_ns + round(row["arrival_s"] * S) for row in rows])
    places = np.array([row["id"] for row in rows])
    start = int(told[0]) - int(offsets[places[0]])
    if (apart := int(np.abs(told - start - offsets[places]).max())) > _CLOCKS_NS:
        raise RuntimeError(f"requests arrived up to {apart / 1e6:.3g} ms from where they were drawn")
    found: Ints = start + offsets
    return found


def journalled(ran: Ran, scheduled: Ints) -> Served:
    """The course of the load by the server's own account: tokens as they were sent, or given to the worker where no socket is between."""
    kind = "sent" if any(entry[0] == "sent" for entry in ran.journal) else "answered"
    tokens = np.zeros((len(scheduled), TOKENS), np.int64)
    for entry in ran.journal:
        if entry[0] == kind and entry[1] < len(scheduled):
            tokens[entry[1]] = entry[3]
    steps = sorted((entry[1], place, entry[2]) for place, entry in enumerate(ran.journal) if entry[0] == "power")
    power = StepPower(np.array([step[0] for step in steps]), np.array([step[2] for step in steps], np.float64))
    return Served(scheduled, tokens, power)


def off_model_ns(ran: Ran, stop_s: float = 0.0) -> int:
    """The most that a token's time differs from that of the model, given when requests came to the engine: 0, if the server does
    what it is said to.

    Args:
        ran: requests that are taken back at its end have no line in the journal; tokens after the window are left out for that.
        stop_s: for how long it stopped, where it did.
    """
    answered = sorted(
        (entry for entry in ran.journal if entry[0] == "answered" and entry[1] >= 0), key=lambda one: int(one[2])
    )
    stops = [int(entry[1]) for entry in ran.journal if entry[0] == "stalled"]
    tokens = np.array([entry[3] for entry in answered], np.int64)
    came = np.array([entry[2] for entry in answered], np.int64)
    path = path_of(came, stops[0] + 1 if stops else None, stop_s)
    meant = Served.of_path(path).tokens
    seen = (tokens <= ran.window_ns[1]) | (meant <= ran.window_ns[1])
    return int(np.abs(tokens - meant)[seen].max())


def kept(served: Served, slo: Mapping[str, float]) -> Bools:
    """True for each request that was answered and keeps all limits, by the true times of its tokens."""
    first, last = served.tokens[:, 0], served.tokens[:, -1]
    latencies = {
        "ttft_s": (first - served.scheduled) / S,
        "tpot_s": (last - first) / S / (TOKENS - 1),
        "e2e_s": (last - served.scheduled) / S,
    }
    keeps: Bools = served.tokens.all(axis=1)
    for name, limit in slo.items():
        keeps &= latencies[name] <= limit
    return keeps


def figures(served: Served, open_ns: int, close_ns: int, slo: Mapping[str, float] = SLO) -> dict[str, float]:
    """The figures of a window, by METHOD's definitions. Joules per good token are 0 where no token is good.

    Raises:
        RuntimeError: a request that arrived in the window was not answered.
    """
    inside = (served.scheduled > open_ns) & (served.scheduled <= close_ns)
    scheduled, tokens = served.scheduled[inside], served.tokens[inside]
    if not tokens.all():
        raise RuntimeError("requests of the window have no answer in the server's journal")
    length_s = (close_ns - open_ns) / S
    ttft, e2e = (tokens[:, 0] - scheduled) / S, (tokens[:, -1] - scheduled) / S
    given = (served.tokens > open_ns) & (served.tokens <= close_ns)
    keeps, energy_j = kept(served, slo), float(served.power.energy_j(open_ns, close_ns))
    good = int(given[keeps].sum())
    found = {
        "energy_j": energy_j,
        "tokens_per_s": int(given.sum()) / length_s,
        "offered_rps": len(scheduled) / length_s,
        "achieved_rps": int(given[:, -1].sum()) / length_s,
        "goodput_rps": int(keeps[inside].sum()) / length_s,
        "good_tokens": float(good),
        "j_per_good_token": energy_j / good if good else 0.0,
    }
    seen = {
        "ttft": ttft,
        "tpot": (tokens[:, -1] - tokens[:, 0]) / S / (TOKENS - 1),
        "itl": np.diff(tokens, axis=1).ravel() / S,
        "e2e": e2e,
    }
    for name, values in seen.items():
        for percent in PERCENTILES:
            found[f"{name}_p{percent}"] = float(np.percentile(values, percent))
    return found


def told(result: Mapping[str, Any]) -> dict[str, float | None]:
    """The same figures as llem has them; None where it gives none."""
    metrics, energy_j = result["scenario_metrics"], result["energy"]["headline"]["energy_j"]
    row = {"energy.headline.energy_j": energy_j, "scenario_metrics.good_tokens": metrics["good_tokens"]}
    found: dict[str, float | None] = {
        "energy_j": energy_j,
        "tokens_per_s": result["throughput"]["tokens_per_s"],
        **{name: metrics[name] for name in ("offered_rps", "achieved_rps", "goodput_rps", "good_tokens")},
        "j_per_good_token": j_per_good_token(row),
    }
    for name in LATENCIES:
        values = result["latency"][f"{name}_s"] or {}
        for percent in PERCENTILES:
            found[f"{name}_p{percent}"] = values.get(f"p{percent}")
    return found
