"""The methods paragraph of a report: everything that a paper has to say of how a study was measured, from its results.

A sentence stands only where the results tell it. What differs between runs is given as a range or a list, never as one
of its values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llem_analysis.warning_codes import WARNINGS
from llem_analysis.wording import counted

Row = Mapping[str, Any]

METHOD_COLUMNS = (
    "started_at",
    "work",
    "model.source",
    "model.revision",
    "dataset.n",
    "dataset.provenance",
    "dataset.sha256",
    "energy.window_s",
    "warmup.enabled",
    "warmup.converged",
    "warmup.prompts",
    "baseline.source",
    "baseline.duration_s",
    "config.dataset.input_tokens",
    "config.dataset.output_tokens",
    "config.measurement.min_window_s",
    "config.warmup.batches",
    "config.warmup.cv_threshold",
    "config.load.arrival",
    "config.load.rate_rps",
    "config.load.concurrency",
    "config.load.ramp_s",
    "config.load.duration_s",
    "config.load.parts",
    "config.load.drain_s",
)
"""Columns of `results.parquet` that the paragraph and the citation are made of, besides the meters'."""

_METHODS = {
    "counter": "by the hardware's energy counters",
    "power": "by integrating sampled power",
    "estimate": "estimated (CPU utilisation times rated power), not measured",
}
_LOADED = "server"

_SCOPES = {
    "gpu": "GPUs",
    "module": "whole modules (GPU, CPU and memory)",
    "cpu": "CPUs",
    "dram": "memory",
    "host": "the whole host",
}
_LENGTHS = {
    "fixed_length": "exactly {} output tokens each, end-of-sequence tokens ignored",
    "natural_length": "until their stop token, at most {} output tokens each",
}
_ORDERS = {
    "sequential": "all cycles of one configuration before the next",
    "interleaved": "each configuration once, then all again",
    "shuffled": "in a new random order in each cycle",
    "reversed": "each cycle in the reverse order of the one before",
    "latin_square": "in the orders of a Latin square",
}


