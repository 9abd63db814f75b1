"""The worker's energy meter: starts the sampling process, finds exact edges, and gives back the series."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from llem.accelerators.facts import device_facts
from llem.config.experiment import MeasurementConfig
from llem.measure import curve
from llem.measure.energy import energy_between
from llem.measure.resolution import resolved_window_s
from llem.measure.sampling_process import SamplingProcess
from llem.measure.series import Key, Series, SeriesReader, Track, report_rate
from llem.results.facts import DeviceFacts, devices_told
from llem.results.job_directory import READINGS
from llem.results.models import ResultWarning, SamplerReport
from llem.samplers.select import OpenSampler, close_samplers, named_unavailable, open_samplers
from llem.specs.kinds import SAMPLERS
from llem.specs.registry import SpecRegistry
from llem.specs.sampler import Device, TickingSampler

TICK_TIMEOUT_S = 0.25
LONGEST_TICK_TIMEOUT_S = 1.5
TICKS_AWAITED = 5
"""A machine that is busy when the counter ticks may see the next tick sharply: so many periods are waited at most."""

LAST_READING_S = 15.0
"""Time for which a slow meter is waited for, once, when everything else is over."""

RESOLVED_PERIODS = 10
"""A counter's mean power needs a span of so many update periods; below, sampled power tells it better."""


