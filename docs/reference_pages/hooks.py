"""docs/reference/hooks.md: every hook, every spec and every interface, from their docstrings."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

from docs.reference_pages.markdown import document, prose
from llem import hookspecs, plugin_api
from llem.specs import kinds
from llem.specs.kinds import KINDS

INTRODUCTION = f"""What a plugin registers and implements; [writing a plugin](../plugins.md) shows one, whole. A plugin is an entry point of
the group `{hookspecs.PROJECT}`, whose module or object has functions marked `@llem.hookspecs.hookimpl`. Every spec carries
`api_version=API_VERSION`, now {hookspecs.API_VERSION}. Times are `time.monotonic_ns()`; what is not known is `None`."""

INTERFACES: dict[str, tuple[type, ...]] = {
    "backend": (
        plugin_api.Engine,
        plugin_api.LoadContext,
        plugin_api.LoadReport,
        plugin_api.Request,
        plugin_api.RequestRecord,
        plugin_api.TokenEvent,
        plugin_api.MemoryReading,
        plugin_api.ReportsMetrics,
        plugin_api.ReportsCaveats,
        plugin_api.Caveat,
    ),
    "runner": (
        plugin_api.Runner,
        plugin_api.RunningJob,
        plugin_api.RunnerContext,
        plugin_api.Job,
        plugin_api.Exit,
        plugin_api.Queues,
        plugin_api.Placement,
    ),
    "energy sampler": (
        plugin_api.Sampler,
        plugin_api.TickingSampler,
        plugin_api.QuickPowerSampler,
        plugin_api.WatchingSampler,
        plugin_api.Device,
        plugin_api.Reading,
    ),
    "preflight check": (plugin_api.PreflightContext, plugin_api.Finding),
    "dataset": (plugin_api.LoadedDataset, plugin_api.Prompt, plugin_api.Piece, plugin_api.Message),
    "scenario": (
        plugin_api.LoadGenerator,
        plugin_api.Answer,
        plugin_api.DrivesWindow,
        plugin_api.DriveContext,
        plugin_api.MeasuredWindow,
        plugin_api.Served,
        plugin_api.Unanswered,
        plugin_api.ScenarioFigures,
        plugin_api.SkipRule,
        plugin_api.Rejudge,
        plugin_api.Rejudged,
    ),
    "search": (plugin_api.Search, plugin_api.SearchContext),
    "command": (),
    "accelerator": (
        plugin_api.Accelerator,
        plugin_api.AcceleratorMemory,
        plugin_api.AcceleratorLimits,
        plugin_api.AcceleratorSettings,
    ),
    "metric": (),
    "chart": (),
    "exporter": (plugin_api.StudySource, plugin_api.Exported),
    "importer": (),
    "stopping rule": (plugin_api.StoppingRule,),
    "starter": (plugin_api.Starter, plugin_api.SupervisorProcess),
    "view": (plugin_api.Reporter, plugin_api.FollowsPlan, plugin_api.TextReporter, plugin_api.Above),
}
"""Interfaces that belong to each kind, besides its spec."""


def page() -> str:
    """The whole page."""
    return document("Hooks and interfaces", INTRODUCTION, _parts())


def _parts() -> Iterator[str]:
    yield "## Registry"
    yield (
        "Contexts carry it. `registry[KIND]` takes a row of `llem.specs.kinds`: "
        + ", ".join(f"`{n}`" for n in _rows())
        + "."
    )
    yield from _class(plugin_api.SpecRegistry)
    yield from _class(plugin_api.HookKind)
    yield from _class(plugin_api.Plugin)
    for kind in KINDS:
        yield f"## {kind.word[0].upper()}{kind.word[1:]}"
        yield from _function(getattr(hookspecs, kind.hook), "###")
        for interface in (kind.spec, *INTERFACES[kind.word]):
            yield from _class(interface)
    yield "## Events"
    registering = {kind.hook for kind in KINDS}
    for name, member in vars(hookspecs).items():
        if name.startswith("llem_") and name not in registering:
            yield from _function(member, "###")


def _rows() -> Iterator[str]:
    return (name for name, row in vars(kinds).items() if row in KINDS)


def _class(interface: type) -> Iterator[str]:
    is_data = dataclasses.is_dataclass(interface)
    yield f"### {interface.__name__}"
    yield f"`{interface.__module__}.{interface.__name__}`" + (
        "" if is_data else ", a protocol: no base class is needed."
    )
    if is_data:
        yield f"```python\n{_fields(interface)}\n```"
    yield prose(interface.__doc__)
    if not is_data:
        for name, member in vars(interface).items():
            if inspect.isfunction(member) and not name.startswith("_"):
                yield from _function(member, "####")


def _fields(interface: Any) -> str:
    lines = []
    for field in dataclasses.fields(interface):
        default = "" if field.default is dataclasses.MISSING else f" = {_default(field.default)}"
        if field.default_factory is not dataclasses.MISSING:
            default = f" = {field.default_factory()!r}"
        lines.append(f"{field.name}: {field.type}{default}")
    return "\n".join(lines)


def _default(value: object) -> str:
    return repr(value)


def _function(function: Any, level: str) -> Iterator[str]:
    yield f"{level} {function.__name__}"
    signature = inspect.signature(function)
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    text = str(signature.replace(parameters=parameters)).replace("'", "")
    yield f"```python\n{function.__name__}{text}\n```"
    yield prose(function.__doc__)
