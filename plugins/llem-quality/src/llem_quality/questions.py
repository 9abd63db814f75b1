"""The questions of a task, as lm-evaluation-harness words them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llem_quality.bars import silent_bars

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import Task


@dataclass(frozen=True, slots=True)
class Question:
    """One of them.

    Attributes:
        prompt: as the model gets it.
        stops: texts before which an answer ends.
        output_tokens: most tokens of the answer; None where the task does not say.
    """

    prompt: str
    stops: Sequence[str]
    output_tokens: int | None


def questions_of(task: Task, n: int) -> list[Question]:
    """The first n questions."""
    with silent_bars():
        task.build_all_requests(limit=n, rank=0, world_size=1)
    return [question_of(one) for one in task.instances]


def question_of(instance: Instance) -> Question:
    """The question of a request of lm-evaluation-harness."""
    prompt, arguments = instance.args
    stops, most = arguments.get("until") or [], arguments.get("max_gen_toks")
    return Question(
        prompt=str(prompt),
        stops=(stops,) if isinstance(stops, str) else tuple(stops),
        output_tokens=None if most is None else int(most),
    )


def ended(text: str, stops: Sequence[str]) -> str:
    """The answer up to the first of these texts. An engine goes on behind it, to its own end or to the most tokens."""
    places = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text
