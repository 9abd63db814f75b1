"""The questions of `llem init` on a terminal. Each answer is checked as part of the study before the next question."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from llem.plugin_api import (
    BACKENDS,
    DATASETS,
    RUNNERS,
    SCENARIOS,
    ConfigError,
    DatasetConfig,
    LlemError,
    Registry,
    Vocabulary,
    count_prompts,
    duration,
    engine_remedy,
    missing_requirements,
    one_line,
)
from llem_start.answers import CARE, Answers, seen_from
from llem_start.axes import read_axes
from llem_start.checking import Checked, check
from llem_start.offers import Offer, every_key, offers_of
from llem_start.template import yaml_value

MOST_LISTED = 40
"""Keys that `?` shows at once: a backend may have hundreds."""


def ask(answers: Answers, given: Collection[str], registry: Registry, folder: Path) -> Answers:
    """Ask what is not in `given`, with `answers` as defaults.

    Raises:
        LlemError: what is given already makes no study.
        click.Abort: the user ended the questions.
    """
    return _Questions(answers, frozenset(given), registry, folder).all()


@dataclass
class _Questions:
    answers: Answers
    given: frozenset[str]
    registry: Registry
    folder: Path

    def all(self) -> Answers:
        self._check(self.answers)  # whatever is wrong from here on is the answer's fault
        _say("Enter takes what stands in [brackets]; Ctrl+C ends, and nothing is written.")
        self._model()
        self._backends()
        self._care()
        self._dataset()
        self._count("prompts", "How many prompts", self._usual_prompts())
        self._count("output_tokens", "Output tokens for each", CARE[self.answers.care].output_tokens)
        self._vary()
        return self.answers

    def _check(self, answers: Answers) -> Checked:
        # How many prompts a dataset has matters once it is asked how many to take.
        return check(replace(answers, prompts=answers.prompts or 1), self.registry, self.folder)

    def _until_taken(self, question: str, default: str, read: Callable[[str], Mapping[str, Any]]) -> None:
        """Ask until the study takes the answer."""
        while True:
            typed = click.prompt(question, default=default, err=True, show_default=bool(default))
            try:
                changed = replace(self.answers, **read(typed.strip()))
                self._check(changed)
            except LlemError as error:
                _say(f"  {error}")
            else:
                self.answers = changed
                return

    def _model(self) -> None:
        if "model" not in self.given:
            _say(
                "\nThe model: an id of the Hugging Face hub, a folder, a .gguf file, or random:ARCHITECTURE (no download)."
            )
            self._until_taken("Model", self.answers.model, lambda typed: {"model": seen_from(self.folder, typed)})

    def _backends(self) -> None:
        if "backends" in self.given or len(self.registry[BACKENDS]) == 1:
            return
        _say("\nThe backend runs the model. Several, with commas between them, are compared.")
        for name, spec in self.registry[BACKENDS].items():
            lacking = missing_requirements(spec.requires)
            note = f" (not here yet. {engine_remedy(spec, self.registry)})" if lacking else ""
            _say(f"  {name:<10} {spec.summary}{note}")
        self._until_taken("Backend", ",".join(self.answers.backends), lambda typed: {"backends": _words(typed)})

    def _dataset(self) -> None:
        if "dataset" in self.given:
            return
        _say("\nThe prompts: a dataset, or a .jsonl file.")
        for name, spec in self.registry[DATASETS].items():
            _say(f"  {name:<22} {spec.summary}")
        self._until_taken("Dataset", self.answers.dataset, lambda typed: {"dataset": seen_from(self.folder, typed)})

    def _usual_prompts(self) -> int:
        """Number of prompts where nothing else is typed: all of a file, else what the care suggests."""
        dataset = self.answers.dataset
        of_file = DatasetConfig(name="jsonl", path=dataset) if dataset.endswith(".jsonl") else None
        found = count_prompts(of_file, str(self.folder)) if of_file is not None else None
        return CARE[self.answers.care].prompts if found is None else found

    def _count(self, name: str, question: str, usual: int) -> None:
        if name not in self.given:
            self._until_taken(question, str(usual), lambda typed: {name: _count(question, typed)})

    def _vary(self) -> None:
        if "vary" in self.given:
            return
        specs = [self.registry.find(BACKENDS, name) for name in self.answers.backends]
        offers = [offer for spec in specs for offer in offers_of(spec, self.registry[SCENARIOS])]
        _say("\nWhat is to vary? Every combination becomes an experiment. For example:")
        for number, offer in enumerate(offers, start=1):
            _say(f"  {number:>2}  {_typed(offer):<44} {one_line(offer.about, 70)}")
        _say("Type a number, KEY=V1,V2, or ?WORD to find a key; Enter goes on.")
        while typed := click.prompt("Vary", default="", show_default=False, err=True).strip():
            if typed.startswith("?"):
                self._find(typed[1:].strip())
                continue
            chosen = offers[int(typed) - 1] if typed.isdecimal() and 0 < int(typed) <= len(offers) else None
            try:
                changed = self._with_axis(_typed(chosen) if chosen is not None else typed)
                plan = self._check(changed).plan
            except LlemError as error:
                _say(f"  {error}")
                continue
            self.answers = changed
            _say(f"  {plan.distinct:,} configuration{'s' * (plan.distinct != 1)}: {', '.join(changed.sweep)}")

    def _with_axis(self, typed: str) -> Answers:
        vocabulary = Vocabulary(self.registry[BACKENDS], self.registry[RUNNERS], self.registry[SCENARIOS])
        return replace(self.answers, vary={**self.answers.vary, **read_axes([typed], vocabulary)})

    def _find(self, word: str) -> None:
        keys = [
            f"  {key}: {facts.accepted}. {facts.description}"
            for name in self.answers.backends
            for key, facts in every_key(self.registry.find(BACKENDS, name))
            if word.lower() in f"{key} {facts.description}".lower()
        ]
        _say("\n".join(keys[:MOST_LISTED]) if keys else f"  No key has `{word}` in its name or description.")
        if len(keys) > MOST_LISTED:
            _say(f"  … and {len(keys) - MOST_LISTED} more: ?WORD shows those that have WORD in them.")

    def _care(self) -> None:
        if "care" in self.given:
            return
        _say("\nHow careful?")
        for care, measures in CARE.items():
            plan = self._check(replace(self.answers, care=care)).plan
            _say(f"  {care:<12} {measures.about}; {duration(plan.estimate_s)} at least for each configuration")
        chosen = click.prompt("Care", default=self.answers.care, type=click.Choice(list(CARE)), err=True)
        self.answers = replace(self.answers, care=chosen)


def _count(question: str, typed: str) -> int:
    if not typed.isdecimal() or not int(typed):
        raise ConfigError(f"{question}? `{typed}` is no whole number above 0.", remedy="Type for example 16.")
    return int(typed)


def _words(typed: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in typed.replace(",", " ").split()))


def _typed(offer: Offer) -> str:
    """An offer as one would type it."""
    values: Sequence[Any] = offer.values
    return f"{offer.key}={','.join(yaml_value(value) for value in values)}"


def _say(text: str) -> None:
    click.echo(text, err=True)
