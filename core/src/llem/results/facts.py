"""Everything about where and with what an experiment ran that changes its energy, as typed facts of its result.

What is not told is None: unknown is not different. `llem.results.environments` compares them, for every command alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class _Facts(BaseModel):
    model_config = ConfigDict(
        extra="forbid", allow_inf_nan=False, protected_namespaces=(), frozen=True, defer_build=True
    )


class DeviceFacts(_Facts):
    """One accelerator that the experiment may use. A meter tells of its devices by these (see `DescribingSampler`)."""

    id: str = Field(description="stable id, such as a GPU's UUID")
    model: str | None = Field(None, description="the product's name")
    driver: str | None = Field(None, description="version of its driver")
    cuda: str | None = Field(None, description="the CUDA version that the driver brings")
    power_limit_w: float | None = Field(None, description="enforced power limit when the experiment began")
    gpu_clock_application_mhz: float | None = Field(None, description="the clock that applications run at, as set")
    memory_clock_application_mhz: float | None = None
    persistence_mode: bool | None = None
    ecc: bool | None = None
    mig: bool | None = None
    in_use: bool | None = Field(None, description="the engine named it among its devices; null where it named none")


class CpuFacts(_Facts):
    """The host's processor, as the kernel tells it."""

    model: str | None = None
    governor: str | None = None
    boost: bool | None = None
    simultaneous_multithreading: bool | None = None


class Facts(_Facts):
    """Facts that cycles have to have in common to be averaged."""

    devices: list[DeviceFacts] | None = Field(None, description="null where nothing tells of any")
    cpu: CpuFacts = Field(default_factory=CpuFacts)
    versions: dict[str, str] = Field(
        default_factory=dict, description="of llem, its plugins, and what the engine says it is made of"
    )
    image: str | None = Field(None, description="digest of the container's image")
    model_revision: str | None = None
    dataset_sha256: str | None = None


def facts_of(
    environment: Mapping[str, Any],
    model_revision: str | None,
    dataset_sha256: str | None,
    devices: Sequence[DeviceFacts] | None = None,
) -> Facts:
    """The facts of an experiment.

    Args:
        environment: of the result, as `llem.measure.environment.capture` makes it, or of an earlier version.
        devices: as they were asked for; None takes what the meters wrote into the environment.
    """
    if devices is None:
        devices = list(devices_told(_part(environment, "meters"), _part(environment, "gpu"))) or None
    cpu = _part(environment, "cpu")
    runner = _part(_part(environment, "study"), "runner")
    image = runner.get("image_id")
    return Facts(
        devices=None if devices is None else list(devices),
        cpu=_validated(CpuFacts, {name: cpu.get(name) for name in CpuFacts.model_fields}) or CpuFacts(),
        versions=dict(_versions(environment)),
        image=str(image) if image else None,
        model_revision=model_revision,
        dataset_sha256=dataset_sha256,
    )


def _versions(environment: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """llem, its plugins and the engine's own; the engine's word goes before what is installed beside llem."""
    packages, engine = _part(environment, "packages"), _part(environment, "engine")
    own = {name: v for name, v in packages.items() if name == "llem" or name.startswith("llem-")}
    for name, version in sorted({**own, **engine}.items()):
        if isinstance(version, str):
            yield name, version


def devices_told(meters: Mapping[str, Any], gpu: Mapping[str, Any]) -> Iterator[DeviceFacts]:
    """Devices from what meters told in no fixed shape: of results that have no facts, and of samplers that describe none."""
    seen: set[str] = set()
    for told in meters.values():
        cards = told.get("gpus") if isinstance(told, Mapping) else None
        for card in cards if isinstance(cards, list) else ():
            if not isinstance(card, Mapping) or not isinstance(card.get("uuid"), str) or card["uuid"] in seen:
                continue
            seen.add(card["uuid"])
            names = DeviceFacts.model_fields.keys() & card.keys()
            found = {name: card[name] for name in names} | {"id": card["uuid"], "model": card.get("name")}
            found["driver"] = card.get("driver") or told.get("driver")
            found["cuda"] = told.get("cuda_driver")
            if (facts := _validated(DeviceFacts, found)) is not None:
                yield facts
    if not seen:
        models = gpu.get("models")
        for number, model in enumerate(models if isinstance(models, list) else ()):
            facts = _validated(DeviceFacts, {"id": f"GPU {number}", "model": model, "driver": gpu.get("driver")})
            if facts is not None:
                yield facts


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    return found if isinstance(found, Mapping) else {}


def _validated(model: type[Model], data: Mapping[str, Any]) -> Model | None:
    """None where what a plugin or an old result wrote is no such thing."""
    try:
        return model.model_validate(data)
    except ValidationError:
        return None
