"""The environment of an experiment, for its result: machine, software, meters and study, free of secrets."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from llem.measure.cpu_time import HOST_PID
from llem.measure.forked import START, start_facts
from llem.measure.host import ROOT, host_facts
from llem.measure.node import EXCLUSIVE, NODE, gpu_facts, node_facts
from llem.results.facts import DeviceFacts
from llem.results.scrub import scrub_data, tells_a_secret

_PREFIXES: tuple[str, ...] = tuple(tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))["prefixes"])
"""Variables of libraries below the engines that change how fast they run. Those of installed packages are found by name."""

_WITHOUT_EFFECT = frozenset({"LLEM_JOB_ID", HOST_PID, NODE, EXCLUSIVE, START})
"""Differ from run to run and change nothing that an engine does."""


def capture(
    provenance: Mapping[str, Any],
    meters: Mapping[str, Any],
    *,
    devices: Sequence[DeviceFacts] = (),
    seeing: Collection[str] = (),
    root: Path = ROOT,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, Any]:
    """Everything that a reader needs to know, and to repeat an experiment, besides its configuration.

    Args:
        provenance: facts about the study, from the job's document.
        meters: facts about the metered devices by sampler (driver, limits, clocks), as `Meter.environment` gives them.
        devices: the accelerators that the experiment may use.
        seeing: names of variables that say which those are.
        root: where the kernel's files are found.
        environ: this process's variables; those that change what an engine does are kept, secrets never.

    Returns:
        `node` and `exclusive` (see `llem.measure.node`), `machine`, `os`, `cpu`, `memory`, `gpu`, `python`, `packages` (name to version: llem, every plugin, and what they
        require), `variables`, `meters`, `start` (see `llem.measure.forked`) and `study`.
    """
    packages = dict(packages_here())
    facts: dict[str, Any] = {
        **node_facts(environ),
        **host_facts(root, environ),
        "gpu": gpu_facts(devices),
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
        },
        "packages": packages,
        "variables": telling_variables(environ, packages, seeing),
        "meters": dict(meters),
        "start": start_facts(environ),
        "study": dict(provenance),
    }
    clean: dict[str, Any] = scrub_data(facts, environ)
    return clean


@cache
def packages_here() -> Mapping[str, str]:
    """Versions of llem, every plugin, and what they require. Read once in a process: hundreds of files tell it."""
    return installed(plugin_distributions())


def plugin_distributions() -> list[str]:
    """llem and every distribution that brings a plugin, whether or not it works."""
    entries = importlib.metadata.entry_points(group="llem")
    return ["llem", *sorted({entry.dist.name for entry in entries if entry.dist is not None})]


def installed(names: Iterable[str]) -> dict[str, str]:
    """Versions of distributions and of all that they require, as far as it is installed, by normalised name.

    Extras count for the named ones only: an engine's optional parts change what it does, those of a library's tests do not.
    """
    named = {_normal(name) for name in names}
    found: dict[str, str] = {}
    pending, seen = list(named), set[str]()
    # Of dozens of places that an environment of checkouts has, few hold a distribution: the others are asked once, and not for each name.
    places = [place for place in sys.path if any(importlib.metadata.distributions(path=[place]))]
    while pending:
        if (name := pending.pop()) in seen:
            continue
        seen.add(name)
        distribution = next(iter(importlib.metadata.distributions(name=name, path=places)), None)
        if distribution is None:
            continue
        found[name], requires = _version_and_requirements(distribution)
        for requirement in requires:
            required = re.match(r"[A-Za-z0-9._-]+", requirement)
            if required is not None and ("extra ==" not in requirement or name in named):
                pending.append(_normal(required[0]))
    return dict(sorted(found.items()))


def _version_and_requirements(distribution: importlib.metadata.Distribution) -> tuple[str, Sequence[str]]:
    # Its own properties read the whole file anew for each, with the project's README that stands in it: 0.2 s for 300.
    text = distribution.read_text("METADATA")
    if text is None:  # of an older kind
        return distribution.version, distribution.requires or ()
    head = re.sub(r"\n[ \t]+", " ", text.partition("\n\n")[0])  # a line that goes on
    told = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in head.splitlines())]
    return dict(told)["version"], [value for name, value in told if name == "requires-dist"]


def telling_variables(
    environ: Mapping[str, str], packages: Collection[str], seeing: Collection[str] = ()
) -> dict[str, str]:
    """Variables that change what an engine or a library below it does; one whose name tells of a secret is left out.

    Args:
        environ: all variables.
        packages: names of installed distributions: a variable that begins with one of them is its setting.
        seeing: names of further ones.
    """
    prefixes = (*_PREFIXES, *(name.upper().replace("-", "_") + "_" for name in packages))
    return {
        name: value
        for name, value in sorted(environ.items())
        if (name in seeing or name.startswith(prefixes)) and name not in _WITHOUT_EFFECT and not tells_a_secret(name)
    }


def _normal(name: str) -> str:
    """The name of a distribution, normalised as packaging does."""
    return re.sub(r"[-_.]+", "-", name).lower()
