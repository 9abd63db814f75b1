"""llem's own distributions beside the core, known by name where they are not installed.

Nothing of them is imported here. A command or a function of one that is missing says what to install.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llem.errors import PluginError

if TYPE_CHECKING:
    from llem.specs.registry import SpecRegistry


@dataclass(frozen=True)
class Distribution:
    """A distribution that adds commands or datasets to llem, or the meters of a kind of device.

    Attributes:
        name: on the package index.
        package: its import name.
        asked_as: the words that pip takes for it.
        commands: the commands that it brings.
        datasets: the datasets that it brings.
        settings: the settings of a study that have no effect without it.
        devices: what it meters, as people call it, and the file by which the kernel shows that there is some.
    """

    name: str
    package: str
    asked_as: str
    commands: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    devices: tuple[str, str] | None = None

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install '{self.asked_as}'" if "[" in self.asked_as else f"pip install {self.asked_as}"


WARM = Distribution("llem-warm", "llem_warm", "llem[warm]")
DISTRIBUTIONS = (
    WARM,
    Distribution("llem-start", "llem_start", "llem[start]", ("completion", "config", "doctor", "init")),
    Distribution(
        "llem-analysis",
        "llem_analysis",
        "llem[analysis]",
        ("analyze", "audit", "baseline", "compare", "gate", "pareto", "pick", "show"),
        settings=("execution.until",),
    ),
    Distribution("llem-report", "llem_report", "llem[report]", ("report",)),
    Distribution("llem-exporters", "llem_exporters", "llem[exporters]", ("export", "import")),
    Distribution(
        "llem-serving",
        "llem_serving",
        "llem-serving",
        ("capacity", "slo"),
        ("conversations", "shared_prefix", "synthetic_conversations", "trace"),
    ),
    Distribution("llem-hub", "llem_hub", "llem-hub", datasets=("aienergyscore:official", "hub")),
    Distribution("llem-amd", "llem_amd", "llem-amd", devices=("AMD GPUs", "/dev/kfd")),
    Distribution("llem-quality", "llem_quality", "llem-quality[harness]", ("quality",), ("lm_eval",)),
    Distribution("llem-notify", "llem_notify", "llem-notify", ("notify",)),
    Distribution("llem-bundle", "llem_bundle", "llem-bundle", ("bundle", "replicate", "verify")),
    Distribution("llem-plugin-kit", "llem_plugin_kit", "llem-plugin-kit", ("plugin",)),
    Distribution("llem-docker", "llem_docker", "llem-docker", ("images",)),
)
"""Those that the core names. Each one's own registration is what counts; a test holds this table to it."""


def commands_elsewhere() -> dict[str, Distribution]:
    """Every command that comes with a distribution of its own, installed or not."""
    return {command: one for one in DISTRIBUTIONS for command in one.commands}


def missing_command(name: str, registry: SpecRegistry) -> PluginError | None:
    """The error for a command that one of llem's distributions would bring; None where none would."""
    return _missing("command", name, commands_elsewhere().get(name), registry)


def missing_dataset(name: str, registry: SpecRegistry) -> PluginError | None:
    """The error for a dataset that one of llem's distributions would bring; None where none would."""
    return _missing("dataset", name, next((one for one in DISTRIBUTIONS if name in one.datasets), None), registry)


def missing_setting(name: str, registry: SpecRegistry) -> PluginError | None:
    """The error for a setting of a study that one of llem's distributions would act on; None where none would."""
    return _missing("setting", name, next((one for one in DISTRIBUTIONS if name in one.settings), None), registry)


def _missing(word: str, name: str, one: Distribution | None, registry: SpecRegistry) -> PluginError | None:
    if one is None:
        return None
    if aside := next((p for p in registry.plugins() if p.distribution == one.name and p.set_aside), None):
        return PluginError(
            f"the {word} `{name}` is not available: {aside.label} was set aside because {aside.set_aside}.",
            remedy=f"Reinstall it: {one.install}.",
        )
    what = f"the {word} `{name}` comes with {one.name}, which is not installed here."
    return PluginError(what, remedy=f"{one.install}.")


def unmetered_devices() -> Iterator[tuple[str, Distribution]]:
    """Devices of this machine that a distribution would meter which is not installed: what they are, and the distribution."""
    for one in DISTRIBUTIONS:
        if one.devices is not None and Path(one.devices[1]).exists() and importlib.util.find_spec(one.package) is None:
            yield f"{one.devices[0]} ({one.devices[1]})", one


def attribute_of(package: str, name: str) -> Any:
    """An attribute of a package that may be another distribution's, as `llem` exports it.

    Raises:
        ModuleNotFoundError: the distribution is not installed; says how it is.
    """
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        one = next(one for one in DISTRIBUTIONS if one.package == package)
        what = f"llem.{name} comes with {one.name}, which is not installed here: {one.install}."
        raise ModuleNotFoundError(what, name=package) from error
    return getattr(module, name)
