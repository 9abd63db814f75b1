"""The one door from readings to the window's energy: readings in, figures that may be believed and warnings out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from llem.measure.baseline_checks import without_negative
from llem.measure.energy import breakdown, phase_energy, window_energy
from llem.measure.energy_warnings import energy_warnings
from llem.measure.series import Series
from llem.results.models import EnergyBreakdown, Phase, ResultWarning, Tokens
from llem.specs.sampler import Device, card_of, on_card


@dataclass(frozen=True)
class WindowFigures:
    """Energy of the window by device and scope with its headline, and what a reader of it must know."""

    energy: EnergyBreakdown
    warnings: list[ResultWarning]


def window_figures(
    series: Series,
    open_ns: int,
    close_ns: int,
    *,
    tokens: Tokens,
    used: Collection[str] | None = None,
    idle_w: Mapping[str, float] | None = None,
    resident_w: Mapping[str, float] | None = None,
    phases: Iterable[Phase] = (),
) -> WindowFigures:
    """Energy of the measured window.

    Args:
        series: what every meter said, over the whole experiment: before the window it shows how fast and how finely each
            counts.
        open_ns, close_ns: the window's edges.
        tokens: what was done in it. Where there is output, nothing at all cannot be the energy of what did it.
        used: ids of the devices that the engine ran on; None for all.
        idle_w, resident_w: mean power by device without the engine, and with the model at rest.
        phases: of the whole experiment, whose energy is told too.
    """

    def worked(device: Device) -> bool:
        if not tokens.output:
            return False
        return used is None or card_of(device.id) in used if on_card(device.scope) else device.scope in ("cpu", "host")

    devices = window_energy(series, open_ns, close_ns, idle_w, resident_w, worked)
    lowered = [
        ResultWarning(
            code="baseline_doubtful", message=f"{device.name} ({device.device}): {why}: it has no adjusted energy."
        )
        for device, why in without_negative(devices)
        if why is not None
        and device.contained_in is None
        and (not on_card(device.scope) or used is None or card_of(device.device) in used)
    ]
    energy = breakdown(devices, (close_ns - open_ns) / 1e9, tokens, phase_energy(series, phases), used)
    warnings = energy_warnings(series, devices, open_ns, close_ns, used, energy.headline)
    return WindowFigures(energy, [*lowered, *warnings])
