"""The plugin registry: finds distributions by the entry-point group `llem`, and sets aside what is broken.

`Registry` reads hooks lazily: asking for backends does not import what only registers datasets' loaders, and no engine
is imported here at all.
"""

from __future__ import annotations

import copy
import difflib
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Protocol, TypeVar

import pluggy

from llem import hookspecs
from llem.errors import PluginError
from llem.hookspecs import API_VERSION, PROJECT
from llem.specs.backend import BackendSpec
from llem.specs.check import CheckSpec
from llem.specs.command import CommandSpec
from llem.specs.dataset import DatasetSpec
from llem.specs.runner import RunnerSpec
from llem.specs.sampler import SamplerSpec


class _Spec(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def api_version(self) -> int: ...


S = TypeVar("S", bound=_Spec)

KINDS: dict[str, tuple[str, type[Any]]] = {
    "backend": ("llem_backends", BackendSpec),
    "runner": ("llem_runners", RunnerSpec),
    "energy sampler": ("llem_energy_samplers", SamplerSpec),
    "preflight check": ("llem_preflight_checks", CheckSpec),
    "dataset": ("llem_datasets", DatasetSpec),
    "command": ("llem_commands", CommandSpec),
}
"""What can be registered: its name for people, its hook, and the type of its spec."""


@dataclass
class Plugin:
    """One registered plugin, or one that was set aside.

    Attributes:
        name: of its entry point; distribution and version: of what brought it.
        set_aside: why it is not used, or None.
        provides: names by kind, filled in as kinds are asked for.
    """

    name: str
    distribution: str
    version: str
    set_aside: str | None = None
    provides: dict[str, list[str]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its distribution and version, for messages."""
        return f"{self.distribution} {self.version}"


class Registry:
    """All plugins of this environment.

    Args:
        entry_points: what to load, by default every entry point of the group `llem`.
        builtin: register what llem itself brings.
    """

    def __init__(
        self, entry_points: Iterable[importlib.metadata.EntryPoint] | None = None, *, builtin: bool = True
    ) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._plugins: dict[object, Plugin] = {}
        self._aside: list[Plugin] = []
        if builtin:
            from llem import builtin as own

            self._register(own, Plugin("builtin", "llem", importlib.metadata.version("llem")))
        found = importlib.metadata.entry_points(group=PROJECT) if entry_points is None else entry_points
        for entry in sorted(found, key=lambda e: e.name):
            self._load(entry)

    def _load(self, entry: importlib.metadata.EntryPoint) -> None:
        dist = entry.dist
        plugin = Plugin(entry.name, dist.name if dist else entry.value, dist.version if dist else "unknown")
        try:
            loaded = entry.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a third party does must not stop the rest
            self._set_aside(plugin, f"it fails to import: {_describe(error)}")
            return
        self._register(loaded, plugin)

    def _register(self, implementation: object, plugin: Plugin) -> None:
        try:
            self._manager.register(implementation, name=f"{plugin.distribution}:{plugin.name}")
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self._manager.is_registered(implementation):
                self._manager.unregister(implementation)
            self._set_aside(plugin, f"its hooks are not llem's: {_describe(error)}")
            return
        self._plugins[implementation] = plugin

    def _set_aside(self, plugin: Plugin, reason: str) -> None:
        plugin.set_aside = reason
        plugin.provides.clear()
        self._aside.append(plugin)

    def _drop(self, implementation: object, reason: str) -> None:
        self._manager.unregister(implementation)
        self._set_aside(self._plugins.pop(implementation), reason)

    def _collect(self, kind: str) -> dict[str, tuple[Any, Plugin]]:
        """Ask every plugin for its specs of one kind; set aside the ones that fail, are old, or return something else."""
        hook, spec_type = KINDS[kind]
        found: dict[str, tuple[Any, Plugin]] = {}
        for implementation, plugin in list(self._plugins.items()):
            others = [other for other in self._plugins if other is not implementation]
            try:
                answers = self._manager.subset_hook_caller(hook, others)()
                specs = [spec for answer in answers for spec in answer]
            except (Exception, SystemExit) as error:  # noqa: BLE001 - see _load
                self._drop(implementation, f"{hook} fails: {_describe(error)}")
                continue
            wrong = next((s for s in specs if not isinstance(s, spec_type)), None)
            if wrong is not None:
                self._drop(implementation, f"{hook} returns {type(wrong).__name__}, not {spec_type.__name__}")
                continue
            old = next((s for s in specs if s.api_version != API_VERSION), None)
            if old is not None:
                self._drop(
                    implementation,
                    f"its {kind} `{old.name}` was written for plugin API {old.api_version}; this llem has {API_VERSION}",
                )
                continue
            for spec in specs:
                if spec.name in found:
                    first = found[spec.name][1]
                    raise PluginError(
                        f"two plugins claim the {kind} `{spec.name}`: {first.label} and {plugin.label}.",
                        remedy=f"Uninstall one of them: pip uninstall {first.distribution} or pip uninstall {plugin.distribution}.",
                    )
                found[spec.name] = (spec, plugin)
            if specs:
                plugin.provides[kind] = [spec.name for spec in specs]
        return found

    @cached_property
    def _backends(self) -> dict[str, tuple[BackendSpec, Plugin]]:
        return self._collect("backend")

    @cached_property
    def _runners(self) -> dict[str, tuple[RunnerSpec, Plugin]]:
        return self._collect("runner")

    @cached_property
    def _samplers(self) -> dict[str, tuple[SamplerSpec, Plugin]]:
        return self._collect("energy sampler")

    @cached_property
    def _checks(self) -> dict[str, tuple[CheckSpec, Plugin]]:
        return self._collect("preflight check")

    @cached_property
    def _datasets(self) -> dict[str, tuple[DatasetSpec, Plugin]]:
        return self._collect("dataset")

    @cached_property
    def _commands(self) -> dict[str, tuple[CommandSpec, Plugin]]:
        return self._collect("command")

    @property
    def backends(self) -> Mapping[str, BackendSpec]:
        """Backends by name."""
        return _specs(self._backends)

    @property
    def runners(self) -> Mapping[str, RunnerSpec]:
        """Runners by name."""
        return _specs(self._runners)

    @property
    def samplers(self) -> Mapping[str, SamplerSpec]:
        """Energy samplers by name."""
        return _specs(self._samplers)

    @property
    def checks(self) -> Mapping[str, CheckSpec]:
        """Preflight checks by name."""
        return _specs(self._checks)

    @property
    def datasets(self) -> Mapping[str, DatasetSpec]:
        """Datasets by name."""
        return _specs(self._datasets)

    @property
    def commands(self) -> Mapping[str, CommandSpec]:
        """Commands by name."""
        return _specs(self._commands)

    def backend(self, name: str) -> BackendSpec:
        """The backend of this name. Raises PluginError with the nearest name, or why it was set aside."""
        return self._find("backend", self.backends, name)

    def runner(self, name: str) -> RunnerSpec:
        """The runner of this name; errors as `backend`."""
        return self._find("runner", self.runners, name)

    def sampler(self, name: str) -> SamplerSpec:
        """The energy sampler of this name; errors as `backend`."""
        return self._find("energy sampler", self.samplers, name)

    def dataset(self, name: str) -> DatasetSpec:
        """The dataset of this name; errors as `backend`."""
        return self._find("dataset", self.datasets, name)

    def _find(self, kind: str, specs: Mapping[str, S], name: str) -> S:
        if name in specs:
            return specs[name]
        for plugin in self._aside:
            if name in plugin.name or name in plugin.distribution:
                raise PluginError(
                    f"the {kind} `{name}` is not available: {plugin.label} was set aside because {plugin.set_aside}.",
                    remedy=f"Mend or reinstall it (pip install --force-reinstall {plugin.distribution}); see `llem plugins`.",
                )
        near = difflib.get_close_matches(name, specs, n=1)
        known = ", ".join(sorted(specs)) or "none"
        hint = f" Did you mean `{near[0]}`?" if near else ""
        more = (
            f" A {kind} comes with its distribution: pip install llem-{name}."
            if kind in {"backend", "runner"} and not near
            else ""
        )
        raise PluginError(
            f"no {kind} `{name}` is installed; there is: {known}.", remedy=f"{hint}{more}".strip() or None
        )

    def provider(self, kind: str, name: str) -> Plugin:
        """Which plugin brought the spec `name` of a kind (a key of `KINDS`). Raises KeyError where there is none."""
        tables: dict[str, Mapping[str, tuple[Any, Plugin]]] = {
            "backend": self._backends,
            "runner": self._runners,
            "energy sampler": self._samplers,
            "preflight check": self._checks,
            "dataset": self._datasets,
            "command": self._commands,
        }
        return tables[kind][name][1]

    def plugins(self) -> Sequence[Plugin]:
        """Every plugin, the set-aside ones last, with all that each provides."""
        _ = (self._backends, self._runners, self._samplers, self._checks, self._datasets, self._commands)
        return [*self._plugins.values(), *self._aside]

    def notify(self, event: str, on_error: Callable[[str], None], **arguments: Any) -> None:
        """Call the event hook `event` of every plugin; what one raises goes to `on_error` as text, and the rest still run."""
        for implementation, plugin in list(self._plugins.items()):
            if event not in {hook.name for hook in self._manager.get_hookcallers(implementation) or ()}:
                continue
            others = [other for other in self._plugins if other is not implementation]
            try:
                # A copy for each: what one does to its arguments must not reach the next, nor the study.
                self._manager.subset_hook_caller(event, others)(**copy.deepcopy(arguments))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - see _load
                on_error(f"{plugin.label}: {event} failed: {_describe(error)}")


def _specs(table: Mapping[str, tuple[S, Plugin]]) -> dict[str, S]:
    return {name: spec for name, (spec, _) in table.items()}


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def load_object(path: str) -> Any:
    """Import what a spec names: `package.module:attribute`. Raises PluginError where it is not there."""
    module, _, attribute = path.partition(":")
    try:
        loaded = importlib.import_module(module)
        return getattr(loaded, attribute)
    except (ImportError, AttributeError) as error:
        raise PluginError(
            f"`{path}` cannot be loaded: {_describe(error)}.", remedy="Reinstall the distribution that brings it."
        ) from error


def missing_requirements(requires: Sequence[str]) -> list[str]:
    """The import names that are not present here, found without importing them."""
    missing = []
    for name in requires:
        try:
            present = importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):
            present = False
        if not present:
            missing.append(name)
    return missing


@cache
def default_registry() -> Registry:
    """The registry of this environment; made once for each process."""
    return Registry()
