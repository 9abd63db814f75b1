"""Raw mappings to one validated, resolved experiment.

A sweep of 10,000 points has few distinct sections. Each of them is validated, resolved and written out canonically once;
an experiment is then put together from finished parts. A composed configuration composes to itself: the worker reads
`experiment.json` by the same door.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

from pydantic import ValidationError

from llem.config.experiment import SECTIONS, DatasetConfig, ExperimentConfig, MeasurementConfig
from llem.config.identity import fragment
from llem.config.problems import Problem, dotted, problems_of, raise_all
from llem.config.resolution import resolve_section, section_problems
from llem.config.section import Section
from llem.errors import ConfigError, PluginError
from llem.spelling import closest

BACKEND_OPTIONS = "options"
"""Name of the backend's section, which stands under the backend's name in a document."""

_REMEMBERED = 4_096

_MEANING = {"streaming": "give tokens one by one", "chat": "take chats", "concurrent": "stream several answers at once"}
"""Capabilities of a backend in words, for what it lacks."""


class Backend(Protocol):
    """The part of a backend's spec that configuration needs."""

    @property
    def name(self) -> str:
        """The word in `backend:`."""

    @property
    def config(self) -> type[Section]:
        """The model of its section."""

    @property
    def capabilities(self) -> Collection[str]:
        """The abilities of its engine."""

    @property
    def resolve(self) -> Callable[[Section], Section] | None:
        """Maps its section to the canonical one of the same effect."""

    @property
    def fit(self) -> Callable[[Section, int], Section] | None:
        """Maps its section to the canonical one of the same effect on so many requests at once."""


class Scenario(Protocol):
    """The part of a scenario's spec that configuration needs."""

    @property
    def name(self) -> str:
        """The word in `measurement.scenario`."""

    @property
    def needs(self) -> Collection[str]:
        """Capabilities that a backend must have for it."""

    @property
    def sections(self) -> Mapping[str, type[Section]]:
        """The models of the sections that it brings, by their keys."""

    @property
    def defaults(self) -> Mapping[str, Mapping[str, Any]]:
        """Values of the core's sections that hold in it where a study gives none."""

    @property
    def at_once(self) -> float | None:
        """The most requests that it has under way at once: a whole number, infinity, or None for those of the dataset."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One finished section.

    Attributes:
        section: resolved; None where there are problems, and of a scenario that is not the experiment's.
        fragment: what it adds to the experiment's canonical JSON: `,"name":{…}`, or nothing where all is at its default.
        problems: what is wrong with it.
    """

    section: Section | None
    fragment: str = ""
    problems: tuple[Problem, ...] = ()


