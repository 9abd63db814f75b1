"""Every key that a study may hold, with what is installed here, and the nearest one to a key that it may not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Protocol, get_args, get_origin

from llem.config.compose import Backend, Scenario
from llem.config.experiment import SECTIONS
from llem.config.introspect import nested_section, retired_key
from llem.config.section import Section
from llem.config.study import ExecutionConfig, StudyConfig
from llem.spelling import closest

RUNNER_OPTIONS = "runner_options"
"""The key of a study under which runners have their own sections."""


class HasOptions(Protocol):
    """The part of a runner's spec that configuration needs."""

    @property
    def options(self) -> type[Section] | None:
        """The model of the runner's own options, or None."""


STUDY_KEYS = tuple(name for name in StudyConfig.model_fields if name != "base")
"""Keys of a study that are not part of an experiment: name, sweep, experiments, execution, runners, runner_options."""


class Vocabulary:
    """The keys of core and of the given backends, runners and scenarios.

    Attributes:
        sections: sections of an experiment by their key: the core's, then those of scenarios, then one for each backend.
        brought: key of a section to the scenarios that bring it.
        backends: names of the backends.
        runners: names of the runners.
        runner_options: the options of those runners that have some, by the runner's name.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        runners: Mapping[str, HasOptions] | None = None,
        scenarios: Mapping[str, Scenario] | None = None,
    ) -> None:
        self.backends = tuple(sorted(backends))
        self.runners = tuple(sorted(runners or ()))
        self.runner_options = {
            name: model for name, spec in sorted((runners or {}).items()) if (model := spec.options) is not None
        }
        self.brought: dict[str, list[str]] = {}
        self.sections: dict[str, type[Section]] = dict(SECTIONS)
        for name, scenario in (scenarios or {}).items():
            for key, model in scenario.sections.items():
                self.brought.setdefault(key, []).append(name)
                self.sections.setdefault(key, model)
        for name in self.backends:
            self.sections.setdefault(name, backends[name].config)

    @property
    def experiment_keys(self) -> tuple[str, ...]:
        """Top-level keys of one experiment."""
        return ("backend", *self.sections)

    @property
    def study_keys(self) -> tuple[str, ...]:
        """Top-level keys of a study file."""
        return (*STUDY_KEYS, *self.experiment_keys)

    @cached_property
    def fields(self) -> Mapping[str, type[Section]]:
        """Every dotted key of an experiment's sections (`pytorch.batch_size`) to the model of its section."""
        return {f"{section}.{key}": model for section, model in self.sections.items() for key, _ in _leaves(model)}

    @cached_property
    def settings(self) -> tuple[str, ...]:
        """Every dotted key that has one value in a study: what an environment variable or `--set` can name."""
        execution = [f"execution.{key}" for key, _ in _leaves(ExecutionConfig)]
        options = [f"{RUNNER_OPTIONS}.{name}.{key}" for name, m in self.runner_options.items() for key, _ in _leaves(m)]
        return ("model", "dataset", "backend", "name", *self.fields, *execution, *options)

    def knows(self, key: Sequence[str]) -> bool:
        """Tell whether this path names a section, a field, or something inside a field that holds a mapping."""
        if not key:
            return False
        if len(key) == 1:
            return key[0] in self.experiment_keys
        model = self.sections.get(key[0])
        for place, part in enumerate(key[1:], start=1):
            if model is None or part not in model.model_fields:
                return False
            field = model.model_fields[part]
            model = nested_section(field)
            if model is None:
                return place == len(key) - 1 or _holds_mapping(field.annotation)
        return True

    def instead(self, key: Sequence[str]) -> str | None:
        """Advice in place of a key that its section names as retired; None for every other key."""
        return retired_key(self.sections.get(key[0]), key[1:])

    def nearest(self, key: Sequence[str], *, among: Sequence[str] = ()) -> str | None:
        """The known dotted key that was probably meant.

        Args:
            key: the unknown one; its last part is what is wrong.
            among: keys that could stand in its place, tried before a field of the same name elsewhere.
        """
        last = key[-1]
        prefix = "".join(f"{part}." for part in key[:-1])
        close = closest(last, among, 0.7)
        if close:
            return prefix + close
        elsewhere = [k for k in self.settings if k.rpartition(".")[2] == last and "." in k]
        if elsewhere:
            return elsewhere[0]
        # A looser match, and fields elsewhere with a similar name.
        close = closest(last, among, 0.5)
        if close:
            return prefix + close
        return closest(".".join(key), self.settings, 0.7)


def _leaves(model: type[Section], prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    for name, field in model.model_fields.items():
        inner = nested_section(field)
        if inner is None:
            yield prefix + name, model
        else:
            yield from _leaves(inner, f"{prefix}{name}.")


def _holds_mapping(annotation: object) -> bool:
    return annotation is dict or get_origin(annotation) is dict or any(_holds_mapping(a) for a in get_args(annotation))
