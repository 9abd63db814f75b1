"""docs/reference/hooks.md: every hook, every spec and every interface, from their docstrings."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

from docs.reference_pages.markdown import document, prose
from llem import hookspecs, specs
from llem.specs import kinds
from llem.specs.kinds import KINDS

INTRODUCTION = f"""What a plugin registers and implements; [writing a plugin](../plugins.md) shows one, whole. A plugin is an entry point of
the group `{hookspecs.PROJECT}`, whose module or object has functions marked `@llem.hookspecs.hookimpl`. Every spec carries
`api_version=API_VERSION`, now {hookspecs.API_VERSION}. Times are `time.monotonic_ns()`; what is not known is `None`."""

INTERFACES: dict[str, tuple[type, ...]] = {
    "backend": (
        specs.Engine,
        specs.LoadContext,
        specs.LoadReport,
        specs.Request,
        specs.RequestRecord,
        specs.TokenEvent,
        specs.MemoryReading,
        specs.ReportsMetrics,
        specs.ReportsCaveats,
        specs.Caveat,
    ),
    "runner": (
        specs.Runner,
        specs.RunningJob,
        specs.RunnerContext,
        specs.Job,
        specs.Exit,
        specs.Queues,
        specs.Placement,
    ),
    "energy sampler": (
        specs.Sampler,
        specs.TickingSampler,
        specs.QuickPowerSampler,
        specs.WatchingSampler,
        specs.Device,
        specs.Reading,
    ),
    "preflight check": (specs.PreflightContext, specs.Finding),
    "dataset": (specs.LoadedDataset, specs.Prompt, specs.Message),
    "scenario": (specs.LoadGenerator, specs.Answer, specs.SkipRule, specs.Rejudge, specs.Rejudged),
    "search": (specs.Search, specs.SearchContext),
    "command": (),
    "accelerator": (specs.Accelerator, specs.AcceleratorMemory, specs.AcceleratorLimits, specs.AcceleratorSettings),
    "metric": (),
    "chart": (),
    "exporter": (specs.StudySource, specs.Exported),
    "importer": (),
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
    yield from _class(specs.SpecRegistry)
    yield from _class(specs.HookKind)
    yield from _class(specs.Plugin)
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
