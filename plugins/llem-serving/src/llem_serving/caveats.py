"""Caveats of a load: what a reader of its figures must know of how it went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from llem.plugin_api import Caveat
from llem_serving.config import LoadConfig
from llem_serving.course import Course
from llem_serving.judging import Judgement

_ERROR_LENGTH = 300


def caveats_of(course: Course, load: LoadConfig, judged: Judgement) -> Iterator[Caveat]:
    """The caveats of a load that has ended: of its state, its trace and its answers.

    Args:
        course: as it was.
        load: as the configuration has it.
        judged: its requests under the objectives.
    """
    yield from _of_state(course, load)
    yield from _of_trace(course, load)
    yield from _of_stages(load)
    yield from _of_answers(judged, course)


def _of_state(course: Course, load: LoadConfig) -> Iterator[Caveat]:
    if course.verdict == "saturated":
        yield Caveat("saturated", _saturated(course, load))
    elif course.verdict is None:
        yield Caveat(
            "steadiness_untested",
            "the load has no steady state that could be waited for (stages, a trace, or load.steady_s: 0): its figures are those "
            "of this stretch of load, and of no rate.",
        )
    elif course.verdict == "unsteady":
        yield Caveat("unsteady", _unsteady(course))


def _unsteady(course: Course) -> str:
    if course.lost is not None:
        return (
            f"the load was steady after {course.waited_s:.3g} s, and not in the window: {course.lost}. See why requests fail (`error` in "
            "requests.parquet), or lower the rate."
        )
    return (
        f"no steady state was seen within {course.waited_s:.3g} s: {'; '.join(course.reasons)}. The window was measured all the "
        "same. Lengthen load.steady_s or the parts of the window (load.duration_s)."
    )


def _saturated(course: Course, load: LoadConfig) -> str:
    length_s, found = (course.close_ns - course.open_ns) / 1e9, course.saturation
    if found is None:
        seen = f"{course.under_way:,} requests were under way when the window opened, and more and more."
    else:
        seen = (
            f"{found.arrivals:,} requests arrived while {found.completions:,} were answered, and {found.in_flight:,.0f} were waiting or "
            "under way when that was certain."
        )
    early = (
        f" The run was ended early: its window has {length_s:.3g} s of the {load.duration_s:g} s of load.duration_s."
        if len(course.edges_ns) <= load.parts
        else ""
    )
    return (
        f"the engine does not keep up with this load: {seen}{early} Latencies grow with the window's length. Lower "
        "load.rate_rps, or measure longer to be sure."
    )


def _of_trace(course: Course, load: LoadConfig) -> Iterator[Caveat]:
    if course.trace is None:
        return
    if not course.paired:
        yield Caveat(
            "trace_times_alone",
            f"arrivals are those of the trace {course.trace.name}, and prompts and answers those of the dataset, one after another. For "
            "the recorded lengths too, take the dataset from the same file: dataset: {name: trace, path: FILE}, without shuffle.",
        )
    last_s = float(course.trace.arrival_s[-1]) * load.time_scale
    if last_s < load.ramp_s + load.duration_s:
        yield Caveat(
            "trace_ended",
            f"the last request of the trace {course.trace.name} arrives {last_s:.4g} s after the start of the load, before the window "
            f"closes at {load.ramp_s + load.duration_s:.4g} s: the rest of the window is idle. Shorten load.ramp_s or "
            "load.duration_s, or raise load.time_scale.",
        )


def _of_stages(load: LoadConfig) -> Iterator[Caveat]:
    last_s, closed_s = sum(stage.duration_s for stage in load.stages or ()), load.ramp_s + load.duration_s
    if load.stages and last_s < closed_s:
        yield Caveat(
            "stages_ended",
            f"the last of load.stages ends {last_s:.4g} s after the start of the load, before the window closes at {closed_s:.4g} s: "
            "nothing arrives in the rest of the window. Lengthen the stages, or shorten load.ramp_s or load.duration_s.",
        )


def _of_answers(judged: Judgement, course: Course) -> Iterator[Caveat]:
    if judged.failed or judged.unanswered:
        yield Caveat(
            "requests_lost",
            f"of {judged.requests:,} requests that arrived in the window {judged.failed:,} failed and {judged.unanswered:,} had no "
            "answer at the end of the drain (load.drain_s). They miss every objective, and are in no latency."
            + _most_frequent(course),
        )
    if judged.requests and not judged.good_tokens:
        yield Caveat(
            "no_good_tokens",
            f"none of the {judged.output_tokens:,} output tokens that were given out in the window is of a request that kept every objective. "
            "Energy per good token is beyond any number: neither this run nor the mean of its configuration has it. Lower the rate, or judge "
            "by other objectives (llem slo).",
        )
    if judged.unseen:
        yield Caveat(
            "objectives_unseen",
            f"of {judged.requests:,} requests that arrived in the window {judged.unseen:,} were answered and lack a time that an objective "
            "is of, such as that of a first token where a whole answer comes at one instant. They count as missed. Set objectives of "
            "times that are seen (slo.e2e_s).",
        )
    if course.kept_on:
        yield Caveat(
            "cancellation_ignored",
            f"the engine went on with {course.kept_on:,} requests after they were cancelled at the end of the drain. They were left to "
            "the end of its process, and nothing more was taken from them.",
        )


def _most_frequent(course: Course) -> str:
    """The error that most requests of the window ended in, in a sentence."""
    window = (one for one in course.exchanges if course.open_ns <= one.arrived_ns < course.close_ns)
    errors = Counter(" ".join(one.error.split())[:_ERROR_LENGTH] for one in window if one.error is not None)
    return "".join(f" Most often ({n:,}): {error}" for error, n in errors.most_common(1))
