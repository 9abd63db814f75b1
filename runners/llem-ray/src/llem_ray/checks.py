"""The preflight checks of the Ray runner. Each says what, why, and what mends it.

They share one look at the cluster. A check whose ground is missing says nothing: the check of that ground does.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from typing import Any

from llem.plugin_api import BACKENDS, DATASETS, SAMPLERS, SCENARIOS, Finding, HookKind, PreflightContext
from llem_ray.preflight_facts import PreflightFacts, facts_of


def check_cluster(context: PreflightContext) -> Iterator[Finding]:
    """A cluster answers, with the versions of Ray and Python that are here."""
    facts = facts_of(context)
    if not isinstance(facts, PreflightFacts):
        where = f"{facts.where}: " if facts.where else ""
        level = "error" if context.runners else "warning"
        yield Finding(level=level, message=f"{where}{facts.what}", remedy=facts.remedy)  # type: ignore[arg-type]
    elif "trouble" in facts.seen:
        yield Finding(
            level="error",
            message=f"the cluster could not be looked at: {facts.seen['trouble']}",
            remedy="Look what it says of itself: ray status.",
        )
    else:
        nodes = facts.seen["nodes"]
        yield Finding(
            level="ok",
            message=f"Ray {facts.ray}, {len(nodes)} node(s) with {sum(n['cpus'] for n in nodes):g} CPU(s) and "
            f"{sum(n['gpus'] for n in nodes)} GPU(s)",
        )


def check_nodes(context: PreflightContext) -> Iterator[Finding]:
    """Some node could run each experiment."""
    for facts, seen in _seen(context):
        there = "; ".join(f"{n['name']} {n['cpus']:g} CPU(s), {n['gpus']} GPU(s)" for n in seen["nodes"][:10])
        for experiment, fit in zip(facts.experiments, seen["fits"], strict=True):
            if not fit["nodes"]:
                yield Finding(
                    level="error",
                    message=f"no node can run experiments of the backend {experiment.backend}, which need {fit['need']}. "
                    f"There is: {there or 'no node'}",
                    remedy="Ask for less (runner_options.ray: num_cpus, num_gpus, memory_gb, resources, labels, nodes), or "
                    "add a node; one that an autoscaler would add is asked for with --skip-preflight ray-nodes.",
                )
                continue
            yield Finding(level="ok", message=f"{len(fit['nodes'])} node(s) have {fit['need']}")
            if fit["without_gpu"]:
                yield Finding(
                    level="warning",
                    message=f"no node has a GPU: experiments of the backend {experiment.backend} run on CPUs",
                    remedy="runner_options.ray.num_gpus says how many they must have.",
                )


def check_packages(context: PreflightContext) -> Iterator[Finding]:
    """llem, the backends, and the plugins that the experiments name are installed on the nodes."""
    here = {name: importlib.metadata.version(name) for name in ("llem", "llem-ray")}
    for _, seen in _seen(context):
        wrong: dict[str, list[str]] = {}
        for node, found in seen["visits"].items():
            for problem in _problems(found, here):
                wrong.setdefault(problem, []).append(node)
        for problem, nodes in wrong.items():
            yield Finding(
                level="error",
                message=f"{problem}, on {_listed(nodes)}",
                remedy="Install it into the environment that Ray runs in there: "
                f"{_install(context, problem)}; then start Ray there anew.",
            )
        if seen["visits"] and not wrong:
            yield Finding(
                level="ok", message=f"llem {here['llem']} and the plugins are on {len(seen['visits'])} node(s)"
            )


def check_files(context: PreflightContext) -> Iterator[Finding]:
    """Check that what experiments read, and the place where results go, are found on the nodes."""
    for facts, seen in _seen(context):
        absent: dict[str, list[str]] = {}
        for node, found in seen["visits"].items():
            for name in found.get("absent", ()):
                absent.setdefault(name, []).append(node)
            if found.get("storage") is not None:
                yield Finding(
                    level="error",
                    message=f"the storage {facts.options.storage} cannot be used on {node}: {found['storage']}",
                    remedy="It has to be one folder for this machine and every node, writable for the user of Ray there.",
                )
        for name, nodes in absent.items():
            yield Finding(
                level="error",
                message=f"{name} is not there on {_listed(nodes)}",
                remedy="Put it on a file system that all nodes share, under the same path, or name a model of the hub.",
            )


def _seen(context: PreflightContext) -> Iterator[tuple[PreflightFacts, Mapping[str, Any]]]:
    """The facts and what was seen, once; nothing where there is nothing to look at."""
    facts = facts_of(context)
    if isinstance(facts, PreflightFacts) and "trouble" not in facts.seen and facts.experiments:
        yield facts, facts.seen


def _problems(found: Mapping[str, Any], here: Mapping[str, str]) -> Iterator[str]:
    if "trouble" in found:
        yield f"the node could not be looked at ({found['trouble']})"
        return
    for name, version in found["versions"].items():
        if version is None:
            yield f"{name} is not installed"
        elif version != here[name]:
            yield f"{name} is {version}, and {here[name]} here"
    if found["versions"].get("llem") is not None:
        for name, problem in found["backends"].items():
            if problem is not None:
                yield f"the backend {name} cannot run: {problem}"
        aside = f" ({'; '.join(found['aside'])})" if found["aside"] else ""
        for word, name in found["lacking"]:
            yield f"the {word} {name} is not installed{aside}"


def _install(context: PreflightContext, problem: str) -> str:
    for name, spec in context.registry[BACKENDS].items():
        if f"backend {name} " in problem:
            return spec.install or f"the distribution that brings {name}"
    kinds: tuple[HookKind[Any], ...] = (SCENARIOS, DATASETS, SAMPLERS)
    for kind in kinds:
        for name in context.registry[kind]:
            if problem.startswith(f"the {kind.word} {name} "):
                plugin = context.registry.provider(kind, name)
                return f"pip install {plugin.distribution}=={plugin.version}"
    return f"pip install llem=={importlib.metadata.version('llem')} llem-ray=={importlib.metadata.version('llem-ray')}"


def _listed(nodes: list[str]) -> str:
    few = ", ".join(nodes[:5])
    return f"{few} and {len(nodes) - 5} more" if len(nodes) > 5 else few
