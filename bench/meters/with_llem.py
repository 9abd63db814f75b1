"""Measures windows with llem's own meter, as its worker does: edges while it runs, energy and warnings once it is over."""

import protocol

from llem.config.experiment import MeasurementConfig
from llem.measure.energy import breakdown, window_energy
from llem.measure.energy_warnings import energy_warnings
from llem.measure.meter import Meter
from llem.plugins import default_registry
from llem.results.models import Tokens


def nothing() -> None:
    """Nothing runs on the simulated cards that would have to be waited for."""


meter = Meter(protocol.folder(), MeasurementConfig(samplers=["nvml"]), default_registry(), lambda code, text: None)
meter.start()
edges = []
for _number, wait in protocol.windows():
    open_ns = meter.edge(nothing)
    wait()
    edges.append((open_ns, meter.edge(nothing)))
series = meter.stop()
for number, (open_ns, close_ns) in enumerate(edges):
    devices = window_energy(series, open_ns, close_ns)
    headline = breakdown(devices, (close_ns - open_ns) / 1e9, Tokens(input=0, output=0, requests=0)).headline
    assert headline is not None, devices
    warnings = tuple(warning.code for warning in energy_warnings(series, devices, open_ns, close_ns))
    protocol.tell(number, headline.energy_j, (open_ns, open_ns), (close_ns, close_ns), warnings)
