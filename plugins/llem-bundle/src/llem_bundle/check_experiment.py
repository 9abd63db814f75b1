"""The headline of one experiment, worked out anew from its tables and held against its `result.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llem.plugin_api import EVENTS, REQUESTS, RESULT, TIMESERIES, ResultError, read_object
from llem_bundle import recount, tables
from llem_bundle.figures import RELATIVE, Figure, at, held, not_verified, number

_QUOTIENTS = {
    name: f"energy.headline.{name}" for name in ("mean_w", "j_per_output_token", "j_per_token", "j_per_request")
}
_ENERGY = {"energy_j": "energy.headline.energy_j", **_QUOTIENTS, "adjusted_j": "energy.headline.adjusted_j"}
_TOKENS = {f"tokens.{name}": f"tokens.{name}" for name in ("requests", "input", "output")}
_RATES = {name: f"throughput.{name}" for name in ("tokens_per_s", "total_tokens_per_s", "requests_per_s")}
_QUANTITIES = ("ttft_s", "itl_s", "tpot_s", "e2e_s")
_STATISTICS = ("n", "mean", "std", "min", "max", "p50", "p90", "p95", "p99")

LEFT_OUT = "the bundle was made without its readings and requests"


def check_experiment(folder: Path, of: str) -> Iterator[Figure]:
    """Every headline figure of a job directory. Raises ResultError where a file of it cannot be read."""
    result = read_object(folder / RESULT, "result")
    if result.get("status") != "done":
        return
    window_s, window = _window(folder, of, result)
    yield window
    if window_s is None or window_s <= 0:
        return
    tokens: dict[str, float | None] = dict.fromkeys(("requests", "input", "output"))
    if (folder / REQUESTS).exists():
        rows = tables.requests(folder / REQUESTS)
        told = recount.counted(rows, window_s)
        for name, count in told.items():
            if count is None:
                yield from not_verified(
                    of, result, {f"tokens.{name}": f"tokens.{name}"}, "rows tell it to the edge only"
                )
                tokens[name] = number(at(result, f"tokens.{name}"))
            else:
                yield held(of, f"tokens.{name}", at(result, f"tokens.{name}"), count, 0.0)
                tokens[name] = count
        yield from _stated(of, result, _RATES, recount.rates(window_s, tokens))
        yield from _latencies(of, result, rows)
    else:
        yield from not_verified(of, result, {**_TOKENS, **_RATES}, LEFT_OUT)
        for quantity in _QUANTITIES:
            paths = {f"{quantity}.{name}": f"latency.{quantity}.{name}" for name in _STATISTICS}
            yield from not_verified(of, result, paths, LEFT_OUT)
        tokens = {name: number(at(result, f"tokens.{name}")) for name in tokens}
    if at(result, "energy.headline") is None:
        return
    if (folder / TIMESERIES).exists():
        yield from _energy(of, result, tables.readings(folder / TIMESERIES), window_s)
    else:
        yield from not_verified(of, result, {"energy_j": _ENERGY["energy_j"]}, LEFT_OUT)
    joules = number(at(result, _ENERGY["energy_j"]))
    if joules is not None:
        yield from _stated(of, result, _QUOTIENTS, recount.quotients(joules, window_s, tokens))
    yield from _adjusted(of, result, joules, window_s)


def _stated(
    of: str, result: Mapping[str, Any], paths: Mapping[str, str], recomputed: Mapping[str, float | None]
) -> Iterator[Figure]:
    for name, path in paths.items():
        if (stated := at(result, path)) is not None:
            yield held(of, name, stated, recomputed[name])


def _window(folder: Path, of: str, result: Mapping[str, Any]) -> tuple[float | None, Figure]:
    """The window's length by the events that were written while it ran; by the result's own phases where there are none."""
    stated = at(result, "energy.window_s")
    phases = result.get("phases")
    own = [one for one in phases if at(one, "name") == "window"] if isinstance(phases, list) else []
    edges = (at(own[-1], "start_ns"), at(own[-1], "end_ns")) if own else (None, None)
    seen = _window_events(folder / EVENTS)
    start, end = (number(edge) for edge in (seen or edges))
    if start is None or end is None:
        return None, Figure(of, "window_s", stated, None, "differs", note="nothing says when the window was open")
    window_s = (end - start) / 1e9
    if seen is not None and edges != (None, None) and tuple(edges) != seen:
        note = "the result's phases are not those of events.jsonl"
        return window_s, Figure(of, "window_s", stated, window_s, "differs", note=note)
    note = "" if seen is not None else "by the result's own phases: there are no events"
    return window_s, held(of, "window_s", stated, window_s, note=note)


def _window_events(path: Path) -> tuple[int, int] | None:
    """The last window that opened and closed."""
    found: dict[str, int] = {}
    try:
        with path.open("rb") as stream:
            for line in stream:
                if b'"window"' not in line:
                    continue
                event = json.loads(line)
                if at(event, "event") == "phase" and at(event, "name") == "window":
                    found[str(event["state"])] = int(event["t_ns"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ResultError(f"these events cannot be read: {error}.", where=path.name) from error
    return (found["start"], found["end"]) if {"start", "end"} <= found.keys() else None


def _energy(of: str, result: Mapping[str, Any], readings: tables.Readings, window_s: float) -> Iterator[Figure]:
    headline = at(result, "energy.headline")
    devices, samplers = at(headline, "devices"), at(headline, "samplers")
    told = at(result, "energy.devices")
    stated = at(headline, "energy_j")
    total, give, bounded = 0.0, 0.0, False
    for device in devices if isinstance(devices, list) else ():
        one = next(
            (d for d in told or () if at(d, "device") == device and at(d, "sampler") in (samplers or ())), None
        )  # fmt: skip
        track = readings.tracks.get((str(at(one, "sampler")), str(device)))
        if track is None:
            yield held(of, "energy_j", stated, None, note=f"there are no readings of {device}")
            return
        has_counter = bool((track.energy_j == track.energy_j).any())
        if by_power := at(one, "method") == "power" or not has_counter:
            energy = recount.by_power(track.t_s, track.power_w, window_s)
        else:
            energy = recount.by_counter(track.t_s, track.energy_j, window_s)
        if energy is None:
            yield Figure(
                of,
                "energy_j",
                stated,
                None,
                "not_verified",
                note=f"{device} has no reading beside an edge of the window",
            )
            return
        total, give = total + energy.joules, give + energy.give
        bounded = bounded or not by_power
    allowed = give + abs(total) * (recount.BEYOND_EDGES if bounded else RELATIVE)
    note = "between the bounds that readings beside the edges give" if bounded else "trapezoid of power"
    yield held(of, "energy_j", stated, total, allowed, note)


def _adjusted(of: str, result: Mapping[str, Any], joules: float | None, window_s: float) -> Iterator[Figure]:
    stated = at(result, _ENERGY["adjusted_j"])
    if stated is None or joules is None:
        return
    named = at(result, "energy.headline.devices") or ()
    idle = [number(at(d, "idle_w")) for d in at(result, "energy.devices") or () if at(d, "device") in named]
    known = [watts for watts in idle if watts is not None]
    recomputed = joules - sum(known) * window_s if known and len(known) == len(idle) else None
    yield held(of, "adjusted_j", stated, recomputed, note="with idle power as it is stated")


def _latencies(of: str, result: Mapping[str, Any], rows: recount.Requests) -> Iterator[Figure]:
    recomputed = recount.latencies(rows)
    for quantity in _QUANTITIES:
        stated, again = at(result, f"latency.{quantity}"), recomputed[quantity]
        if stated is None:
            continue
        for name in _STATISTICS:
            if (value := at(stated, name)) is not None:
                yield held(of, f"{quantity}.{name}", value, None if again is None else again[name])
