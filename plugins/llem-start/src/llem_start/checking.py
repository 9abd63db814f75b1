"""Holds answers to what a study is held to, by the same code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llem.plugin_api import (
    BACKENDS,
    DATASETS,
    RUNNERS,
    SCENARIOS,
    ConfigError,
    ExperimentConfig,
    LlemError,
    Plan,
    Registry,
    Vocabulary,
    installed_parts,
    load_study,
    looked_up,
    make_plan,
    moved,
    preflight_context,
)
from llem_start.answers import Answers
from llem_start.writing import study_document, study_text


@dataclass(frozen=True)
class Checked:
    """A study that `llem run --dry-run` takes.

    Attributes:
        text: as it is written.
        plan: what it would run.
        experiments: one of each combination of backend, options, model, dataset and measurement.
        notes: what a reader should know, such as a value that the environment replaces, or a backend that runs in a container.
    """

    text: str
    plan: Plan
    experiments: Sequence[ExperimentConfig]
    notes: Sequence[str]


def check(answers: Answers, registry: Registry, folder: Path) -> Checked:
    """The study of these answers.

    Args:
        answers: what the user said.
        registry: what is installed.
        folder: the one that the study will lie in; relative paths in it start there.

    Raises:
        LlemError: as `llem run --dry-run` of the study would raise; a model or dataset that is not there.
    """
    if not answers.dataset.endswith(".jsonl"):
        registry.find(DATASETS, answers.dataset)
    vocabulary = Vocabulary(registry[BACKENDS], registry[RUNNERS], registry[SCENARIOS])
    _refuse_short_keys(answers, vocabulary)
    try:
        study = load_study(
            document=study_document(answers, vocabulary),
            base_dir=folder.absolute(),
            **installed_parts(registry),
        )
        plan = make_plan(study, registry)
    except LlemError as error:
        if error.where in {"study", "argument"}:  # it is in no file yet
            raise type(error)(error.what, remedy=error.remedy) from error
        raise
    context = preflight_context(plan, registry, folder)
    for finding in looked_up(context):
        if finding.level == "error":
            raise ConfigError(f"{finding.message.rstrip('.')}.", remedy=finding.remedy)
    notes = (*study.notes, *moved(plan.runners))
    return Checked(study_text(answers, registry), plan, context.experiments, notes)


def _refuse_short_keys(answers: Answers, vocabulary: Vocabulary) -> None:
    """A study would find the nearest key among all backends; here it is known which are meant."""
    for key in (*answers.vary, *answers.settings):
        meant = [f"{name}.{key}" for name in answers.backends if f"{name}.{key}" in vocabulary.fields]
        if meant and key.partition(".")[0] not in vocabulary.sections:
            raise ConfigError(f"`{key}` is an unknown key.", remedy=f"Did you mean `{meant[0]}`?")
