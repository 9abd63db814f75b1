"""Power while the experiment goes on: one number for the progress line, and one that warm-up may judge by."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from llem.specs.sampler import Device, Scope, card_of, on_card

if TYPE_CHECKING:
    from llem.measure.baseline import MeanPower


class Watts:
    """Mean power of the devices that the headline will add up.

    Args:
        mean_power: mean power in W by device id, for an interval in ns.
        devices: the metered devices.
        used: ids of the devices that the engine uses.
    """

    def __init__(self, mean_power: MeanPower, devices: Sequence[Device], used: Collection[str]) -> None:
        self._mean_power = mean_power
        self._chosen = headline_devices(devices, used)

    def between(self, start_ns: int, end_ns: int) -> float | None:
        """W over the interval; None where one of the devices did not tell."""
        return whole_sum([device.id for device in self._chosen], self._mean_power(start_ns, end_ns))

    def measured(self, start_ns: int, end_ns: int) -> float | None:
        """As `between`, but None for an estimate: it follows utilisation, and judges nothing."""
        if any(device.methods == {"estimate"} for device in self._chosen):
            return None
        return self.between(start_ns, end_ns)


def whole_sum(devices: Collection[str], told: Mapping[str, float]) -> float | None:
    """The sum of what was told of these devices, each counted once; None where one of them did not tell: a part is not the whole."""
    each = dict.fromkeys(devices)  # two meters of one device mean the same joules
    return sum(told[device] for device in each) if each and told.keys() >= each.keys() else None


def headline_devices(devices: Sequence[Device], used: Collection[str]) -> list[Device]:
    """The devices whose figure the headline will be: GPUs in use, else measured CPUs; where these have no meter the module, the
    host; at last what is estimated.
    """
    ids = {device.id for device in devices}
    inner = {d.id for d in devices if d.contained_in in ids and not on_card(d.scope)}

    def of(scope: Scope, measured: bool = True) -> list[Device]:
        return [
            d for d in devices if d.scope == scope and d.id not in inner and measured == (d.methods != {"estimate"})
        ]

    mine = [d for d in devices if on_card(d.scope) and card_of(d.id) in used]
    gpus, modules = [d for d in mine if d.scope == "gpu" and d.methods], [d for d in mine if d.scope == "module"]
    measured = gpus or modules or of("cpu") or of("host")
    return measured or of("cpu", measured=False) or of("host", measured=False)
