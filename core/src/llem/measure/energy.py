"""Energy of the measured window, device by device and in total. Pure functions over what was read.

Counter: difference between the edges, each read right at a tick where the device ticks, else interpolated between the
samples beside it. Power: trapezoid over the samples, cut to the edges. Estimate: the estimate's own cumulative value.
Whatever the readings do not tell is None. The meanings are those of docs/method.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from llem.measure import curve
from llem.measure.edge_energy import counter_at
from llem.measure.resolution import power_field, resolves
from llem.measure.series import Series, Track
from llem.results.models import DeviceEnergy, EnergyBreakdown, EnergyFigure, Method, Phase, Tokens

UNRELIABLE_FROM = 0.05
"""Disagreement of counter and integral from which a figure is called unreliable."""


def window_energy(
    series: Series,
    open_ns: int,
    close_ns: int,
    idle_w: Mapping[str, float] | None = None,
    resident_w: Mapping[str, float] | None = None,
) -> list[DeviceEnergy]:
    """Energy of each device between two edges.

    Args:
        series: what was read.
        open_ns, close_ns: the edges, as `Meter.edge` gave them.
        idle_w, resident_w: mean power by device without the engine, and with the model at rest; for adjusted energy.
    """
    return [_device_energy(series, t, open_ns, close_ns, idle_w or {}, resident_w or {}) for t in series.tracks]


def _device_energy(
    series: Series,
    track: Track,
    open_ns: int,
    close_ns: int,
    idle_w: Mapping[str, float],
    resident_w: Mapping[str, float],
) -> DeviceEnergy:
    device, window_s = track.device, (close_ns - open_ns) / 1e9
    counted, power_j = _cumulative(series, track, open_ns, close_ns), _integrated(track, open_ns, close_ns)
    estimated = device.methods == {"estimate"}
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
    disagreement = abs(counter_j - power_j) / counter_j if counter_j and power_j is not None else None
    idle = idle_w.get(device.id)
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
        unreliable=disagreement is not None and disagreement >= UNRELIABLE_FROM,
        contained_in=device.contained_in,
        note=device.note,
    )


def _cumulative(series: Series, track: Track, start_ns: int, end_ns: int) -> float | None:
    """Increase of the cumulative value: from exact edges where both were read, else from the samples."""
    if _broken(track, start_ns, end_ns):
        return None
    opened, closed = counter_at(series, track, start_ns), counter_at(series, track, end_ns)
    if opened is not None and closed is not None:
        return closed - opened if closed >= opened else None
    return curve.increase(curve.points(track.t_ns, track.energy_j), start_ns, end_ns)


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
    """Energy of one device between any two times (J), by counter where it has one, else by power."""
    counted = _cumulative(series, track, start_ns, end_ns)
    return counted if counted is not None else _integrated(track, start_ns, end_ns)


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
    present = {(d.sampler, d.device) for d in devices}
    groups: dict[tuple[str, bool, str], list[DeviceEnergy]] = {}
    for device in devices:
        if device.contained_in is not None and (device.sampler, device.contained_in) in present:
            continue
        if device.scope == "gpu" and used is not None and device.device not in used:
            continue
        estimated = device.method == "estimate"
        group = groups.setdefault((device.scope, estimated, "" if device.scope == "gpu" else device.sampler), [])
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

    def per(count: int) -> float | None:
        return energy_j / count if count > 0 else None

    return EnergyFigure(
        scope=group[0].scope,
        method=method,
        samplers=list(dict.fromkeys(d.sampler for d in group)),
        devices=[d.device for d in group],
        energy_j=energy_j,
        mean_w=energy_j / window_s,
        adjusted_j=sum(adjusted) if len(adjusted) == len(group) else None,
        j_per_output_token=per(tokens.output),
        j_per_token=per(tokens.input + tokens.output),
        j_per_request=per(tokens.requests),
        unreliable=any(d.unreliable for d in group),
    )


def _headline(
    totals: Sequence[EnergyFigure], devices: Sequence[DeviceEnergy], used: Collection[str] | None
) -> EnergyFigure | None:
    """GPUs; without GPUs in use the CPU by counter, then by estimate. GPUs in use that were not measured: none at all."""
    gpus = next((t for t in totals if t.scope == "gpu"), None)
    if gpus is not None and set(gpus_in_use(devices, used)) <= set(gpus.devices):
        return gpus
    if gpus_in_use(devices, used):
        return None
    cpus = [t for t in totals if t.scope == "cpu"]
    return next((t for t in cpus if t.method != "estimate"), cpus[0] if cpus else None)


def gpus_in_use(devices: Sequence[DeviceEnergy], used: Collection[str] | None) -> list[str]:
    """Ids of the GPUs that the experiment uses, metered or not; all that were metered where `used` is None."""
    if used is None:
        return [d.device for d in devices if d.scope == "gpu"]
    metered = {d.device for d in devices if d.scope == "gpu"}
    return [id_ for id_ in used if id_ in metered or id_.startswith(("GPU-", "MIG-"))]


def identity_error(figure: EnergyFigure, tokens: Tokens, window_s: float) -> float | None:
    """Relative error of the gross identity J per output token = mean W / (output tokens / s); None without tokens.

    At most 1e-6 in every result; more means that energy and speed are not of one window.
    """
    if figure.j_per_output_token is None or tokens.output <= 0 or window_s <= 0:
        return None
    expected = figure.mean_w / (tokens.output / window_s)
    if expected == 0:
        return abs(figure.j_per_output_token)
    return abs(figure.j_per_output_token - expected) / expected
