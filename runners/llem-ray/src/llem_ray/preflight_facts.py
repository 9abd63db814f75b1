"""The common view of the preflight checks: the cluster, asked once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llem.plugin_api import (
    BACKENDS,
    DATASETS,
    SAMPLERS,
    SCENARIOS,
    ExperimentConfig,
    LlemError,
    PreflightContext,
    paths_in,
)
from llem_hub.sources import locate_model
from llem_ray.bridge_client import Line
from llem_ray.errors import ClusterError
from llem_ray.options import RayOptions
from llem_ray.plugin import RUNNER
from llem_ray.resource_request import ResourceRequest, need_of

_LOOK_S = 180.0


@dataclass(frozen=True)
class PreflightFacts:
    """The find of the look at the cluster.

    Attributes:
        options: the runner's.
        ray: its version.
        experiments: those that go to the cluster, one of each kind of need.
        seen: as `llem_ray.cluster_probe.look` returns it.
    """

    options: RayOptions
    ray: str
    experiments: list[ExperimentConfig]
    seen: Mapping[str, Any]


def facts_of(context: PreflightContext) -> PreflightFacts | ClusterError:
    """The view that the checks of one preflight share; the error where no cluster answers."""
    return context.once(_look_or_error)


def _look_or_error(context: PreflightContext) -> PreflightFacts | ClusterError:
    try:
        return _look(context)
    except ClusterError as error:
        return error


def _look(context: PreflightContext) -> PreflightFacts:
    options = context.runner_options.get(RUNNER)
    if not isinstance(options, RayOptions):
        options = RayOptions.model_validate({})
    registry = context.registry
    needs: dict[str, tuple[ExperimentConfig, ResourceRequest]] = {}
    backends: dict[str, None] = {}
    plugins: dict[tuple[str, str], None] = {}
    places: dict[str, None] = {}
    packages: dict[str, None] = {}
    for experiment in context.experiments:
        if context.runners.get(experiment.backend, "").partition(":")[0] != RUNNER:
            continue
        need = need_of(experiment, registry.find(BACKENDS, experiment.backend), options)
        needs.setdefault(need.text + str(need.gpu_wish), (experiment, need))
        backends[experiment.backend] = None
        plugins[SCENARIOS.word, experiment.measurement.scenario] = None
        plugins[DATASETS.word, experiment.dataset.name] = None
        plugins.update(dict.fromkeys((SAMPLERS.word, name) for name in experiment.measurement.samplers or ()))
        for kind, name in _local_things(experiment, context.base_dir):
            (places if kind == "path" else packages)[name] = None
    line = Line(options)
    try:
        question = {
            "needs": [need.document() for _, need in needs.values()],
            "distributions": ["llem", "llem-ray"],
            "backends": list(backends),
            "plugins": [list(one) for one in plugins],
            "paths": list(places),
            "packages": list(packages),
            "storage": options.storage,
        }
        seen = line.look(question, _LOOK_S)
        return PreflightFacts(options, str(line.ready["ray"]), [experiment for experiment, _ in needs.values()], seen)
    finally:
        line.close()


def _local_things(experiment: ExperimentConfig, base_dir: Path) -> Iterator[tuple[str, str]]:
    """Files and packages of this machine that an experiment reads: `path` or `package`, and its name."""
    sources = [experiment.model.source, *filter(None, [experiment.model.tokenizer])]
    for source in sources:
        if source.startswith("pkg:"):
            yield "package", source.removeprefix("pkg:").partition("/")[0]
            continue
        try:
            location = locate_model(source, base_dir)
        except LlemError:
            continue  # the check of models says so
        if location.path is not None:
            yield "path", str(location.path.absolute())
    # A scenario's sections name files as a backend's does: recorded arrivals are one.
    sections = (experiment.options, *experiment.sections.values())
    written = [path for section in sections for path in paths_in(section.model_dump(mode="json"))]
    for text in filter(None, [experiment.dataset.path, *written]):
        path = Path(base_dir, Path(text).expanduser())
        if path.exists():
            yield "path", str(path.absolute())
