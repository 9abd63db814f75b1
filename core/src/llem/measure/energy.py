"""Energy of the measured window, device by device and in total. Pure functions over what was read.

Counter: difference between the edges, each read right at a tick where the device ticks, else interpolated between the
samples beside it. Power: trapezoid over the samples, cut to the edges. Estimate: the estimate's own cumulative value.
Whatever the readings do not tell is None. The meanings are those of docs/method.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from llem.measure import curve
from llem.measure.edge_energy import counter_at, told_by_ticks
from llem.measure.gaps import gap_share
from llem.measure.plausibility import Said, judge
from llem.measure.resolution import power_field, resolves, seen_period_s, steps_resolve
from llem.measure.same_meter import same_meters
from llem.measure.series import Series, Track
from llem.results.models import DeviceEnergy, EnergyBreakdown, EnergyFigure, Method, Phase, Scope, Tokens
from llem.specs.sampler import Device, card_of, on_card

UNRELIABLE_FROM = 0.05
"""Disagreement of counter and integral from which a figure is called unreliable."""

UNRELIABLE_GAPS = 0.10
"""Share of the window without a reading from which integrated power is called unreliable."""


def window_energy(
    series: Series,
    open_ns: int,
    close_ns: int,
    idle_w: Mapping[str, float] | None = None,
    resident_w: Mapping[str, float] | None = None,
    workers: Callable[[Device], bool] = lambda _: False,
) -> list[DeviceEnergy]:
    """Energy of each device between two edges, as far as it can be believed (see `llem.measure.plausibility`).

    Args:
        series: what was read.
        open_ns, close_ns: the edges, as `Meter.edge` gave them.
        idle_w, resident_w: mean power by device without the engine, and with the model at rest; for adjusted energy.
        workers: True for a device that did the experiment's work, so that nothing at all cannot be its energy.
    """
    idle, resident, same = idle_w or {}, resident_w or {}, same_meters(series.tracks)
    return [
        _device_energy(series, track, open_ns, close_ns, idle, resident, workers(track.device)).model_copy(
            update={"same_as": same.get(track.key)}
        )
        for track in series.tracks
    ]


def _device_energy(
    series: Series,
    track: Track,
    open_ns: int,
    close_ns: int,
    idle_w: Mapping[str, float],
    resident_w: Mapping[str, float],
    worked: bool,
) -> DeviceEnergy:
    device, window_s = track.device, (close_ns - open_ns) / 1e9
    idle = idle_w.get(device.id)
    said = Said(
        counter_j=_cumulative(series, track, open_ns, close_ns),
        power_j=_integrated(track, open_ns, close_ns),
        worked=worked,
        idle_w=idle,
    )
    verdict = judge(track, open_ns, close_ns, said)
    counted, power_j = verdict.counter_j, verdict.power_j
    period_s = seen_period_s(track, series.hz, open_ns, close_ns)
    estimated = device.methods == {"estimate"}
    by_ticks = all(told_by_ticks(series, track, edge_ns) for edge_ns in (open_ns, close_ns))
    if not estimated and not by_ticks and not steps_resolve(period_s, window_s):
        counted = None
    counter_j = None if estimated else counted
    method: Method
    if estimated:
        method, energy_j, power_j = "estimate", counted if counted is not None else power_j, None
    elif counter_j is not None or power_j is None:
        method, energy_j = ("counter" if "counter" in device.methods else "power"), counter_j
    else:
        method, energy_j = "power", power_j
    if not resolves(device, window_s):
        energy_j = None
    disagreement = None if estimated else _disagreement(said)
    both = counter_j is not None and power_j is not None
    return DeviceEnergy(
        device=device.id,
        name=device.name,
        scope=device.scope,
        sampler=track.sampler,
        method=method,
        energy_j=energy_j,
        mean_w=energy_j / window_s if energy_j is not None and window_s > 0 else None,
        counter_j=counter_j,
        power_j=power_j,
        disagreement=disagreement,
        idle_w=idle,
        resident_w=resident_w.get(device.id),
        adjusted_j=energy_j - idle * window_s if energy_j is not None and idle is not None else None,
        samples=sum(open_ns <= t <= close_ns for t in track.t_ns),
        power_field=power_field(device.note),
        unreliable=(both and disagreement is not None and disagreement >= UNRELIABLE_FROM)
        or (method == "power" and gap_share(track, open_ns, close_ns, series.hz) >= UNRELIABLE_GAPS),
        contained_in=device.contained_in,
        update_period_s=period_s,
        doubts=list(verdict.doubts),
        note=device.note,
    )


def _disagreement(said: Said) -> float | None:
    """Of both numbers as they were read. A counter of 0 is a number like another."""
    if said.counter_j is None or said.power_j is None:
        return None
    difference, base = abs(said.counter_j - said.power_j), abs(said.counter_j) or abs(said.power_j)
    return difference / base if base > 0 else 0.0


def _cumulative(series: Series, track: Track, start_ns: int, end_ns: int) -> float | None:
    """Increase of the cumulative value: from exact edges where both were read, else from the samples."""
    if _broken(track, start_ns, end_ns):
        return None
    opened, closed = counter_at(series, track, start_ns), counter_at(series, track, end_ns)
    if opened is not None and closed is not None:
        return closed - opened if closed >= opened else None
    readings = curve.points(track.t_ns, track.energy_j)
    # A value that steps is right at its steps; in between it lags.
    stepped = curve.increase(
        curve.run_on(curve.steps(readings), readings[0][-1] if readings[0] else 0), start_ns, end_ns
    )
    return stepped if stepped is not None else curve.increase(readings, start_ns, end_ns)


def _broken(track: Track, start_ns: int, end_ns: int) -> bool:
    """True where a counter that had been read was not, or went backwards, inside the window."""
    last: float | None = None
    for t_ns, value in zip(track.t_ns, track.energy_j, strict=True):
        if t_ns > end_ns:
            break
        if last is not None and t_ns > start_ns and (value is None or value < last):
            return True
        last = value if value is not None else last
    return False


def _integrated(track: Track, start_ns: int, end_ns: int) -> float | None:
    return curve.integral(curve.points(track.t_ns, track.power_w), start_ns, end_ns)


def energy_between(series: Series, track: Track, start_ns: int, end_ns: int) -> float | None:
    """Energy of one device between any two times (J), by counter where it has one, else by power; as far as believed."""
    said = Said(counter_j=_cumulative(series, track, start_ns, end_ns), power_j=_integrated(track, start_ns, end_ns))
    believed = judge(track, start_ns, end_ns, said)
    return believed.counter_j if believed.counter_j is not None else believed.power_j


def phase_energy(series: Series, phases: Iterable[Phase]) -> dict[str, dict[str, float]]:
    """Phase to device to joules, where it could be told. A phase that occurs twice is added up."""
    told: dict[str, dict[str, float]] = {}
    for phase in phases:
        for track in series.tracks:
            energy_j = energy_between(series, track, phase.start_ns, phase.end_ns)
            if energy_j is not None:
                devices = told.setdefault(phase.name, {})
                devices[track.device.id] = devices.get(track.device.id, 0.0) + energy_j
    return told


def breakdown(
    devices: Sequence[DeviceEnergy],
    window_s: float,
    tokens: Tokens,
    phases_j: Mapping[str, Mapping[str, float]] | None = None,
    used: Collection[str] | None = None,
) -> EnergyBreakdown:
    """Totals by scope and method, and the headline.

    Args:
        devices: as `window_energy` gives them, samplers in the order in which they were chosen.
        window_s: length of the window.
        tokens: what was done in it.
        phases_j: as `phase_energy` gives it.
        used: ids of the devices that the experiment uses (`LoadReport.devices`); other GPUs stay visible and are not
            added. None adds all.
    """
    totals = [figure for group in _groups(devices, used) if (figure := _total(group, window_s, tokens)) is not None]
    return EnergyBreakdown(
        window_s=window_s,
        headline=_headline(totals, devices, used),
        totals=totals,
        devices=list(devices),
        phases_j={name: dict(told) for name, told in (phases_j or {}).items()},
    )


def _groups(devices: Sequence[DeviceEnergy], used: Collection[str] | None) -> list[list[DeviceEnergy]]:
    """Devices that are added: of one scope, all measured or all estimated, none inside another, none twice.

    GPUs of several samplers are different cards unless they share an id. Of anything else a host has one, so that two
    samplers of it mean the same joules and are never added.
    """
    present = {(d.sampler, d.device): d.scope for d in devices}
    groups: dict[tuple[str, bool, str], list[DeviceEnergy]] = {}
    for device in devices:
        if device.same_as is not None or present.get((device.sampler, device.contained_in or "")) == device.scope:
            continue
        if on_card(device.scope) and used is not None and card_of(device.device) not in used:
            continue
        estimated = device.method == "estimate"
        group = groups.setdefault((device.scope, estimated, "" if on_card(device.scope) else device.sampler), [])
        if all(device.device != other.device for other in group):
            group.append(device)
    return list(groups.values())


def _total(group: Sequence[DeviceEnergy], window_s: float, tokens: Tokens) -> EnergyFigure | None:
    """The sum, or None where one of its devices was not measured: a part is not the whole."""
    known = [d.energy_j for d in group if d.energy_j is not None]
    if len(known) < len(group) or window_s <= 0:
        return None
    adjusted = [d.adjusted_j for d in group if d.adjusted_j is not None]
    energy_j = sum(known)
    method: Method = "power" if any(d.method == "power" for d in group) else group[0].method

    def per(count: int | None) -> float | None:
        return energy_j / count if count else None

    return EnergyFigure(
        scope=group[0].scope,
        method=method,
        samplers=list(dict.fromkeys(d.sampler for d in group)),
        devices=[d.device for d in group],
        energy_j=energy_j,
        mean_w=energy_j / window_s,
        adjusted_j=sum(adjusted) if len(adjusted) == len(group) else None,
        j_per_output_token=per(tokens.output),
        j_per_token=per((tokens.input or 0) + (tokens.output or 0)),
        j_per_request=per(tokens.requests),
        unreliable=any(d.unreliable for d in group),
    )


def _headline(
    totals: Sequence[EnergyFigure], devices: Sequence[DeviceEnergy], used: Collection[str] | None
) -> EnergyFigure | None:
    """That of the devices that did the work: GPUs, else measured CPUs. Where these have no meter the narrowest that holds them
    all: the module, the host. An estimate of the CPUs comes last, and stands for no GPU.
    """

    def of(scope: Scope, measured: bool = True) -> EnergyFigure | None:
        return next((t for t in totals if t.scope == scope and measured == (t.method != "estimate")), None)

    gpus = set(gpus_in_use(devices, used))
    if not gpus:
        return of("cpu") or of("host") or of("cpu", measured=False) or of("host", measured=False)
    for figure in (of("gpu"), of("gpu", measured=False), of("module")):
        if figure is not None and gpus <= {card_of(device) for device in figure.devices}:
            return figure
    return of("host")


def gpus_in_use(devices: Sequence[DeviceEnergy], used: Collection[str] | None) -> list[str]:
    """Ids of the GPUs that the experiment uses, metered or not; all that were metered where `used` is None."""
    if used is None:
        return list(dict.fromkeys(card_of(d.device) for d in devices if on_card(d.scope)))
    metered = {card_of(d.device) for d in devices if on_card(d.scope)}
    return [id_ for id_ in used if id_ in metered or id_.startswith(("GPU-", "MIG-"))]
