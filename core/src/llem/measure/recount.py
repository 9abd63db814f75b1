"""The gross identity, counted again from the tables that a result keeps: J per output token = mean W / (output tokens / s).

It shares no arithmetic with what made the figures: energy comes from the rows of `timeseries.parquet`, tokens from those
of `requests.parquet`, the window from the phases. Readings beside an edge bound what a counter can have shown at it, so a
figure has to lie within these bounds; power is summed reading by reading, each for the time nearest to it. Both are then
exact to what lies between two readings at each edge, and `SLACK` is added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from llem.files import open_parquet
from llem.results.job_directory import REQUESTS, TIMESERIES
from llem.results.models import EnergyBreakdown, EnergyFigure, Phase, ResultWarning, Throughput

SLACK = 0.005
"""Share of a figure by which it may lie beyond what the readings beside its edges allow."""

EXACT = 1e-6
"""Relative error of what is the same quotient twice, and rounds differently."""

Row = tuple[float, float | None, float | None]
"""Seconds since the window opened, joules, watts."""


def recount(job_dir: Path, energy: EnergyBreakdown, speed: Throughput, phases: Sequence[Phase]) -> list[ResultWarning]:
    """Count every total again from the tables in the job directory.

    Args:
        job_dir: holds both tables.
        energy: what was worked out.
        speed: the window's throughput.
        phases: of the experiment.

    Returns:
        A warning for each total that its own readings contradict, or that cannot be counted again.
    """
    with open_parquet(job_dir / REQUESTS) as requests:
        # Of a load that did not wait for answers, tokens count where they were given out.
        name = "window_tokens" if "window_tokens" in requests.schema_arrow.names else "output_tokens"
        column = requests.read([name]).column(name)
    generated = sum(int(count) for count in column.to_pylist() if count is not None)
    window_s = next((phase.end_ns - phase.start_ns) / 1e9 for phase in phases if phase.name == "window")
    readings = _readings(job_dir / TIMESERIES)
    return [
        warning
        for figure in energy.totals
        for warning in _differences(figure, energy, speed, readings, generated, window_s)
    ]


_READ = ("sampler", "device", "t_s", "energy_j", "power_w")


def _readings(path: Path) -> dict[tuple[str, str], list[Row]]:
    with open_parquet(path) as file:
        table = file.read(list(_READ))
    found: dict[tuple[str, str], list[Row]] = {}
    for sampler, device, *row in zip(*(table.column(name).to_pylist() for name in _READ), strict=True):
        found.setdefault((sampler, device), []).append((row[0], row[1], row[2]))
    return found


def _differences(
    figure: EnergyFigure,
    energy: EnergyBreakdown,
    speed: Throughput,
    readings: dict[tuple[str, str], list[Row]],
    generated: int,
    window_s: float,
) -> Iterator[ResultWarning]:
    per_token, per_s = figure.j_per_output_token, speed.tokens_per_s
    if per_token is None or generated == 0 or window_s <= 0:
        return
    counted, give = 0.0, 0.0
    for device in figure.devices:
        one = next(d for d in energy.devices if d.device == device and d.sampler in figure.samplers)
        rows = readings.get((one.sampler, device), [])
        by_power = one.method == "power" or all(joules is None for _, joules, _ in rows)
        told = _by_power(rows, window_s) if by_power else _by_counter(rows, window_s)
        if told is None:
            yield _unchecked(figure, device)
            return
        counted, give = counted + told[0], give + told[1]
    again, give = counted / generated, give / generated + SLACK * abs(per_token)
    if abs(again - per_token) > give:
        yield _broken(
            f"{figure.scope}: {per_token:.6g} J per output token were worked out, and the readings with the requests' rows give "
            f"{again:.6g} ± {give:.2g}"
        )
    if per_s is None or (mean_w := figure.mean_w) is None or abs(mean_w - per_token * per_s) > EXACT * abs(mean_w):
        yield _broken(
            f"{figure.scope}: {per_token!r} J per output token is not {figure.mean_w!r} W over {per_s!r} output tokens/s"
        )
    elif abs(per_s * window_s - generated) > EXACT * generated:
        yield _broken(f"{per_s!r} output tokens/s over {window_s!r} s are not the {generated} of the requests' rows")


def _by_counter(rows: Sequence[Row], window_s: float) -> tuple[float, float] | None:
    """Joules and how far they can be off: at each edge the counter was between the value read before and its next one.

    The next one may not have been read, since readings end soon after the window: it is taken to be as far off as the
    largest step between two readings.
    """
    seen = [joules for _, joules, _ in rows if joules is not None]
    step = max((later - earlier for earlier, later in pairwise(seen)), default=0.0)
    edges = []
    for at_s in (0.0, window_s):
        before = [joules for t_s, joules, _ in rows if joules is not None and t_s <= at_s]
        if not before or not any(joules is not None and t_s >= at_s for t_s, joules, _ in rows):
            return None
        after = [joules for t_s, joules, _ in rows if joules is not None and t_s > at_s and joules > before[-1]]
        edges.append((before[-1], after[0] if after else before[-1] + step))
    (low, high), (low_end, high_end) = edges
    return (low_end + high_end - low - high) / 2, (high_end - low_end + high - low) / 2


def _by_power(rows: Sequence[Row], window_s: float) -> tuple[float, float] | None:
    """Joules and how far they can be off: each reading stands for the time that is nearest to it."""
    read = [(t_s, watts) for t_s, _, watts in rows if watts is not None]
    joules = 0.0
    for index, (t_s, watts) in enumerate(read):
        since = (read[index - 1][0] + t_s) / 2 if index else t_s
        until = (read[index + 1][0] + t_s) / 2 if index + 1 < len(read) else t_s
        joules += watts * max(0.0, min(until, window_s) - max(since, 0.0))
    give = 0.0
    for at_s in (0.0, window_s):
        before = [one for one in read if one[0] <= at_s][-1:]
        after = [one for one in read if one[0] >= at_s][:1]
        if not before or not after:
            return None
        give += (after[0][0] - before[0][0]) * abs(after[0][1] - before[0][1]) / 2
    return joules, give


def _broken(text: str) -> ResultWarning:
    return ResultWarning(
        code="identity_broken",
        message=f"{text}. llem itself is wrong: use no figure of this window, and report it to llem.",
    )


def _unchecked(figure: EnergyFigure, device: str) -> ResultWarning:
    return ResultWarning(
        code="identity_unchecked",
        message=f"energy of {figure.scope} could not be counted again: {device} has no reading beside an edge of the window.",
    )
