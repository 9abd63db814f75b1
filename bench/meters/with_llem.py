"""Measures windows with llem's own meter and its sampling process. One request gives both of llem's answers: energy
between the instants that were asked for, and between the edges that those lead to, which is what its worker reports.
"""

from dataclasses import replace

import protocol

from llem.config.experiment import MeasurementConfig
from llem.measure.energy import window_energy
from llem.measure.energy_warnings import energy_warnings
from llem.measure.meter import Meter
from llem.measure.series import Series
from llem.plugins import default_registry
from llem.results.models import DeviceEnergy


def nothing() -> None:
    """Nothing runs on the simulated cards that would have to be waited for."""


HABITS_NS = 10_000_000_000
"""llem judges a window by what a device did before and after; this much of it is enough."""


def measured(series: Series, begin_ns: int, end_ns: int) -> tuple[float | None, list[DeviceEnergy]]:
    """Energy of all cards together, None where one of them is not known; and card by card."""
    devices = [
        device
        for track in series.tracks
        for device in window_energy(
            replace(series, tracks=[track.around(begin_ns - HABITS_NS, end_ns + HABITS_NS)]), begin_ns, end_ns
        )
    ]
    known = [device.energy_j for device in devices if device.energy_j is not None]
    return sum(known) if len(known) == len(devices) else None, devices


meter = Meter(protocol.folder(), MeasurementConfig(samplers=["nvml"]), default_registry(), lambda code, text: None)
meter.start()
asked: dict[tuple[int, int], int] = {}


def begin(number: int) -> None:
    """Ask for an instant."""
    asked[number, 0] = meter.instant(nothing)


def end(number: int) -> None:
    """Ask for another."""
    asked[number, 1] = meter.instant(nothing)


windows = protocol.measure(begin, end)
series = meter.stop()
for number, calls in windows.items():
    begun_ns, ended_ns = asked[number, 0], asked[number, 1]
    open_ns, close_ns = series.asked[begun_ns], series.asked[ended_ns]
    own_j, devices = measured(series, open_ns, close_ns)
    asked_j, _ = measured(series, begun_ns, ended_ns)
    warnings = tuple(warning.code for warning in energy_warnings(series, devices, open_ns, close_ns))
    own = ((open_ns, open_ns), (close_ns, close_ns))
    protocol.tell(number, calls, asked_j, own_j, own, warnings)
