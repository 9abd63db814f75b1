"""The phase before the engine loads: idle power from the cache where it serves, else measured now; and what becomes of it
when something that comes later contradicts it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import platformdirs

from llem.config.experiment import BaselineConfig, MeasurementConfig
from llem.measure import other_load
from llem.measure.baseline import BaselineCache, IdlePower, boot_clock_s, unsteady_devices
from llem.measure.baseline_checks import LEAST_S, PRESENT_S, contradictions, impossible, limits_w
from llem.measure.draft import Draft
from llem.measure.meter import Meter
from llem.measure.other_load import Share
from llem.measure.phases import IDLE_BASELINE
from llem.measure.progress import rest
from llem.results.models import Baseline
from llem.specs.sampler import Device

SHARED = frozenset({"gpu_shared", "residual_gpu_memory", "machine_shared"})
"""Warnings that somebody else was on the machine before the start."""


class IdleBaseline:
    """Idle power of each device, and its cache.

    Args:
        config: how long, and whether a cached one may serve.
        measurement: rate of the meters, and what an estimate rests on.
        meter: started.
        draft: takes warnings.

    Attributes:
        result: for the result.
        share: what others used of the CPU while it was measured, of a cached one then; None where nothing was measured.
    """

    def __init__(self, config: BaselineConfig, measurement: MeasurementConfig, meter: Meter, draft: Draft) -> None:
        self._config, self._measurement, self._meter, self._draft = config, measurement, meter, draft
        self.result = Baseline(enabled=True)
        self.share: Share | None = None
        self._limits_w = limits_w(meter.environment())
        self._cache: BaselineCache | None = None
        if config.cache and meter.devices:
            identity = cache_identity(meter.devices, measurement.cpu_tdp_w, meter.environment())
            self._cache = BaselineCache(platformdirs.user_cache_path("llem"), identity)

    def take(self) -> None:
        """Take idle power out of the cache, or measure it."""
        if self._meter.devices and not self._from_cache():
            self._measure()

    def check(self, power_w: Mapping[str, float], seconds: float, what: str) -> None:
        """Hold idle power against power that cannot be below it. What is contradicted serves nothing any more.

        Args:
            power_w: mean power by device; seconds: over so long; what: its name, for the message.
        """
        if seconds >= LEAST_S:
            self._doubt(contradictions(self.result.idle_w, power_w, what))

    def _from_cache(self) -> bool:
        """Take the stored baseline, if it is one that can be believed. One that cannot is thrown away."""
        stored = self._stored()
        if stored is None or self._cache is None:
            return False
        start = time.monotonic_ns()
        rest(self._draft.events, IDLE_BASELINE, min(PRESENT_S, self._config.duration_s))
        seconds = (time.monotonic_ns() - start) / 1e9
        wrong = {
            device.id: why
            for device in self._meter.devices
            if (why := impossible(device, stored.idle_w[device.id], self._limits_w.get(device.id))) is not None
        }
        wrong |= contradictions(
            stored.idle_w, self._cache.lowest(self._measured_ids(), self._config.max_age_s), "another"
        )
        if seconds >= LEAST_S:
            present_w = self._meter.mean_power(start, time.monotonic_ns())
            wrong |= contradictions(stored.idle_w, present_w, "what the machine draws now")
        if wrong:
            self._cache.discard()
            for device, why in wrong.items():
                self._draft.tell("baseline_discarded", f"the cached idle baseline is not used: {device}: {why}.")
            return False
        self.share = Share(share=stored.other_share)
        self.result = Baseline(
            enabled=True,
            source="cached",
            duration_s=stored.duration_s,
            age_s=stored.age_s,
            idle_w={device.id: stored.idle_w[device.id] for device in self._meter.devices},
        )
        return True

    def _stored(self) -> IdlePower | None:
        if self._cache is None:
            return None
        ids = [device.id for device in self._meter.devices]
        return self._cache.find(ids, self._config.duration_s, self._config.max_age_s)

    def _measure(self) -> None:
        meter, draft = self._meter, self._draft
        others, start = other_load.begin(), time.monotonic_ns()
        rest(draft.events, IDLE_BASELINE, self._config.duration_s)
        end = time.monotonic_ns()
        told = dict(meter.mean_power(start, end))
        self.share = other_load.share_since(others)
        if not told:
            return
        devices = {device.id: device for device in meter.devices}
        wrong = {
            id_: why
            for id_, watts in told.items()
            if (why := impossible(devices[id_], watts, self._limits_w.get(id_))) is not None
        }
        duration_s = (end - start) / 1e9
        idle_w = {id_: watts for id_, watts in told.items() if 0 <= watts < float("inf")}
        self.result = Baseline(enabled=True, source="measured", duration_s=duration_s, idle_w=idle_w)
        if self._cache is not None:
            lowest_w = self._cache.lowest(self._measured_ids(), self._config.max_age_s)
            wrong |= contradictions(idle_w, lowest_w, "another baseline of this machine")
        unsteady = unsteady_devices(meter.mean_power, start, end, self._measurement.sample_hz)
        for device, cv in unsteady.items():
            draft.warn(
                "baseline_unsteady",
                f"power of {device} varied by {cv:.0%} while the machine should have been idle; something else ran, "
                "so idle_w and adjusted energy are doubtful.",
            )
        loaded = self._warn_of_load()
        # What somebody else drew while it was measured must not pass for this machine's idle power later.
        shared = any(w.code in SHARED for w in draft.warnings) or draft.environment.get("exclusive") is False
        if self._cache is not None and not (wrong or unsteady or loaded or shared):
            problem = self._cache.store(
                IdlePower(
                    idle_w=idle_w,
                    duration_s=duration_s,
                    measured_at_s=boot_clock_s(),
                    other_share=self.share.share,
                )
            )
            if problem is not None:
                draft.tell("baseline_cache", problem)
        self._doubt(wrong, discard=False)

    def _warn_of_load(self) -> bool:
        """Say where others were in idle power of the whole machine."""
        share = self.share
        machine = sorted(d.id for d in self._meter.devices if d.scope != "gpu" or d.methods == {"estimate"})
        if share is None or share.share is None or not share.is_doubtful or not machine:
            return False
        self._draft.warn(
            "baseline_doubtful",
            f"others used {share.share:.1%} of this machine's CPU time while its idle power was measured: idle_w of "
            f"{', '.join(machine)} is too high, and adjusted energy too low. It is not kept for other experiments.",
        )
        return True

    def _doubt(self, wrong: Mapping[str, str], *, discard: bool = True) -> None:
        """These devices' idle power serves nothing: say so, and see to it that no other experiment uses it."""
        fresh = {device: why for device, why in wrong.items() if device not in self.result.doubtful}
        if fresh and discard and self._cache is not None:
            self._cache.discard()
        for device, why in fresh.items():
            self.result.doubtful[device] = why
            self._draft.warn(
                "baseline_doubtful",
                f"the {self.result.source} idle baseline of {device} cannot be right: {why}. Its adjusted energy is null; "
                "raw energy stands.",
            )

    def _measured_ids(self) -> list[str]:
        """Devices that are measured: an estimate depends on what is set for it, and differs from study to study."""
        return [device.id for device in self._meter.devices if device.methods != {"estimate"}]


def cache_identity(
    devices: Sequence[Device], cpu_tdp_w: float | None, environment: Mapping[str, Any]
) -> dict[str, Any]:
    """The facts that must be the same for an idle baseline to serve again: devices, how each is read, power limits."""
    return {
        "devices": sorted([d.id, d.name, sorted(d.methods), d.note] for d in devices),
        "cpu_tdp_w": cpu_tdp_w,
        "power_limits": sorted(_power_limits(environment, "")),
    }


def _power_limits(facts: object, path: str) -> Iterator[tuple[str, str]]:
    """Every fact whose name speaks of a power limit, with where it stands."""
    if isinstance(facts, Mapping):
        for key, value in facts.items():
            below = f"{path}.{key}"
            if "power_limit" in str(key):
                yield below, repr(value)
            else:
                yield from _power_limits(value, below)
    elif isinstance(facts, list | tuple):
        for index, value in enumerate(facts):
            yield from _power_limits(value, f"{path}.{index}")
