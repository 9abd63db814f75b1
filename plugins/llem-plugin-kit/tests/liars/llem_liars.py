"""Plugins that lie, each in one way, and one of each kind that does not. The conformance suites must tell them apart."""

from __future__ import annotations

from collections.abc import Sequence

import lies

from llem.hookspecs import API_VERSION, hookimpl
from llem.plugin_api import BackendSpec, CheckSpec, RunnerSpec, SamplerSpec


@hookimpl
def llem_backends() -> Sequence[BackendSpec]:
    return [
        BackendSpec(
            name=name.lower(),
            api_version=API_VERSION,
            summary="a backend of the tests",
            config=lies.LaxConfig if name == "TakesAnything" else lies.LiarConfig,
            engine=f"lying_backends:{name}",
            capabilities=frozenset({"cpu", "streaming", "chat"}),
            requires=("colorsys",) if name == "ImportsWhatItNeeds" else (),
            fit=lies.fit_again if name == "FitsTwice" else None,
            resolve=lies.resolve_again if name == "ResolvesTwice" else None,
        )
        for name in lies.BACKENDS
    ]


@hookimpl
def llem_energy_samplers() -> Sequence[SamplerSpec]:
    return [
        SamplerSpec(
            name=name.lower(),
            api_version=API_VERSION,
            summary="a meter of the tests",
            methods=frozenset({"counter", "power", "estimate"}),
            scopes=frozenset({"cpu"}),
            sampler=f"lying_meters:{name}",
            on_request=True,
        )
        for name in lies.METERS
    ]


@hookimpl
def llem_preflight_checks() -> Sequence[CheckSpec]:
    return [
        CheckSpec(
            name=f"{name}_check", api_version=API_VERSION, summary="a check of the tests", check=f"lying_checks:{name}"
        )
        for name in lies.CHECKS
    ]


@hookimpl
def llem_runners() -> Sequence[RunnerSpec]:
    return [
        RunnerSpec(
            name=f"{name.lower()}_runner",
            api_version=API_VERSION,
            summary="a runner of the tests",
            runner=f"lying_runners:{name}",
        )
        for name in lies.RUNNERS
    ]
