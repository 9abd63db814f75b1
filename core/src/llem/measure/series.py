"""The readings of the samplers while an experiment ran, by device, and the file through which they reach the worker.

The sampling process appends to `readings.jsonl`: a header line that names the devices, one line for each reading pass over
all of them, others for ticks of counters, power and instants around edges, and a line `end` when it was told to stop. All times are CLOCK_MONOTONIC in nanoseconds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.files import open_file, parse_json
from llem.measure.curve import points, steps
from llem.specs.sampler import Device

if TYPE_CHECKING:
    from llem.results.models import ResultWarning, SamplerReport

FORMAT = 1
"""Version of the readings file."""

BEYOND_NS = 2_000_000_000
"""No counter or power value in use updates more slowly."""

Key = tuple[str, str]
"""Sampler and device id: two samplers may read one device."""


@dataclass(frozen=True)
class Track:
    """All readings of one device by one sampler: columns of one length, times ascending; None where nothing was read.

    `energy_j` is cumulative from an arbitrary zero; `telemetry` holds what was read at that time, by name with unit.
    Around edges of the window and instants that were noted, `ticks` are when the counter was seen to advance: (ns, joules);
    `close_t_ns` and `close_power_w` are power, read closely there and nowhere else.
    """

    sampler: str
    device: Device
    t_ns: list[int] = field(default_factory=list)
    energy_j: list[float | None] = field(default_factory=list)
    power_w: list[float | None] = field(default_factory=list)
    telemetry: list[Mapping[str, float]] = field(default_factory=list)
    ticks: list[tuple[int, float]] = field(default_factory=list)
    close_t_ns: list[int] = field(default_factory=list)
    close_power_w: list[float] = field(default_factory=list)

    @property
    def key(self) -> Key:
        """The sampler and the device that it reads."""
        return self.sampler, self.device.id

    def append(self, t_ns: int, energy_j: float | None, power_w: float | None, telemetry: Mapping[str, float]) -> None:
        """Add a reading. One that is no later than the last is dropped."""
        if self.t_ns and t_ns <= self.t_ns[-1]:
            return
        self.t_ns.append(t_ns)
        self.energy_j.append(energy_j)
        self.power_w.append(power_w)
        self.telemetry.append(telemetry)

    def around(self, start_ns: int, end_ns: int) -> Track:
        """The readings between two times and a little beyond both, so that each edge lies between two of them.

        A counter is interpolated between its steps. Where these readings hold too few of them, it gives all readings.
        """
        first = max(0, bisect_left(self.t_ns, start_ns - BEYOND_NS) - 2)
        last = bisect_right(self.t_ns, end_ns + BEYOND_NS) + 2
        part = slice(first, last)
        columns = self.t_ns[part], self.energy_j[part], self.power_w[part], self.telemetry[part]
        changes, _ = steps(points(*columns[:2]))
        # The first of them is no step but where these readings begin.
        few_before = first > 0 and bisect_right(changes, start_ns) < 3
        if changes and (few_before or (last < len(self.t_ns) and changes[-1] < end_ns)):
            return self
        return Track(self.sampler, self.device, *columns, self.ticks, self.close_t_ns, self.close_power_w)


@dataclass
class Series:
    """Everything that was read in one experiment.

    Attributes:
        tracks: one for each device and sampler, in the order in which the samplers were chosen.
        edges: by the edge's time, the counters that were read right there: device to (time of the tick, joules).
        asked: instants that were asked for, each with the edge that it led to: where all counters had ticked.
        hz: sweeps per second that were asked for; `sweeps`: (scheduled ns, begun ns) of each.
        suspended_ns: how long the host slept; suspensions: (time of notice, ns) one by one.
        foreign: (since when, device to pid to program) of processes that are not of the experiment; each entry holds
            until the next.
        ended: the sampling process said that it stopped as told.
        complaints: sampler to how it first failed to read, or what it gave that is no reading.
        reports: what became of each sampler; warnings: what a reader of the figures must know.
    """

    tracks: list[Track] = field(default_factory=list)
    edges: dict[int, dict[Key, tuple[int, float]]] = field(default_factory=dict)
    asked: dict[int, int] = field(default_factory=dict)
    hz: float = 0.0
    sweeps: list[tuple[int, int]] = field(default_factory=list)
    suspended_ns: int = 0
    suspensions: list[tuple[int, int]] = field(default_factory=list)
    foreign: list[tuple[int, dict[Key, dict[int, str]]]] = field(default_factory=list)
    ended: bool = False
    complaints: dict[str, str] = field(default_factory=dict)
    reports: list[SamplerReport] = field(default_factory=list)
    warnings: list[ResultWarning] = field(default_factory=list)


class SeriesReader:
    """Follows the readings file as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._start_ns = 0
        self.series = Series()

    def update(self) -> Series:
        """Take in what was appended since the last call. An unfinished or broken line is passed over."""
        try:
            with open_file(self._path) as stream:
                stream.seek(self._offset)
                data = stream.read()
        except FileNotFoundError:
            return self.series
        whole, newline, _ = data.rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        for line in whole.splitlines():
            try:
                content = parse_json(line)
            except ValueError:
                continue
            if isinstance(content, dict):
                self._take(content)
        return self.series

    def _take(self, line: dict[str, Any]) -> None:
        series = self.series
        if "r" in line:
            if line["k"] is not None:
                series.sweeps.append((self._start_ns + round(line["k"] * 1e9 / series.hz), line["t"]))
            for index, t_ns, energy_j, power_w, telemetry in line["r"]:
                series.tracks[index].append(t_ns, energy_j, power_w, telemetry)
        elif "ticks" in line:
            for index, t_ns, energy_j in line["ticks"]:
                insort(series.tracks[index].ticks, (t_ns, energy_j))
        elif "power" in line:
            for index, t_ns, power_w in line["power"]:
                series.tracks[index].close_t_ns.append(t_ns)
                series.tracks[index].close_power_w.append(power_w)
        elif "edge" in line:
            asked_ns, edge_ns = line["edge"]
            series.asked[asked_ns] = edge_ns
        elif "samplers" in line:
            series.hz, self._start_ns = line["hz"], line["start_ns"]
            for sampler in line["samplers"]:
                series.tracks += [Track(sampler["name"], device_from(d)) for d in sampler["devices"]]
        elif "suspended_ns" in line:
            series.suspensions.append((line["t"], line["suspended_ns"] - series.suspended_ns))
            series.suspended_ns = line["suspended_ns"]
        elif "foreign" in line:
            holders = {
                series.tracks[index].key: {int(pid): name for pid, name in found.items()}
                for index, found in line["foreign"]
            }
            series.foreign.append((line["t"], holders))
        elif "complaint" in line:
            name, text = line["complaint"]
            series.complaints.setdefault(name, text)
        elif "end" in line:
            series.ended = True