class Meter:
    """All energy samplers of one experiment.

    Args:
        job_dir: where the readings stream to.
        config: samplers, rate and rated power.
        registry: the registered samplers.
        say: told once, as (code, text), what measures and what does not.
    """

    def __init__(
        self, job_dir: Path, config: MeasurementConfig, registry: SpecRegistry, say: Callable[[str, str], None]
    ) -> None:
        self._job_dir = job_dir
        self._config = config
        self._registry = registry
        self._say = say
        self._reader = SeriesReader(job_dir / READINGS)
        self._reports: list[SamplerReport] = []
        self._ticking: set[str] = set()
        self._environment: dict[str, Any] = {}
        self._facts: list[DeviceFacts] = []
        self._edges: dict[int, dict[Key, tuple[int, float]]] = {}
        self._timeout_s = LONGEST_TICK_TIMEOUT_S
        self._process: SamplingProcess | None = None
        self._series: Series | None = None

    def start(self) -> list[SamplerReport]:
        """Choose samplers and start sampling; returns what became of each sampler.

        Raises:
            SamplerUnavailable: a sampler that the configuration names does not work.
            LlemError: the sampling process does not start (see `SamplingProcess.start`).
        """
        settings = {"cpu_tdp_w": self._config.cpu_tdp_w, "devices": None}
        opened: list[OpenSampler] = []
        # First of all, so that it holds nothing of the meters that are opened here.
        process = self._process = SamplingProcess(self._job_dir)
        try:
            opened, self._reports = open_samplers(self._registry, self._config.samplers, settings)
            self._ticking = {one.name for one in opened if isinstance(one.sampler, TickingSampler)}
            self._environment = {one.name: dict(one.sampler.environment()) for one in opened}
            facts = device_facts(self._registry, (one.sampler for one in opened))
            self._facts = facts or list(devices_told(self._environment, {}))
            if opened:
                names = {one.name: one.spec.sampler for one in opened}
                self._refuse(process.start(names, self._config.sample_hz, settings))
            else:
                process.end()
                self._process = None
        except BaseException:
            process.end()
            raise
        finally:
            close_samplers(opened)
        self._tell(opened)
        return list(self._reports)

    @property
    def devices(self) -> Sequence[Device]:
        """The devices that are metered."""
        return [track.device for track in self._reader.update().tracks]

    def environment(self) -> dict[str, Any]:
        """The facts that the samplers told about their devices when they opened, by sampler."""
        return self._environment

    def device_facts(self) -> list[DeviceFacts]:
        """The accelerators that the experiment may use, whichever sampler meters them (see `llem.accelerators`)."""
        return self._facts

    def edge(self, synchronize: Callable[[], None]) -> int:
        """An edge of the measured window: all work given so far is done, and counters have just ticked.

        Where nothing ticks the edge is right after the synchronisation.

        Args:
            synchronize: returns when the devices have finished their work.

        Returns:
            Its time (monotonic ns), by which the series finds the exact counter values again.
        """
        timeout_s = self._tick_timeout_s()
        synchronize()
        found = self._process.edge(timeout_s, time.monotonic_ns()) if self._process is not None else None
        if found is None:
            t_ns = time.monotonic_ns()
            self._edges[t_ns] = {}
            return t_ns
        t_ns, ticks = found
        tracks = self._reader.update().tracks
        self._edges[t_ns] = {tracks[index].key: tick for index, tick in ticks.items()}
        return t_ns

    def instant(self, synchronize: Callable[[], None]) -> int:
        """An instant at which energy is wanted: all work given so far is done. Unlike `edge` it waits for no counter.

        The counters are watched until they have ticked, while the worker goes on; from then on the energy from here to
        another such instant, or to an edge, can be told (`energy_between`).

        Args:
            synchronize: returns when the devices have finished their work.

        Returns:
            Its time (monotonic ns).
        """
        synchronize()
        t_ns = time.monotonic_ns()
        if self._process is not None:
            self._process.note(self._timeout_s, t_ns)
            self._timeout_s = self._tick_timeout_s()  # for the next one: nothing shall come between work and instant
        return t_ns

    def has_read(self, t_ns: int) -> bool:
        """True once every meter was read at or after a time (monotonic ns), or will not be read any more."""
        series = self._series or self._reader.update()
        return series.ended or all(track.t_ns and track.t_ns[-1] >= t_ns for track in series.tracks)

    def energy_between(self, start_ns: int, end_ns: int) -> dict[str, float]:
        """Energy of each device between two instants or edges (J), by what has been read so far.

        A device of which it cannot be told, or not yet, is left out.
        """
        series = self._series or self._reader.update()
        found: dict[str, float] = {}
        for track in series.tracks:
            # An hour's readings are many, and this is asked at the end of each part: only those nearby are looked at.
            energy_j = energy_between(series, track.around(start_ns, end_ns), start_ns, end_ns)
            if energy_j is not None:
                found.setdefault(track.device.id, energy_j)
        return found

    def resolved_window_s(self, used: Collection[str]) -> float:
        """The shortest window that the meters of these devices resolve, by the update periods that were seen so far."""
        series = self._reader.update()
        return resolved_window_s(series.tracks, used, series.hz)

    def follow(self, used: Collection[str]) -> None:
        """From now on these devices are the experiment's: whoever watches is told their power (see `llem.measure.power_now`)."""
        if self._process is not None:
            self._process.follow(used)

    def own(self, processes: Collection[int]) -> None:
        """From now on these processes, and all below them, are the experiment's: they are nobody else's on a device."""
        if self._process is not None and processes:
            self._process.own(processes)

    def mean_power(self, start_ns: int, end_ns: int) -> dict[str, float]:
        """Mean power of each device between two times (W), from the readings so far.

        The end may be a little ahead of the readings; a device of which less than half the span is known is left out.
        """
        series = self._reader.update()
        found: dict[str, float] = {}
        for track in series.tracks:
            watts = _mean_power(series, track, start_ns, end_ns)
            if watts is not None:
                found.setdefault(track.device.id, watts)
        return found

    def stop(self) -> Series:
        """End sampling and give back everything that was read. Harmless when repeated, or when nothing was started."""
        if self._series is not None:
            return self._series
        died = self._process is not None and not self._process.alive
        if self._process is not None:
            self._read_past_edges(self._process)
            self._process.end()
        series = self._series = self._reader.update()
        series.edges = self._edges
        series.reports = [report_rate(series, report) for report in self._reports]
        if self._process is not None and (died or not series.ended):
            series.warnings.append(
                ResultWarning(
                    code="sampler_died",
                    message=f"the sampling process ended before the experiment did ({self._process.how}): "
                    "readings are missing from there on. The worker's log may say why.",
                )
            )
        return series

    def _read_past_edges(self, process: SamplingProcess) -> None:
        """Where reading is slow, see to it that every device was read after the last edge: what lies beyond is unknown."""
        last = max(self._edges, default=0)
        if process.alive and any(t.t_ns and t.t_ns[-1] < last for t in self._reader.update().tracks):
            process.mark(LAST_READING_S)

    def _refuse(self, refused: Mapping[str, str]) -> None:
        """Report the samplers that opened here and did not in the sampling process.

        Raises:
            SamplerUnavailable: the configuration names one of them. A card may be lost between the two.
        """
        for name in self._config.samplers or ():
            if name in refused:
                raise named_unavailable(name, refused[name])
        self._reports = [
            report.model_copy(update={"used": False, "reason": refused[report.name], "devices": []})
            if report.name in refused
            else report
            for report in self._reports
        ]

    def _tell(self, opened: Sequence[OpenSampler]) -> None:
        devices = {one.name: one.devices for one in opened}
        for report in self._reports:
            if report.used:
                what = "; ".join(
                    f"{d.name} ({', '.join(sorted(d.methods)) or 'not measured'})" for d in devices[report.name]
                )
                self._say("sampler_used", f"energy from {report.name}: {what}")
            elif not self._registry.find(SAMPLERS, report.name).on_request:
                self._say("sampler_not_used", f"no energy from {report.name}: {report.reason}")
        if not any(report.used for report in self._reports):
            self._say("energy_unmeasured", "nothing here measures energy: the result will have none.")

    def _tick_timeout_s(self) -> float:
        """Long enough for the slowest counter seen so far."""
        if not self._ticking:
            return 0.0
        seen = [
            curve.update_period_s(curve.points(track.t_ns, track.energy_j)) or 0.0
            for track in self._reader.update().tracks
            if track.sampler in self._ticking
        ]
        return min(max(TICK_TIMEOUT_S, TICKS_AWAITED * max(seen, default=0.0)), LONGEST_TICK_TIMEOUT_S)


def _mean_power(series: Series, track: Track, start_ns: int, end_ns: int) -> float | None:
    if not track.t_ns or end_ns <= start_ns:
        return None
    start, end = max(start_ns, track.t_ns[0]), min(end_ns, track.t_ns[-1])
    if end - start < (end_ns - start_ns) / 2:
        return None
    # An hour's readings are many, and this is asked twice a second inside the window: only those nearby are looked at.
    track = track.around(start, end)
    energy_j = None
    if (end - start) / 1e9 < RESOLVED_PERIODS * (track.device.update_period_s or 0.0):
        energy_j = curve.integral(curve.points(track.t_ns, track.power_w), start, end)
    if energy_j is None:
        energy_j = energy_between(series, track, start, end)
    return energy_j / ((end - start) / 1e9) if energy_j is not None else None
