"""The choice of energy samplers: tries each, keeps what works, and says why the others did not."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from llem.errors import LlemError, SamplerUnavailable
from llem.results.models import SamplerReport
from llem.specs.kinds import SAMPLERS
from llem.specs.registry import SpecRegistry, missing_requirements
from llem.specs.sampler import Device, Sampler, SamplerSpec

ON_REQUEST = "it measures only where measurement.samplers names it"


@dataclass(frozen=True)
class OpenSampler:
    """A sampler that works here, open, with its devices."""

    spec: SamplerSpec
    sampler: Sampler
    devices: Sequence[Device]

    @property
    def name(self) -> str:
        """Its word in `measurement.samplers`."""
        return self.spec.name


def open_samplers(
    registry: SpecRegistry, names: Sequence[str] | None, settings: Mapping[str, object]
) -> tuple[list[OpenSampler], list[SamplerReport]]:
    """Open the samplers that are to measure.

    Args:
        registry: has the samplers.
        names: exactly these, or None for all that work, do not wait to be named, and need not yield to another that
            works.
        settings: given to each sampler's `open`.

    Returns:
        The open samplers (the caller closes them), and one report for each sampler that was tried.

    Raises:
        SamplerUnavailable: a sampler that was asked for by name does not work.
        PluginError: no sampler of that name is registered.
    """
    specs = (
        [registry.find(SAMPLERS, name) for name in dict.fromkeys(names)] if names else list(registry[SAMPLERS].values())
    )
    opened: list[OpenSampler] = []
    reasons: dict[str, str] = {}
    try:
        for spec in specs:
            if spec.on_request and not names:
                reasons[spec.name] = ON_REQUEST
                continue
            try:
                opened.append(_open(spec, settings))
            except SamplerUnavailable as error:
                if names:
                    raise named_unavailable(spec.name, error.what, error.remedy) from error
                reasons[spec.name] = str(error)
    except LlemError:
        close_samplers(opened)
        raise
    if not names:
        opened = _without_needless(opened, reasons)
    used = {o.name: o for o in opened}
    return opened, [
        SamplerReport(name=s.name, used=True, devices=[d.id for d in used[s.name].devices])
        if s.name in used
        else SamplerReport(name=s.name, used=False, reason=reasons[s.name])
        for s in specs
    ]


def named_unavailable(name: str, what: str, remedy: str | None = None) -> SamplerUnavailable:
    """The error for a sampler that was asked for by name and does not work."""
    return SamplerUnavailable(
        f"the energy sampler `{name}` does not work here: {what}", where="measurement.samplers", remedy=remedy
    )


def try_samplers(registry: SpecRegistry, settings: Mapping[str, object]) -> Iterator[OpenSampler | SamplerUnavailable]:
    """Try each sampler that need not be named: give it, open until the next one is asked for, or why it does not work."""
    for spec in registry[SAMPLERS].values():
        if spec.on_request:
            continue
        try:
            one = _open(spec, settings)
        except SamplerUnavailable as error:
            yield error
            continue
        try:
            yield one
        finally:
            close_samplers([one])


def close_samplers(opened: Sequence[OpenSampler]) -> None:
    """Close them all; one that fails to close does not keep the others open."""
    for one in opened:
        try:
            one.sampler.close()
        except Exception:  # noqa: BLE001 - a plugin's close; the measurement is over
            continue


def _open(spec: SamplerSpec, settings: Mapping[str, object]) -> OpenSampler:
    if missing := missing_requirements(spec.requires):
        raise SamplerUnavailable(
            f"it needs the package {', '.join(missing)}, which is not installed.",
            remedy=f"Install it: {spec.install}." if spec.install else None,
        )
    try:
        sampler: Sampler = pkgutil.resolve_name(spec.sampler)()
    except (ImportError, AttributeError, ValueError) as error:
        raise SamplerUnavailable(f"`{spec.sampler}` cannot be loaded: {error}.") from error
    try:
        devices = sampler.open(settings)
    except SamplerUnavailable:
        sampler.close()
        raise
    except Exception as error:
        raise SamplerUnavailable(f"it fails to open: {type(error).__name__}: {error}.") from error
    if not devices:
        sampler.close()
        raise SamplerUnavailable("it found no device.")
    return OpenSampler(spec, sampler, devices)


def _without_needless(opened: Sequence[OpenSampler], reasons: dict[str, str]) -> list[OpenSampler]:
    """Leave out each sampler that yields to another whose devices cover the same scopes."""
    kept = []
    for one in opened:
        scopes = {device.scope for device in one.devices}
        better = next(
            (
                other.name
                for other in opened
                if other.name in one.spec.yields_to and scopes <= {device.scope for device in other.devices}
            ),
            None,
        )
        if better is None:
            kept.append(one)
        else:
            reasons[one.name] = f"not needed: `{better}` measures the same here"
            close_samplers([one])
    return kept
