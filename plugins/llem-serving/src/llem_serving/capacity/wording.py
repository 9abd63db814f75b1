"""Sentences on a search: what it will do, and what it found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from llem.plugin_api import SearchConfig, duration
from llem_serving.capacity.answer import Answer, percent
from llem_serving.capacity.run_length import is_given, requests_wanted, run_length
from llem_serving.config import LoadConfig, SloConfig
from llem_serving.load_time import least_s, longest_s

if TYPE_CHECKING:
    from llem_serving.capacity.configuration_search import ConfigurationSearch

_GOALS = {
    "capacity": "the highest steady rate",
    "least_energy": "the rate of the least energy per good token",
}


def plan_sentences(
    goal: str, configurations: Sequence[tuple[LoadConfig, SloConfig, str]], settings: SearchConfig
) -> Iterator[str]:
    """Sentences on what will be searched, for whoever is about to start it."""
    slos = list(dict.fromkeys(_objectives(slo) for _, slo, _ in configurations))
    shown = slos[0] if len(slos) == 1 else "the objectives of each configuration"
    yield f"{goal}: {_GOALS[goal]} at which {shown}"
    starts = sorted({load.rate_rps or 0.0 for load, _, _ in configurations})
    first = f"{starts[0]:g}" if len(starts) == 1 else f"{starts[0]:g} to {starts[-1]:g}"
    bounds = [f"{word} {bound:g}" for word, bound in (("from", settings.low), ("up to", settings.high)) if bound]
    units = list(dict.fromkeys(unit for _, _, unit in configurations))
    unit = " or ".join(units)
    within = f" ({' '.join(bounds)} {unit})" if bounds else ""
    yield (
        f"{_many(len(configurations), 'configuration')}, each from {first} {unit} on{within}; at most "
        f"{_many(settings.max_runs, 'run')} of each, until the bracket reaches no further than {percent(settings.precision)} of the rate"
    )
    for load, slo, own in dict.fromkeys(configurations):
        yield _length(load, slo, own.removesuffix("/s"))
        yield _time(load, slo, own, settings.max_runs)


def _length(load: LoadConfig, slo: SloConfig, noun: str) -> str:
    wanted = requests_wanted(slo)
    if not is_given(load):
        return f"each run lasts until {wanted:,} {noun} have come, and {load.duration_s:g} s at the least"
    seen = math.floor(load.duration_s * (load.rate_rps or 0))
    few = (
        f": {wanted:,} tell whether {percent(slo.attainment)} keep the objectives, so leave load.duration_s out, or lengthen it"
        if seen < wanted
        else ""
    )
    return f"each run has a window of {load.duration_s:g} s (load.duration_s), some {seen:,} {noun} in the first{few}"


def _time(load: LoadConfig, slo: SloConfig, unit: str, runs: int) -> str:
    rate_rps = load.rate_rps or 0.0
    longer = {key.partition(".")[2]: value for key, value in run_length(load, slo, rate_rps).items()}
    first = load.model_copy(update=longer)
    least, longest = least_s({"load": first}), longest_s(first)
    each = "" if is_given(load) else "; one at a lower rate takes longer"
    return (
        f"the load of a run at {rate_rps:g} {unit} (ramp, wait for a steady state, window, drain) takes {duration(least)} to "
        f"{duration(longest)}, and {_many(runs, 'such load')} {duration(runs * least)} to {duration(runs * longest)}{each}; loading the "
        "model and warming up come besides"
    )


def answer_sentences(slo: SloConfig, search: ConfigurationSearch, *, by_energy: bool) -> Iterator[str]:
    """Sentences on what a search of one configuration found."""
    capacity, energy = search.capacity.answer(), search.energy.answer()
    yield _capacity(capacity, slo, search)
    if energy.rate_rps is not None:
        why = energy.said if by_energy else energy.beyond
        what = "estimated energy" if search.count(energy_method="estimate") else "energy"
        yield (
            f"{what} per good token is least at {energy.rate_rps:.4g} {search.unit} (bracket {_interval(energy)}), by "
            f"{_many(energy.runs, 'run')}. {why}".rstrip()
        )
    elif by_energy:
        yield f"the rate of the least energy is not told. {energy.said}"
    if failed := search.count(status="failed"):
        ended = (
            " The search ended with that; `llem resume --retry-failed` takes it up again."
            if search.limited_by == "failures"
            else ""
        )
        last = f" The last run failed: {search.last_failure}" if search.last_failure else ""
        yield f"{_many(failed, 'run')} failed.{last}{ended}"
    if unsteady := search.count(steady=False):
        yield (
            f"{_many(unsteady, 'run')} had no steady state, which may be chance where requests are few: longer runs (load.duration_s, "
            "load.steady_s) tell more."
        )


def _capacity(answer: Answer, slo: SloConfig, search: ConfigurationSearch) -> str:
    if answer.rate_rps is None:
        return f"capacity is not told. {answer.said}"
    least = "at least " if math.isinf(answer.high_rps) else ""
    limited = {
        "objectives": " The objectives limit it.",
        "steadiness": " Steadiness limits it: above, requests pile up.",
        "bound": " The bound of the search limits it (execution.search.low, execution.search.high).",
        "failures": " Failed runs ended the search.",
        "energy": " Its runs tell no energy of the parts of their windows, and that ended the search: it takes a meter.",
        None: "",
    }[search.limited_by]
    return (
        f"capacity is {least}{answer.rate_rps:.4g} {search.unit} (bracket {_interval(answer)}) where {_objectives(slo)}, by "
        f"{_many(answer.runs, 'run')}.{limited} {answer.said}"
    )


def _interval(answer: Answer) -> str:
    high = "∞" if math.isinf(answer.high_rps) else f"{answer.high_rps:.4g}"
    return f"{answer.low_rps:.4g} … {high}"


def _objectives(slo: SloConfig) -> str:
    limits = [
        f"{word} {limit:g} s"
        for word, limit in (("TTFT", slo.ttft_s), ("TPOT", slo.tpot_s), ("end to end", slo.e2e_s))
        if limit is not None
    ]
    if not limits:
        return f"{percent(slo.attainment)} of requests are answered (no limit of latency is set)"
    return f"{percent(slo.attainment)} of requests keep {', '.join(limits)}"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"
