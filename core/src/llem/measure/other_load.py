"""The load that others put on the machine while an experiment was measured, and what it does to figures of the whole machine.

Their share is the CPU time of the machine's processes less the experiment's own, over elapsed time and cores. The kernel
counts in ticks of 10 ms, so over a short phase the share is coarse: how coarse is told, and nothing is marked that could be
rounding. What cannot be told is None with a reason, never 0.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from llem.measure import cpu_time
from llem.measure.cpu_time import Instant
from llem.results.models import DeviceEnergy, EnergyBreakdown, EnergyFigure, OtherLoad, ResultWarning
from llem.results.scrub import scrub

DOUBTFUL_FROM = 0.05
"""The share of others from which figures of the whole machine are unreliable."""

STOLEN_FROM = 0.05
"""The share of CPU time that other virtual machines took, from which it is told."""

NAMED = 5
"""Number of the busiest other programs that are named."""

TOLERANCE = 0.25
"""The kernel's count of all CPU time may differ from elapsed time by so much; more means that it does not count."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """CPU use of others over one phase.

    Attributes:
        share: their CPU seconds ÷ (elapsed × cores); None where it cannot be told.
        others_s, own_s: CPU seconds.
        resolution: the share that rounding alone can make.
        stolen: the share that other virtual machines took.
        busiest: CPU seconds of the busiest other programs by name, as far as they are to be seen.
        reason: why there is no share.
    """

    share: float | None = None
    cores: int | None = None
    others_s: float | None = None
    own_s: float | None = None
    resolution: float | None = None
    stolen: float | None = None
    busiest: Mapping[str, float] | None = None
    reason: str | None = None

    @property
    def is_doubtful(self) -> bool:
        """Others used so much that what the whole machine took is not the experiment's; rounding cannot explain it."""
        if self.share is None or self.resolution is None:
            return False
        return self.share >= max(DOUBTFUL_FROM, 2 * self.resolution)


def begin(also: Collection[int] = ()) -> Instant | str:
    """The beginning of a phase, in the experiment's worker.

    Args:
        also: processes that are the experiment's, and were there before it.
    """
    return cpu_time.look(os.getpid(), also=also)


def share_since(before: Instant | str) -> Share:
    """CPU use of others since `begin`."""
    also = () if isinstance(before, str) else before.also
    return share_between(before, cpu_time.look(os.getpid(), also=also), os.sysconf("SC_CLK_TCK"))


def share_between(before: Instant | str, after: Instant | str, hz: float) -> Share:
    """CPU use of others between two instants.

    Args:
        before, after: of the same experiment; or why they could not be taken.
        hz: clock ticks per second.
    """
    if isinstance(before, str):
        return Share(reason=before)
    if isinstance(after, str):
        return Share(reason=after)
    if before.cores != after.cores:
        return Share(reason=f"the number of CPUs changed from {before.cores} to {after.cores}")
    room_s = (after.t_ns - before.t_ns) / 1e9 * after.cores
    if room_s <= 0:
        return Share(reason="no time passed")
    rounding_s = 2 * (after.cores + len(after.tree)) / hz
    counted_s = (after.counted - before.counted) / hz
    if abs(counted_s - room_s) > TOLERANCE * room_s + rounding_s:
        return Share(
            reason=f"the kernel counted {counted_s:.3g} CPU seconds of {room_s:.3g}: its figures are not of this machine"
        )
    busy_s = (after.busy - before.busy) / hz
    own_s = cpu_time.own_ticks(before, after) / hz
    if own_s - busy_s > rounding_s + DOUBTFUL_FROM * room_s:
        return Share(
            reason=f"the kernel counted {busy_s:.3g} CPU seconds of all processes, and the experiment's own are {own_s:.3g}"
        )
    others_s = max(0.0, busy_s - own_s)
    named = islice(cpu_time.busiest(before, after).items(), NAMED)
    return Share(
        share=min(1.0, others_s / room_s),
        cores=after.cores,
        others_s=others_s,
        own_s=own_s,
        resolution=rounding_s / room_s,
        stolen=max(0.0, (after.stolen - before.stolen) / hz / room_s),
        busiest={_plain(name): ticks / hz for name, ticks in named},
    )


def report(window: Share | None, idle: Share | None, resident: Share | None) -> OtherLoad | None:
    """Other load as the result keeps it; None where nothing was looked at.

    Args:
        window: over the measured window.
        idle: over the idle baseline, of one that was cached when it was measured.
        resident: over the resident baseline.
    """
    told = [share for share in (window, idle, resident) if share is not None]
    if not told:
        return None
    reasons = dict.fromkeys(share.reason for share in told if share.reason is not None)
    return OtherLoad(
        cores=next((share.cores for share in told if share.cores is not None), None),
        window_share=window.share if window else None,
        baseline_share=idle.share if idle else None,
        resident_share=resident.share if resident else None,
        window_cpu_s=window.others_s if window else None,
        own_cpu_s=window.own_s if window else None,
        resolution_share=window.resolution if window else None,
        stolen_share=window.stolen if window else None,
        busiest_s=dict(window.busiest or {}) if window else {},
        reason="; ".join(filter(None, reasons)) or None,
    )


def is_of_the_machine(figure: DeviceEnergy | EnergyFigure) -> bool:
    """True for energy that every process on the machine is in: of anything but a GPU alone, and every estimate."""
    return figure.scope != "gpu" or figure.method == "estimate"


def mark_machine_wide(energy: EnergyBreakdown) -> None:
    """Call every figure of the whole machine unreliable."""
    figures: Iterable[DeviceEnergy | EnergyFigure] = (*energy.devices, *energy.totals)
    for figure in (*figures, *([energy.headline] if energy.headline is not None else [])):
        if is_of_the_machine(figure):
            figure.unreliable = True


def load_warnings(window: Share, scopes: Collection[str]) -> list[ResultWarning]:
    """Warnings for a reader of the window's figures.

    Args:
        window: over the measured window.
        scopes: of the figures of the whole machine that have a value; empty where there is none.
    """
    found = []
    if window.is_doubtful and scopes:
        assert window.share is not None
        found.append(
            ResultWarning(
                code="other_load",
                message=f"others used {window.share:.1%} of this machine's CPU time in the measured window "
                f"({window.others_s:.3g} CPU seconds; the experiment {window.own_s:.3g}){_names(window)}: energy of "
                f"{', '.join(sorted(scopes))} holds their work and is unreliable. Repeat it when nothing else runs.",
            )
        )
    stolen = window.stolen
    if stolen is not None and window.resolution is not None and stolen >= max(STOLEN_FROM, 2 * window.resolution):
        found.append(
            ResultWarning(
                code="cpu_stolen",
                message=f"other virtual machines took {stolen:.1%} of this one's CPU time in the measured window: "
                "the work was slowed down. Repeat it on a machine of its own.",
            )
        )
    return found


def _names(share: Share) -> str:
    if not share.busiest:
        return ""
    return ", above all " + ", ".join(f"{name} ({seconds:.3g} s)" for name, seconds in islice(share.busiest.items(), 3))


def _plain(name: str) -> str:
    """A program's name as text that harms nobody: anybody chooses what theirs is called."""
    return scrub("".join(c if c.isprintable() else "?" for c in name))