def method_sentences(
    rows: Sequence[Row], manifest: Mapping[str, Any], environments: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Sentences on design, work, devices, warm-up, baseline, window, energy, statistics and what was left out.

    Args:
        rows: of `results.parquet`, every run.
        manifest: of the study; empty where there is none.
        environments: as `environments_of` gives them.
    """
    done = [row for row in rows if row.get("status") == "done"]
    if not done:
        return
    yield from _design(done, manifest)
    yield from _work(done)
    yield from _devices(environments)
    yield from _preparation(done)
    yield from _window(done)
    yield from _energy(done)
    yield _statistics(done)
    yield from _left_out(rows, done)


def _design(done: Sequence[Row], manifest: Mapping[str, Any]) -> Iterator[str]:
    cycles = Counter(row.get("config_hash") or row.get("directory") for row in done)
    configurations = counted(len(cycles), "configuration")
    yield f"{configurations} ran in {_span(cycles.values(), 'cycle', whole=True)} each, every run in a fresh process."
    order = manifest.get("order")
    if order in _ORDERS:
        seed = manifest.get("seed")
        drawn = f" (seed {seed})" if seed is not None and order in {"shuffled", "latin_square"} else ""
        yield f"The order was {str(order).replace('_', ' ')}: {_ORDERS[order]}{drawn}."


def _work(done: Sequence[Row]) -> Iterator[str]:
    for what, source in (("Model", "model.source"), ("Dataset", "dataset.provenance")):
        if found := _distinct(done, source):
            more = f" and {len(found) - 5:,} more" if len(found) > 5 else ""
            revision = _distinct(done, "model.revision") if what == "Model" else _distinct(done, "dataset.sha256")
            pinned = f" ({'revision' if what == 'Model' else 'SHA-256'} {', '.join(revision[:3])})" if revision else ""
            yield f"{what}{'s' * (len(found) > 1)}: {'; '.join(found[:5])}{more}{pinned}."
    requests = _span(_numbers(done, "dataset.n"), "request", whole=True)
    for work, said in _LENGTHS.items():
        of_it = [row for row in done if row.get("work") == work]
        if of_it:
            limit = _span(_numbers(of_it, "config.dataset.output_tokens"), whole=True)
            of = "" if len(of_it) == len(done) else f" ({counted(len(of_it), 'run')})"
            inputs = _numbers(of_it, "config.dataset.input_tokens")
            prompts = f"prompts of at most {_span(inputs, whole=True)} tokens, " if len(inputs) == len(of_it) else ""
            if any(row.get("scenario") == _LOADED for row in of_it):
                yield f"The dataset has {requests}, {prompts}answered {said.format(limit)}{of}."
            else:
                yield (
                    f"A pass answers {requests}, {prompts}{said.format(limit)}{of}; it is repeated until the window is long enough."
                )
    yield from _load([row for row in done if row.get("scenario") == _LOADED])


def _load(loaded: Sequence[Row]) -> Iterator[str]:
    """Sentences on runs whose requests arrived by themselves."""
    if not loaded:
        return
    rates, users = _numbers(loaded, "config.load.rate_rps"), _numbers(loaded, "config.load.concurrency")
    parts = []
    if rates:
        processes = " or ".join(_distinct(loaded, "config.load.arrival"))
        parts.append(f"at {_span(rates)} requests/s ({processes} arrivals), whether or not earlier ones were answered")
    if users:
        parts.append(f"from {_span(users, whole=True)} users, each of whom waited for an answer before asking again")
    if len(rates) + len(users) < len(loaded):
        parts.append("as stages or a recorded trace say")
    yield f"Requests arrived {', or '.join(parts)}; latency counts from the scheduled arrival."
    ramps, drains = _numbers(loaded, "config.load.ramp_s"), _numbers(loaded, "config.load.drain_s")
    if ramps and drains:
        yield (
            f"Load began at least {_span(ramps)} s before the window; after it answers were waited for as long as {_span(drains)} s, "
            "while requests went on arriving."
        )


def _devices(environments: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in environments:
        gpu, cpu = one.get("gpu") or {}, one.get("cpu") or {}
        models = Counter(gpu.get("models") or ())
        parts = [f"{count} × {model}" if count > 1 else str(model) for model, count in models.items()]
        if gpu.get("driver"):
            parts.append(f"driver {gpu['driver']}")
        limits = sorted(
            {watts for watts in _facts(one.get("meters"), "power_limit_w") if isinstance(watts, int | float)}
        )
        if limits:
            parts.append(f"power limit {_span(limits)} W")
        if cpu.get("model"):
            parts.append(f"CPU {cpu['model']}, {cpu.get('logical_cpus')} logical CPUs")
        if cpu.get("governor"):
            parts.append(f"governor {cpu['governor']}")
        if parts:
            yield f"Devices ({counted(int(one['runs']), 'run')} with {one.get('backend')}): {'; '.join(parts)}."


def _preparation(done: Sequence[Row]) -> Iterator[str]:
    warmed = [row for row in done if row.get("warmup.enabled")]
    if warmed:
        steady = sum(row.get("warmup.converged") is True for row in warmed)
        k, threshold = _span(_numbers(warmed, "config.warmup.batches")), _numbers(warmed, "config.warmup.cv_threshold")
        within = f"{_span([100 * value for value in threshold])} %" if threshold else "their threshold"
        yield (
            f"Warm-up ({_span(_numbers(warmed, 'warmup.prompts'), 'prompt', whole=True)}) repeats a batch until its last "
            f"{k} runs vary by less than {within} and show no trend; {steady:,} of {counted(len(warmed), 'run')} got there."
        )
    if without := len(done) - len(warmed):
        yield f"{counted(without, 'run')} had no warm-up."
    based = [row for row in done if row.get("baseline.source")]
    if based:
        cached = sum(row.get("baseline.source") == "cached" for row in based)
        reused = f", {cached:,} of them from an earlier run on the same boot" if cached else ""
        yield (
            f"Idle power was taken before loading, over {_span(_numbers(based, 'baseline.duration_s'))} s, in "
            f"{counted(len(based), 'run')}{reused}; energy is given without taking it off, unless it is called adjusted."
        )


def _window(done: Sequence[Row]) -> Iterator[str]:
    loaded = [row for row in done if row.get("scenario") == _LOADED]
    done = [row for row in done if row.get("scenario") != _LOADED]
    if windows := _numbers(loaded, "energy.window_s"):
        yield (
            f"The measured window, under load, was {_span(windows)} s long, in "
            f"{_span(_numbers(loaded, 'config.load.parts'), whole=True)} equal parts; tokens count where they were given out inside it."
        )
    if windows := _numbers(done, "energy.window_s"):
        yield (
            f"The measured window, after loading and warm-up, was {_span(windows)} s long (asked for: at least "
            f"{_span(_numbers(done, 'config.measurement.min_window_s'))} s), between two device synchronisations."
        )


def _energy(done: Sequence[Row]) -> Iterator[str]:
    kinds = Counter(
        (row.get("energy.headline.scope"), row.get("energy.headline.method"))
        for row in done
        if row.get("energy.headline.method")
    )
    for (scope, method), count in kinds.items():
        of = "" if count == len(done) else f" in {counted(count, 'run')}"
        yield f"Energy is that of {_SCOPES.get(str(scope), scope)}, {_METHODS.get(str(method), method)}{of}."
    if without := len(done) - sum(kinds.values()):
        yield f"{counted(without, 'run')} {'has' if without == 1 else 'have'} no energy: no meter could be read."


def _statistics(done: Sequence[Row]) -> str:
    cycles = Counter(row.get("config_hash") or row.get("directory") for row in done).values()
    if max(cycles) < 2:
        return "Every configuration ran once: there is a description, and neither interval nor test."
    if min(cycles) < 2:
        return "Some configurations ran once: of these there is a description, and neither interval nor test."
    return (
        "Metrics are analysed as logarithms, so that effects are ratios. Intervals are 95 %, over cycles, with each "
        "configuration's own variance, the cycle as a block and the place in it as a covariate; effects are tested against the "
        "variation between cycles, and p-values are corrected after Holm over all that is claimed of the study."
    )


def _left_out(rows: Sequence[Row], done: Sequence[Row]) -> Iterator[str]:
    if len(rows) > len(done):
        why = Counter(str(row.get("failure.type") or row.get("status")) for row in rows if row.get("status") != "done")
        listed = ", ".join(f"{count:,} {name}" for name, count in why.most_common())
        yield f"Left out: {counted(len(rows) - len(done), 'run')} without a result ({listed})."
    voided = Counter(
        code
        for row in done
        for code in set(row.get("warnings") or ())
        if code in WARNINGS and WARNINGS[code].weight == "void"
    )
    if voided:
        listed = ", ".join(f"`{code}` in {counted(count, 'run')}" for code, count in voided.most_common())
        yield f"Left out where a warning voids them: {listed}."


def _facts(data: object, name: str) -> Iterator[object]:
    """Every value under a key, wherever it stands."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            if key == name:
                yield value
            else:
                yield from _facts(value, name)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _facts(value, name)


def _distinct(rows: Sequence[Row], column: str) -> list[str]:
    return list(dict.fromkeys(str(row[column]) for row in rows if row.get(column)))


def _numbers(rows: Sequence[Row], column: str) -> list[float]:
    return [row[column] for row in rows if row.get(column) is not None]


def _span(values: Any, unit: str | None = None, *, whole: bool = False) -> str:
    """`3 cycles`, `1 to 3 cycles`; without a unit the number alone, `an unknown number` where there is none."""
    found = sorted(values)
    if not found:
        return f"an unknown number{f' of {unit}s' if unit else ''}"
    low, high = (f"{found[0]:,}", f"{found[-1]:,}") if whole else (f"{found[0]:.4g}", f"{found[-1]:.4g}")
    text = low if low == high else f"{low} to {high}"
    return text if unit is None else f"{text} {unit}{'s' * (found[-1] != 1)}"
