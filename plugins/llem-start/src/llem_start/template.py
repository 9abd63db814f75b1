"""A commented study to start from: every section, each field at its default with what it means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llem.plugin_api import (
    RUNNER_OPTIONS,
    SECTIONS,
    BackendSpec,
    ConfigError,
    ExecutionConfig,
    FieldFacts,
    RunnerSpec,
    Section,
    StudyConfig,
    Vocabulary,
    facts_of,
    read_value,
)

EXAMPLE_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""The model of a study for which nobody has named one."""

_COMMENT_COLUMN = 40


def commented_study(
    backends: Mapping[str, BackendSpec],
    *,
    backend: str | None = None,
    model: str = EXAMPLE_MODEL,
    name: str = "my-study",
    runners: Mapping[str, RunnerSpec] | None = None,
) -> str:
    """A study that loads as it is, and still does with every `# ` before a key removed.

    Args:
        backends: what is installed, by name.
        backend: the one to begin with; by default the first by name, or `pytorch` where none is installed.
        model: its model.
        name: its name.
        runners: those that are installed; the options of each are shown.
    """
    vocabulary = Vocabulary(backends, runners)
    chosen = backend or next(iter(vocabulary.backends), "pytorch")
    lines = [
        "# A study: experiments, and how they are run. `llem run FILE --dry-run` shows what it would do.",
        "# Lines that begin with `# ` before a key show its default; remove the `# ` to change it.",
        "",
        yaml_line("name", name, StudyConfig.model_fields["name"].description or ""),
        "",
        f"model:{' ' * 2}# {_summary(SECTIONS['model'])}",
        *_fields(SECTIONS["model"], given={"source": model}),
        yaml_line("backend", chosen, f"installed: {', '.join(vocabulary.backends) or 'none'}"),
        "",
        f"dataset:{' ' * 2}# {_summary(SECTIONS['dataset'])}",
        *_fields(SECTIONS["dataset"], given={"n": facts_of(SECTIONS["dataset"])["n"].default}),
        "",
    ]
    for section, about in SECTIONS.items():
        if section not in {"model", "dataset"}:
            lines += [*_section(section, about), ""]
    if chosen in vocabulary.backends:
        lines += [*_section(chosen, vocabulary.sections[chosen]), ""]
    lines += [*_sweep(chosen, vocabulary), "", *_section("execution", ExecutionConfig), ""]
    lines += [
        f"# runners:{' ' * 2}# {StudyConfig.model_fields['runners'].description}",
        f"#   {chosen}: local",
    ]
    if vocabulary.runner_options:
        lines += ["", f"# {RUNNER_OPTIONS}:{' ' * 2}# {StudyConfig.model_fields[RUNNER_OPTIONS].description}"]
    for runner, model_of_options in vocabulary.runner_options.items():
        lines.append(f"#   {runner}:{' ' * 2}# {_summary(model_of_options)}")
        lines += _fields(model_of_options, given={}, mark="#     ")
    return "\n".join(text.rstrip() for text in lines) + "\n"


def _summary(model: type[Section]) -> str:
    return (model.__doc__ or "").strip().partition("\n")[0]


def _section(key: str, model: type[Section]) -> Iterator[str]:
    yield f"# {key}:{' ' * 2}# {_summary(model)}"
    yield from _fields(model, given={}, mark="#   ")


def _fields(model: type[Section], given: Mapping[str, Any], mark: str = "  ") -> Iterator[str]:
    """Each field on a line: those in `given` as they are, the others commented out."""
    open_section: list[str] = []
    commented = "# " if not mark.startswith("#") else ""
    for facts in facts_of(model).values():
        *path, name = facts.key.split(".")
        for depth, part in enumerate(path):
            if open_section[depth : depth + 1] != [part]:
                yield f"{mark}{commented}{'  ' * depth}{part}:"
        open_section = path
        indent = "  " * len(path)
        if facts.key in given:
            yield yaml_line(f"{mark}{indent}{name}", given[facts.key], _about(facts))
        else:
            yield yaml_line(f"{mark}{commented}{indent}{name}", facts.default, _about(facts))


def _about(facts: FieldFacts) -> str:
    # A choice is listed once: most descriptions say what each of them means.
    unsaid = [str(c) for c in facts.choices if str(c) not in facts.description]
    listed = f" ({' | '.join(str(c) for c in facts.choices)})" if unsaid and len(facts.choices) > 1 else ""
    return f"{facts.description}{listed}"


def yaml_line(key: str, value: Any, comment: str) -> str:
    """`key: value`, and after it on the same line what it means."""
    text = f"{key}: {yaml_value(value)}"
    return f"{text.ljust(_COMMENT_COLUMN)}  # {' '.join(comment.split())}" if comment else text


def yaml_value(value: Any) -> str:
    """A value as YAML on one line; text without quotes where it stays text."""
    if isinstance(value, str) and _is_plain(value):
        return value
    if isinstance(value, list):
        return f"[{', '.join(yaml_value(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    safe = all(c.isalnum() or c in "._-/" for c in text) and text[:1].isalnum()
    try:
        return safe and read_value(text, "value") == text
    except ConfigError:
        return False


def _sweep(backend: str, vocabulary: Vocabulary) -> Sequence[str]:
    """Two axes that exist: the length of the answers, and a choice or a number of the backend."""
    lines = [
        f"# sweep:{' ' * 2}# {StudyConfig.model_fields['sweep'].description}; all combinations are run",
        "#   dataset.output_tokens: [64, 256]",
    ]
    model = vocabulary.sections.get(backend)
    if model is None:
        return lines
    for facts in facts_of(model).values():
        if values := axis_values(facts):
            lines.append(f"#   {backend}.{facts.key}: {yaml_value(list(values[:2]))}")
            break
    lines.append(
        "#   # in place of a list: {min: 1, max: 9, num: 3}, {log: {min: 1, max: 1000, num: 4}}, {pow2: [1, 64]}"
    )
    return lines


def axis_values(facts: FieldFacts) -> Sequence[Any]:
    """Values of a field that an axis could have, by its annotation: its choices, both truths, or its default and twice that."""
    if len(facts.choices) > 1:
        return facts.choices
    if isinstance(facts.default, bool):
        return (False, True)
    return (facts.default, facts.default * 2) if isinstance(facts.default, int) and facts.default else ()
