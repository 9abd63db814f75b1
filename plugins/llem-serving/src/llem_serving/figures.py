"""The figures of a load: from what happened to what a result says. Nothing here runs while anything is measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from llem.plugin_api import Answer, ScenarioFigures, timings
from llem_serving.broken_off import broken_off, tokens_of_an_event
from llem_serving.caveats import caveats_of
from llem_serving.config import LoadConfig, SloConfig
from llem_serving.course import Course
from llem_serving.in_flight import Exchange
from llem_serving.judging import Window, in_flight, judge, lateness, mean_in_flight
from llem_serving.judging.tokens import tokens_inside
from llem_serving.prefix_cache import cache_shares
from llem_serving.requests import ServedRequest


def figures_of(
    course: Course,
    load: LoadConfig,
    slo: SloConfig,
    energy_j: Callable[[int, int], float | None],
    *,
    warmed: Sequence[Answer] = (),
) -> ScenarioFigures:
    """Judge a load that has ended.

    Args:
        course: as it was.
        load, slo: as the configuration has them.
        energy_j: of the headline's devices between two of the course's edges (J).
        warmed: answers of the warm-up, whose prompts the engine has seen.
    """
    requests = served(course, load.parts)
    edges = (course.open_ns, course.close_ns)
    judged, late = judge(requests, slo, *edges, load.parts), lateness(requests, *edges)
    steps = in_flight(requests)
    at_opening = [step.n for step in steps if step.t_ns < edges[0]][-1:]
    inside = at_opening + [step.n for step in steps if edges[0] <= step.t_ns <= edges[1]]
    energy_cv = _energy_cv(course, requests, energy_j)
    cache = cache_shares(course.exchanges, warmed, *edges)
    metrics: dict[str, float | None] = {
        "offered_rps": judged.offered_rps,
        "achieved_rps": judged.achieved_rps,
        "goodput_rps": judged.goodput_rps,
        "attainment": judged.attainment,
        "attainment_low": judged.interval.low if judged.interval is not None else None,
        "attainment_high": judged.interval.high if judged.interval is not None else None,
        "good_tokens": float(judged.good_tokens),
        "arrived_requests": float(judged.requests),
        "turns_per_conversation": course.turns,
        "failed_requests": float(judged.failed),
        "unanswered_requests": float(judged.unanswered),
        "in_flight_mean": mean_in_flight(steps, *edges),
        "in_flight_max": float(max(inside)) if inside else None,
        "lateness_p50_s": late.p50_s,
        "lateness_p99_s": late.p99_s,
        "lateness_max_s": late.max_s,
        "energy_parts_cv": energy_cv,
        "steady": None if course.verdict is None else float(course.verdict == "steady"),
        "saturation_shortfall": None if course.saturation is None else course.saturation.shortfall,
        "steady_after_s": None if course.verdict is None else course.waited_s,
        "repeated_input_share": cache.repeated,
        "cached_input_share": cache.cached,
    }
    caveats = [*caveats_of(course, load, judged), *filter(None, (cache.caveat, late.caveat))]
    return ScenarioFigures(metrics=metrics, caveats=caveats)


def served(course: Course, parts: int) -> list[ServedRequest]:
    """The requests of a load as judging reads them. The time of a first token is told by the same code as in the table of requests,
    from which it is judged again: an engine that gives whole answers at one instant has none.

    Args:
        course: the load.
        parts: of the window.
    """
    window, each = Window(course.open_ns, course.close_ns, parts), tokens_of_an_event(course.exchanges)
    inside, beside = list[Answer](), list[Answer]()
    for one in course.exchanges:
        if one.answer is not None:
            (inside if window.arrives_inside(one.arrived_ns) else beside).append(one.answer)
    rows = (*timings(inside), *timings(beside))
    firsts = {id(row.answer): row.first_ns for row in rows}
    unseen = {id(row.answer) for row in rows if row.doubt in ("no_duration", "wall_time")}
    return [_served(one, window, each, firsts, is_seen=id(one.answer) not in unseen) for one in course.exchanges]


def _served(
    exchange: Exchange, window: Window, each: float, firsts: Mapping[int, int | None], *, is_seen: bool
) -> ServedRequest:
    answer = exchange.answer
    record = answer.records[0] if answer is not None and answer.records else None
    times: Sequence[int] | None = broken_off(exchange, each) or None
    if answer is not None and record is not None:
        times = record.token_ns or (answer.stream_ns if record.piece_ns is None else None)
    reached = times or (record.piece_ns if record is not None else None) or None
    # Where the engine's times contradict the clock here, only that of the whole answer is known, and no latency is.
    if answer is not None and not is_seen:
        reached = (answer.returned_ns,)
    return ServedRequest(
        id=exchange.request.id,
        scheduled_ns=exchange.arrived_ns,
        released_ns=exchange.sent_ns,
        first_ns=firsts.get(id(answer)) if answer is not None else reached[0] if reached else None,
        last_ns=reached[-1] if reached and is_seen else None,
        token_ns=reached,
        input_tokens=record.input_tokens if record is not None else None,
        output_tokens=record.output_tokens if record is not None else len(times or ()),
        finish=record.finish if record is not None else "error" if exchange.error is not None else "unanswered",
        error=exchange.error,
        part=window.part_of_arrival(exchange.arrived_ns),
        free_ns=exchange.free_ns,
        ended_ns=exchange.ended_ns if exchange.error is not None or not is_seen else None,
    )


def _energy_cv(
    course: Course, requests: list[ServedRequest], energy_j: Callable[[int, int], float | None]
) -> float | None:
    """Coefficient of variation of J per output token over the parts; None where one of them is not told."""
    found = []
    for start_ns, end_ns in pairwise(course.edges_ns):
        joules = energy_j(start_ns, end_ns)
        tokens = sum(tokens_inside(one, start_ns, end_ns) for one in requests)
        if joules is None or tokens == 0:
            return None
        found.append(joules / tokens)
    mean = statistics.fmean(found)
    return statistics.stdev(found) / mean if len(found) > 1 and mean > 0 else None