class Composer:
    """Composes experiments for the given backends and scenarios, and remembers sections that it has seen.

    Attributes:
        names: of an experiment's sections, those of every scenario included, in the order of canonical JSON.

    Args:
        backends: specs by name.
        scenarios: likewise.
        sizes: tells how many prompts a dataset's file has, which are all taken where a study does not say how many; it returns
            None for what is no such file. Without it no file is looked at.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        scenarios: Mapping[str, Scenario],
        sizes: Callable[[DatasetConfig], int | None] | None = None,
    ) -> None:
        self._backends = backends
        self._scenarios = scenarios
        self._sizes = sizes
        self._brought = {key: model for scenario in scenarios.values() for key, model in scenario.sections.items()}
        self._defaulted = frozenset(key for scenario in scenarios.values() for key in scenario.defaults)
        self.names = tuple(sorted((*SECTIONS, BACKEND_OPTIONS, *self._brought)))
        self._known: dict[tuple[str, str, str], Part] = {}

    def compose(
        self, document: Mapping[str, Any], locate: Callable[[Sequence[str | int]], str] | None = None
    ) -> ExperimentConfig:
        """One experiment, resolved.

        Args:
            document: `backend`, the core's sections, and the backend's section under its name. Sections may be left out.
            locate: says where a key stands, for messages.

        Raises:
            ConfigError: with everything that is wrong.
            PluginError: the backend is not installed.
        """
        name = document.get("backend")
        if not isinstance(name, str) or not name:
            problem = _no_backend(name, self._backends)
            raise ConfigError(problem.text, where=(locate or dotted)(problem.key))
        spec = self.backend(name)
        raw = {key: document.get(name if key == BACKEND_OPTIONS else key, {}) for key in self.names}
        measurement = self.part("measurement", raw["measurement"], spec)
        raw |= {key: self.with_defaults(key, raw[key], measurement) for key in self._defaulted}
        parts = {key: self.part(key, raw[key], spec) for key in self.names if key not in self._brought}
        parts |= {key: self.brought(key, raw[key], spec, measurement) for key in self._brought}
        problems = self.unknown_keys(document, spec, measurement) + [p for k in self.names for p in parts[k].problems]
        if problems:
            raise_all(problems, locate or dotted)
        parts[BACKEND_OPTIONS] = self.fitted(parts[BACKEND_OPTIONS], spec, parts["dataset"], measurement)
        return self.assemble(spec.name, [parts[key] for key in self.names])

    def _scenario_of(self, measurement: Part) -> Scenario | None:
        section = measurement.section
        return self._scenarios.get(section.scenario) if isinstance(section, MeasurementConfig) else None

    def is_brought(self, key: str) -> bool:
        """True for a section that a scenario brings: see `brought`."""
        return key in self._brought

    def brought(self, key: str, raw: Any, spec: Backend, measurement: Part) -> Part:
        """A section that a scenario brings: finished where it is the scenario of these experiments, and else nothing."""
        scenario = self._scenario_of(measurement)
        return self.part(key, raw, spec) if scenario is not None and key in scenario.sections else Part(None)

    def is_defaulted(self, key: str) -> bool:
        """True for a section that some scenario has defaults of its own for: see `with_defaults`."""
        return key in self._defaulted

    def with_defaults(self, key: str, raw: Any, measurement: Part) -> Any:
        """A section as written, with the values that the scenario of these experiments has where nothing was."""
        scenario = self._scenario_of(measurement)
        if scenario is None or key not in scenario.defaults or not isinstance(raw, Mapping):
            return raw
        return {**scenario.defaults[key], **raw}

    def assemble(self, backend: str, parts: Sequence[Part]) -> ExperimentConfig:
        """The experiment of finished parts without problems, in the order of `names`."""
        found = zip(self.names, parts, strict=True)
        there: dict[str, Any] = {key: part.section for key, part in found if part.section is not None}
        brought = {key: there.pop(key) for key in self._brought if key in there}
        needs = frozenset(self._scenarios[there["measurement"].scenario].needs)
        return ExperimentConfig(backend=backend, sections=brought, needs=needs, **there)

    def backend(self, name: str) -> Backend:
        """The spec of a backend. Raises PluginError where it is not installed."""
        if name in self._backends:
            return self._backends[name]
        raise not_installed(name, self._backends)

    def unknown_keys(self, document: Mapping[str, Any], spec: Backend, measurement: Part) -> list[Problem]:
        """Top-level keys of an experiment that do not belong there."""
        scenario = self._scenario_of(measurement)
        own = list(scenario.sections) if scenario is not None else list(self._brought)
        known = {"backend", spec.name, *SECTIONS, *own}
        return [
            Problem(
                key=(str(key),),
                found=document[key],
                message=f"is the section of another backend; this experiment's is {spec.name}"
                if key in self._backends
                else "is the section of another scenario than the experiment's"
                if key in self._brought
                else "is no key of an experiment",
                accepted=", ".join(["backend", *SECTIONS, *own, spec.name]),
                nearest=closest(str(key), known),
            )
            for key in document
            if key not in known
        ]

    def part(self, key: str, raw: Any, spec: Backend) -> Part:
        """One section, finished.

        Args:
            key: one of `names`.
            raw: what was written; `{}` for a section that is left out.
            spec: the backend of the experiment.
        """
        # repr tells 1, 1.0, true and "1" apart, which equality of keys would not.
        known = (key, spec.name, repr(raw))
        part = self._known.get(known)
        if part is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            part = self._known[known] = self.make(key, raw, spec)
        return part

    def make(self, key: str, raw: Any, spec: Backend) -> Part:
        """As `part`, without remembering."""
        model = spec.config if key == BACKEND_OPTIONS else self._brought[key] if key in self._brought else SECTIONS[key]
        name = spec.name if key == BACKEND_OPTIONS else key
        try:
            section = model.model_validate(raw)
            problems = section_problems(key, section) + self._scenario_problems(section, spec)
            if problems:
                return Part(None, problems=tuple(problems))
            section = self._counted(resolve_section(key, section))
            if key == BACKEND_OPTIONS and spec.resolve is not None:
                section = spec.resolve(section)
        except ValidationError as error:
            return Part(None, problems=tuple(problems_of(error, model, (name,))))
        except ValueError as error:
            # A backend's resolve may find that two of its options exclude each other.
            return Part(None, problems=(Problem((name,), raw, str(error), None, None),))
        return _finished(key, section)

    def _counted(self, section: Section) -> Section:
        """A dataset with as many prompts as its file has, where nothing says how many; any other section as it is."""
        if not isinstance(section, DatasetConfig) or self._sizes is None or "n" in section.model_fields_set:
            return section
        n = self._sizes(section)
        return section if n is None or n == section.n else section.model_copy(update={"n": n})

    def fitted(self, options: Part, spec: Backend, dataset: Part, measurement: Part) -> Part:
        """The backend's section as far as the experiment's requests can tell: see `BackendSpec.fit`. Itself where nothing changes."""
        if spec.fit is None or options.section is None or dataset.section is None or measurement.section is None:
            return options
        assert isinstance(measurement.section, MeasurementConfig)
        limit = self._scenarios[measurement.section.scenario].at_once
        if limit == inf:  # prompts come again while they are under way
            return options
        together = getattr(dataset.section, "n", 1)
        section = spec.fit(options.section, together if limit is None else min(int(limit), together))
        return options if section is options.section else _finished(BACKEND_OPTIONS, section)

    def _scenario_problems(self, section: Section, spec: Backend) -> list[Problem]:
        """Problems with the scenario that a section asks for: it is not installed, or not for this backend."""
        if not isinstance(section, MeasurementConfig):
            return []
        key, name = ("measurement", "scenario"), section.scenario
        if name not in self._scenarios:
            near = closest(name, self._scenarios)
            listed = ", ".join(self._scenarios) or "none is installed"
            return [Problem(key, name, "is not the name of a scenario", listed, near)]
        lacking = sorted(set(self._scenarios[name].needs) - set(spec.capabilities))
        if not lacking:
            return []
        others = ", ".join(n for n, one in self._scenarios.items() if set(one.needs) <= set(spec.capabilities))
        what = " and ".join(_MEANING.get(one, f"do what `{one}` stands for") for one in lacking)
        return [Problem(key, name, f"the backend {spec.name} cannot {what}, which {name} needs", others, None)]


def _finished(key: str, section: Section) -> Part:
    return Part(section, fragment(key, section))


_OWN = frozenset({"openai", "pytorch", "sglang", "trtllm", "vllm"})
"""Backends that llem's own distributions bring. What brings another is for its user to know: a guessed package may be anyone's."""


def not_installed(name: str, backends: Collection[str], where: str | None = None) -> PluginError:
    """The error on a backend of a name that none of these has."""
    near = closest(name, {*backends, *_OWN})
    remedy = f"Did you mean `{near}`?" if near else "Install the plugin that brings it."
    what = f"no backend `{name}` is installed; there is: {', '.join(sorted(backends)) or 'none'}."
    return PluginError(what, where=where, remedy=f"Install it: pip install llem-{name}." if name in _OWN else remedy)


def _no_backend(found: Any, backends: Collection[str]) -> Problem:
    accepted = ", ".join(sorted(backends)) or "none is installed: pip install llem-pytorch"
    if found is None:
        return Problem(("backend",), message="is missing", accepted=accepted)
    return Problem(("backend",), found, "is not the name of a backend", accepted)
