"""An energy sampler: something that reads power or cumulative energy of devices."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from llem.results.facts import DeviceFacts

Method = Literal["counter", "power", "estimate"]
Scope = Literal["gpu", "module", "cpu", "dram", "host"]
"""`module`: a GPU with the CPU and the memory that it shares a board with, as NVIDIA's superchips have one meter for."""


@dataclass(frozen=True, kw_only=True)
class SamplerSpec:
    """Registration of an energy sampler, by `llem_energy_samplers`.

    Attributes:
        name: the word in `measurement.samplers`.
        api_version: the `API_VERSION` that it was written for.
        summary: one line for `llem plugins`.
        methods: how its figures come about: a hardware counter, integrated power, or an estimate.
        scopes: what they cover.
        sampler: `package.module:Class` of the `Sampler`, imported only where it reads.
        yields_to: samplers whose measured figure of the same scope makes this one needless when samplers are chosen
            by llem (`estimate` yields to `rapl`); it still runs where it is asked for by name.
        on_request: it runs only where `measurement.samplers` names it: another meter's view of what llem reads itself.
        requires: import names that must be present; looked up, never imported.
    """

    name: str
    api_version: int
    summary: str
    methods: frozenset[Method]
    scopes: frozenset[Scope]
    sampler: str
    yields_to: frozenset[str] = frozenset()
    on_request: bool = False
    requires: tuple[str, ...] = ()
    install: str | None = None


@dataclass(frozen=True, kw_only=True)
class Device:
    """One metered device.

    Attributes:
        id: stable over reboots and unique on the host: a GPU's UUID, `rapl:package-0`, `estimate:cpu`.
        name: for people: the product's name.
        scope: what its figures cover.
        methods: what this device gives here: counter, power, estimate.
        contained_in: id of a device whose figure already includes this one's (a core zone in its package); such a
            device is never added to a total of its scope.
        update_period_s: how often its counter or power value changes, where known; what is seen in the readings wins.
        max_power_w: the highest limit in force (board maximum, PL2), above which no mean can be; None where nothing names it.
        note: what a reader of the figure must know, such as where a rated power came from.
    """

    id: str
    name: str
    scope: Scope
    methods: frozenset[Method]
    contained_in: str | None = None
    update_period_s: float | None = None
    max_power_w: float | None = None
    note: str | None = None


THROTTLE_REASONS = {
    0x001: "gpu_idle",
    0x002: "applications_clocks_setting",
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal_slowdown",
    0x040: "hw_thermal_slowdown",
    0x080: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}
"""Reasons why a device is slower than it could be, by their bit in `throttle_reasons`: numbered as nvmlClocksEventReasons, which
a sampler of another maker translates its own to."""

MODULE = "/module"
"""Ends the id of the device that stands for the whole module of a GPU, after the GPU's own id."""


def on_card(scope: Scope) -> bool:
    """True for what belongs to a GPU, of which an experiment uses some and not others."""
    return scope in ("gpu", "module")


def card_of(device: str) -> str:
    """The id of the GPU that a device of the scopes `gpu` and `module` belongs to."""
    return device.removesuffix(MODULE)


@dataclass(frozen=True, slots=True)
class Reading:
    """A reading of one device at one instant. Whatever was not read is None, never 0.

    Attributes:
        device: the device's id.
        t_ns: `time.monotonic_ns()`, taken in the middle of the reading call.
        energy_j: cumulative energy, from an arbitrary zero that stays for the life of the sampler; wrap-around undone.
        power_w: power as the device reports it.
        telemetry: other quantities by name with unit: temperature_c, gpu_clock_mhz, memory_clock_mhz, power_limit_w,
            memory_used_mb, utilization_pct, throttle_reasons (bits of `THROTTLE_REASONS`).
    """

    device: str
    t_ns: int
    energy_j: float | None = None
    power_w: float | None = None
    telemetry: Mapping[str, float] = field(default_factory=dict)


class Sampler(Protocol):
    """Reads its devices. Made without arguments; used by one thread of one process; may be open in several processes."""

    def open(self, settings: Mapping[str, object]) -> Sequence[Device]:
        """Find the devices.

        Args:
            settings: `cpu_tdp_w` (float or None) and `devices` (ids that the experiment may use, or None for those that
                this process may see, as `CUDA_VISIBLE_DEVICES` says).

        Raises:
            llem.errors.SamplerUnavailable: nothing can be measured here; it says why and what would help.
        """

    def read(self) -> Sequence[Reading]:
        """One reading of each device that answers. A device that fails is left out of this reading."""

    def environment(self) -> Mapping[str, object]:
        """Further facts for a reader, in no fixed shape. Nothing is concluded from it: see `DescribingSampler`."""

    def close(self) -> None:
        """Release whatever `open` took. Harmless after a failed `open`."""


@runtime_checkable
class TickingSampler(Protocol):
    """Interface that a sampler may offer besides, where its counters advance in visible steps: edges then wait for a step."""

    def counters(self) -> Mapping[str, tuple[int, float]]:
        """Cumulative energy alone, read as fast as can be: device id to (`time.monotonic_ns()`, joules)."""


@runtime_checkable
class QuickPowerSampler(Protocol):
    """Interface that a `TickingSampler` may offer besides, where power alone is read faster than everything: it is read closely
    around the edges of a window. Without it `read` is asked.
    """

    def powers(self) -> Mapping[str, tuple[int, float]]:
        """Power alone, read as fast as can be: device id to (`time.monotonic_ns()`, watts)."""


@runtime_checkable
class DescribingSampler(Protocol):
    """Interface that a sampler may offer besides, where it knows devices of which no
    `llem_accelerators` tells.

    Cycles whose devices differ in any of these facts are never averaged.
    """

    def device_facts(self) -> Sequence[DeviceFacts]:
        """Facts that change the energy of its devices. Asked once, after `open`; what is not known stays None."""


@runtime_checkable
class WatchingSampler(Protocol):
    """Interface that a sampler may offer besides, where it can tell who uses its devices."""

    def processes(self) -> Mapping[str, Collection[int]]:
        """Device id to the pids that hold it now, those of the experiment among them."""
