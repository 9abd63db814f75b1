"""The plugin registry: finds distributions by the entry-point group `llem`, and sets aside what is broken.

`Registry` reads hooks lazily: asking for backends does not import what only registers datasets' loaders, and no engine
is imported here at all.
"""

from __future__ import annotations

import copy
import importlib
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from types import MappingProxyType
from typing import Any, TypedDict, TypeVar

import pluggy

from llem import hookspecs
from llem.errors import PluginError
from llem.hookspecs import API_VERSION, PROJECT
from llem.specs.backend import BackendSpec
from llem.specs.kinds import BACKENDS, KINDS, RUNNERS, SCENARIOS
from llem.specs.registry import HookKind, Plugin, Spec
from llem.specs.registry import missing_requirements as missing_requirements
from llem.specs.runner import RunnerSpec
from llem.specs.scenario import ScenarioSpec
from llem.spelling import closest

S = TypeVar("S", bound=Spec)

OWN = "llem"
"""The distribution of the core."""


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
        self._specs: dict[HookKind[Any], Mapping[str, Any]] = {}
        self._providers: dict[HookKind[Any], Mapping[str, Plugin]] = {}
        if builtin:
            from llem import builtin as own

            self._register(own, Plugin("builtin", OWN, importlib.metadata.version(OWN)))
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
        """Set aside a plugin that was registered: nothing that it brought is used, of no kind."""
        self._manager.unregister(implementation)
        dropped = self._plugins.pop(implementation)
        for kind, providers in self._providers.items():
            kept = {name: plugin for name, plugin in providers.items() if plugin is not dropped}
            specs = self._specs[kind]
            self._providers[kind] = kept
            self._specs[kind] = MappingProxyType({name: specs[name] for name in kept})
        self._set_aside(dropped, reason)

    def __getitem__(self, kind: HookKind[S]) -> Mapping[str, S]:
        """The specs of a kind by name, in the order in which they were registered.

        Raises:
            PluginError: two plugins claim one name; it names both.
        """
        if kind not in self._specs:
            found = self._collect(kind)
            self._providers[kind] = {name: plugin for name, (_, plugin) in found.items()}
            self._specs[kind] = MappingProxyType({name: spec for name, (spec, _) in found.items()})
        return self._specs[kind]

    def _collect(self, kind: HookKind[S]) -> dict[str, tuple[S, Plugin]]:
        """Ask every plugin for its specs of one kind; set aside the ones that fail, are old, or return something else."""
        found: dict[str, tuple[S, Plugin]] = {}
        for implementation, plugin in list(self._plugins.items()):
            others = [other for other in self._plugins if other is not implementation]
            try:
                answers = self._manager.subset_hook_caller(kind.hook, others)()
                specs = [spec for answer in answers for spec in answer]
            except (Exception, SystemExit) as error:  # noqa: BLE001 - see _load
                self._drop(implementation, f"{kind.hook} fails: {_describe(error)}")
                continue
            wrong = next((s for s in specs if not isinstance(s, kind.spec)), None)
            if wrong is not None:
                self._drop(implementation, f"{kind.hook} returns {type(wrong).__name__}, not {kind.spec.__name__}")
                continue
            old = next((s for s in specs if s.api_version != API_VERSION), None)
            if old is not None:
                self._drop(
                    implementation,
                    f"its {kind.word} `{old.name}` was written for plugin API {old.api_version}; this llem has {API_VERSION}",
                )
                continue
            for spec in specs:
                if spec.name in found:
                    raise _claimed_twice(kind.word, spec.name, found[spec.name][1], plugin)
                found[spec.name] = (spec, plugin)
            if specs:
                plugin.provides[kind.word] = [spec.name for spec in specs]
        return found

    def find(self, kind: HookKind[S], name: str) -> S:
        """The spec of this name. Raises PluginError with the nearest name, or why its plugin was set aside."""
        specs = self[kind]
        if name in specs:
            return specs[name]
        for plugin in self._aside:
            if name in plugin.name or name in plugin.distribution:
                raise PluginError(
                    f"the {kind.word} `{name}` is not available: {plugin.label} was set aside because {plugin.set_aside}.",
                    remedy=f"Mend or reinstall it (pip install --force-reinstall {plugin.distribution}); see `llem plugins`.",
                )
        near = closest(name, specs)
        known = ", ".join(sorted(specs)) or "none"
        hint = f" Did you mean `{near}`?" if near else ""
        more = (
            f" A {kind.word} comes with its distribution: pip install llem-{name}."
            if kind.packaged and not near
            else ""
        )
        raise PluginError(
            f"no {kind.word} `{name}` is installed; there is: {known}.", remedy=f"{hint}{more}".strip() or None
        )

    def provider(self, kind: HookKind[Any], name: str) -> Plugin:
        """The plugin that brought a spec. Raises KeyError where there is none of this name."""
        _ = self[kind]
        return self._providers[kind][name]

    def plugins(self) -> Sequence[Plugin]:
        """Every plugin, the set-aside ones last, with all that each provides."""
        for kind in KINDS:
            _ = self[kind]
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


def _claimed_twice(word: str, name: str, first: Plugin, second: Plugin) -> PluginError:
    others = dict.fromkeys(plugin.distribution for plugin in (first, second) if plugin.distribution != OWN)
    ways = " or ".join(f"pip uninstall {one}" for one in others)
    return PluginError(
        f"two plugins claim the {word} `{name}`: {first.label} and {second.label}.",
        remedy=f"Uninstall one of them: {ways}." if len(others) > 1 else f"{ways}.",
    )


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


@cache
def default_registry() -> Registry:
    """The registry of this environment; made once for each process."""
    return Registry()


class StudyParts(TypedDict):
    """The parts of a registry that a study is loaded with, as `llem.config.layers.load_study` takes them."""

    backends: Mapping[str, BackendSpec]
    find_backend: Callable[[str], object]
    runners: Mapping[str, RunnerSpec]
    scenarios: Mapping[str, ScenarioSpec]


def installed_parts(registry: Registry) -> StudyParts:
    """The backends, runners and scenarios that a study is loaded with."""
    return {
        "backends": registry[BACKENDS],
        "find_backend": partial(registry.find, BACKENDS),
        "runners": registry[RUNNERS],
        "scenarios": registry[SCENARIOS],
    }
