"""Right and wrong answers, as lm-evaluation-harness tells them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lm_eval.api.model import LM

from llem.plugin_api import ConfigError, LlemError
from llem_quality.bars import silent_bars
from llem_quality.questions import Question, ended, question_of
from llem_quality.wilson import wilson

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import Task

    from llem_quality.config import QualityConfig

PREFERRED = ("exact_match", "acc")
"""Metrics that tell right from wrong, in the order in which one is taken where nobody names it."""


@dataclass(frozen=True)
class Score:
    """The outcome of a task."""

    correct: int
    of: int

    def metrics(self) -> dict[str, float | None]:
        """As scenario metrics: the share with its 95 % interval over questions, and its counts."""
        low, high = wilson(self.correct, self.of)
        return {
            "accuracy": self.correct / self.of,
            "accuracy_low": low,
            "accuracy_high": high,
            "correct_answers": float(self.correct),
            "answers": float(self.of),
        }


def score(task: Task, n: int, asked: QualityConfig, answer: Callable[[Sequence[Question]], Sequence[str]]) -> Score:
    """Have the first n questions of a task answered, and count the right ones.

    Args:
        answer: gives a text for each question, in their order; asked once.

    Raises:
        ConfigError: the task has no such metric or filter, or the metric is between right and wrong.
    """
    from lm_eval.evaluator import evaluate

    metric = metric_of(task, asked)
    with silent_bars():
        found = evaluate(lm=EngineLM(answer), task_dict={"tasks": {task.task_name: task}}, limit=n, bootstrap_iters=0)
    samples = found["samples"][task.task_name]
    filters = list(dict.fromkeys(one["filter"] for one in samples))
    chosen = asked.filter or filters[0]
    if chosen not in filters:
        raise _no_such("filter", chosen, filters, task)
    values = [one[metric] for one in samples if one["filter"] == chosen and metric in one]
    if len(values) != n:
        raise LlemError(f"the task {task.task_name} gave {len(values)} values of {metric} for {n} questions.")
    between = [value for value in values if value not in (0, 1)]
    if between:
        raise ConfigError(
            f"the metric {metric} of the task {task.task_name} gave {between[0]!r}, which is neither right (1) nor wrong (0).",
            where="quality.metric",
            remedy=f"Name another: {', '.join(task.aggregation())}.",
        )
    return Score(correct=int(sum(values)), of=n)


def metric_of(task: Task, asked: QualityConfig) -> str:
    """The metric that answers are scored by. Raises ConfigError where the task has no such one, or several and none is named."""
    names = [str(name) for name in task.aggregation()]
    if asked.metric is not None:
        if asked.metric not in names:
            raise _no_such("metric", asked.metric, names, task)
        return asked.metric
    known: list[str] = [name for name in PREFERRED if name in names] or (names if len(names) == 1 else [])
    if known:
        return known[0]
    raise ConfigError(
        f"the task {task.task_name} has several metrics, and none that is known to tell right from wrong.",
        where="quality.metric",
        remedy=f"Name it: {', '.join(names)}.",
    )


def filters_of(task: Task) -> list[str]:
    """Names of the filters of a task."""
    return [str(one.name) for one in getattr(task, "_filters", ())]


def check_filter(task: Task, asked: QualityConfig) -> None:
    """Raise ConfigError where the task has no filter of the name that is asked for."""
    names = filters_of(task)
    if asked.filter is not None and asked.filter not in names:
        raise _no_such("filter", asked.filter, names, task)


def _no_such(what: str, name: str, names: Sequence[str], task: Task) -> ConfigError:
    return ConfigError(
        f"the task {task.task_name} has no {what} `{name}`.",
        where=f"quality.{what}",
        remedy=f"It has: {', '.join(names) or 'none'}.",
    )


class EngineLM(LM):  # type: ignore[misc]  # lm-evaluation-harness brings no types
    """An engine of llem, as lm-evaluation-harness asks a model."""

    def __init__(self, answer: Callable[[Sequence[Question]], Sequence[str]]) -> None:
        super().__init__()
        self._answer = answer

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """An answer to each request, ended where its task says."""
        questions = [question_of(one) for one in requests]
        texts = self._answer(questions)
        return [ended(text, one.stops) for text, one in zip(texts, questions, strict=True)]

    def loglikelihood(self, requests: list[Instance]) -> Any:
        """Not of an engine that answers with text: a task that needs it is refused when it is loaded."""
        raise LlemError("llem's engines answer with text, and tell no likelihoods.")

    def loglikelihood_rolling(self, requests: list[Instance]) -> Any:
        """As `loglikelihood`."""
        raise LlemError("llem's engines answer with text, and tell no likelihoods.")