def device_as_data(device: Device) -> dict[str, Any]:
    """A device as plain data."""
    return {**asdict(device), "methods": sorted(device.methods)}


def device_from(data: Mapping[str, Any]) -> Device:
    """The inverse of `device_as_data`."""
    return Device(**{**data, "methods": frozenset(data["methods"])})


def report_rate(series: Series, report: SamplerReport) -> SamplerReport:
    """A sampler's report with the rate that it achieved; unchanged where nothing was read."""
    tracks = [track for track in series.tracks if track.sampler == report.name and track.t_ns]
    if not tracks:
        return report
    gaps = [b - a for track in tracks for a, b in zip(track.t_ns, track.t_ns[1:], strict=False)]
    begun = [t for _, t in series.sweeps]
    span_s = (begun[-1] - begun[0]) / 1e9 if len(begun) > 1 else 0.0
    half_period_ns = 0.5e9 / series.hz
    return report.model_copy(
        update={
            "requested_hz": series.hz,
            "achieved_hz": (len(begun) - 1) / span_s if span_s > 0 else None,
            "readings": sum(len(track.t_ns) for track in tracks),
            "longest_gap_s": max(gaps) / 1e9 if gaps else None,
            "late": sum(1 for due, t in series.sweeps if t - due > half_period_ns),
        }
    )
