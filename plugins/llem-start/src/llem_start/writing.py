"""The study of some answers, as YAML with comments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llem.plugin_api import (
    BACKENDS,
    RUNNERS,
    SCENARIOS,
    SECTIONS,
    ExecutionConfig,
    Registry,
    Section,
    StudyConfig,
    Vocabulary,
    facts_of,
    nested,
)
from llem_start.answers import CARE, Answers
from llem_start.offers import offers_of
from llem_start.template import yaml_line, yaml_value

SYNTHETIC_INPUT_TOKENS = 64
"""The dataset `synthetic` has to be told."""


def study_text(answers: Answers, registry: Registry) -> str:
    """The study of answers that have been checked, a line for each value with what it means."""
    vocabulary = Vocabulary(registry[BACKENDS], registry[RUNNERS], registry[SCENARIOS])
    values = _by_section(_values(answers))
    lines = [
        "# Written by `llem init`. `llem run FILE --dry-run` shows what it would do and how long that takes.",
        "# `llem config init` writes a study with every key that there is, each with what it means.",
        *CARE[answers.care].head,
        "",
        yaml_line("name", answers.name, StudyConfig.model_fields["name"].description or ""),
    ]
    if len(answers.backends) == 1:
        lines.append(yaml_line("backend", answers.backends[0], f"installed: {', '.join(vocabulary.backends)}"))
    before = [s for s in values if s not in {"measurement", "warmup", "baseline", "execution"}]
    for section in before:
        lines += ["", *_section(section, values[section], vocabulary)]
    about = CARE[answers.care].about
    lines += ["", *_sweep(answers, registry, vocabulary), "", f"# {about[:1].upper()}{about[1:]}."]
    for section in [s for s in values if s not in before]:
        lines += _section(section, values[section], vocabulary)
    return "\n".join(lines) + "\n"


def study_document(answers: Answers, vocabulary: Vocabulary) -> dict[str, Any]:
    """The same study as plain data."""
    document = {
        "name": answers.name,
        **nested({key: value for key, (value, _) in _values(answers).items()}, vocabulary),
    }
    if len(answers.backends) == 1:
        document["backend"] = answers.backends[0]
    return document | ({"sweep": answers.sweep} if answers.sweep else {})


def _values(answers: Answers) -> dict[str, tuple[Any, str]]:
    """Dotted key to its value and why it is that; nothing where the key's description says all."""
    care = CARE[answers.care]
    given = answers.input_tokens or (SYNTHETIC_INPUT_TOKENS if answers.dataset == "synthetic" else None)
    settings = {key: value for key, value in answers.settings.items() if key != "name"}
    until = any(key.startswith("execution.until") for key in settings)  # it stands in place of a number of cycles
    is_file = answers.dataset.endswith(".jsonl")
    n = answers.prompts or (None if is_file else care.prompts)  # of a file all are taken
    return {
        "model.source": (answers.model, ""),
        "dataset.name": ("jsonl" if is_file else answers.dataset, ""),
        **({"dataset.path": (answers.dataset, "")} if is_file else {}),
        **({"dataset.n": (n, "")} if n is not None else {}),
        **({"dataset.input_tokens": (given, "")} if given is not None else {}),
        "dataset.output_tokens": (answers.output_tokens or care.output_tokens, ""),
        **{key: found for key, found in care.settings.items() if not (until and key == "execution.cycles")},
        **answers.fitted,
        **{key: (value, "") for key, value in settings.items()},
    }


def _by_section(values: Mapping[str, tuple[Any, str]]) -> dict[str, dict[str, tuple[Any, str]]]:
    found: dict[str, dict[str, tuple[Any, str]]] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        found.setdefault(section, {})[name] = value
    return found


def _section(name: str, values: Mapping[str, tuple[Any, str]], vocabulary: Vocabulary) -> Iterator[str]:
    if name == "model" and values.keys() == {"source"}:
        yield yaml_line(name, values["source"][0], _about("model.source", vocabulary))
        return
    yield f"{name}:"
    opened: list[str] = []
    for key, (value, why) in sorted(values.items(), key=lambda item: item[0].split(".")[:-1]):
        *path, last = key.split(".")
        for depth, part in enumerate(path):
            if opened[depth : depth + 1] != [part]:
                yield f"{'  ' * (depth + 1)}{yaml_value(part)}:"
        opened = path
        yield yaml_line(
            f"{'  ' * (len(path) + 1)}{yaml_value(last)}", value, why or _about(f"{name}.{key}", vocabulary)
        )


def _sweep(answers: Answers, registry: Registry, vocabulary: Vocabulary) -> Iterator[str]:
    if answers.sweep:
        yield "sweep:  # every combination is an experiment"
        for key, values in answers.sweep.items():
            yield yaml_line(f"  {key}", values, _about(key, vocabulary))
        return
    yield "# Nothing varies yet. Remove the `# ` of what is to vary; every combination is then an experiment."
    yield "# sweep:"
    for backend in answers.backends:
        for offer in offers_of(registry.find(BACKENDS, backend), registry[SCENARIOS]):
            yield yaml_line(f"#   {offer.key}", list(offer.values), offer.about)


def _about(key: str, vocabulary: Vocabulary) -> str:
    section, _, name = key.partition(".")
    sections: Mapping[str, type[Section]] = {**SECTIONS, **vocabulary.sections, "execution": ExecutionConfig}
    facts = facts_of(sections[section]).get(name) if section in sections else None
    return facts.description if facts is not None else ""
