"""A few answers of the window as text, as the model wrote them: a person can see that figures stand for work."""

from __future__ import annotations

from collections.abc import Sequence

from llem.results.models import Sample
from llem.specs.backend import Engine, Request
from llem.specs.scenario import Answer

SAMPLES = 3
"""Number of answers that are kept."""
TEXT_LENGTH = 500
"""Characters kept of a prompt, and of an answer."""


def take_samples(engine: Engine, answers: Sequence[Answer]) -> list[Sample]:
    """The first prompts of the dataset with their answers in the first pass, whatever order the engine ran them in.

    Args:
        engine: decodes token ids; asked after the window, and before it is closed.
        answers: every batch of every pass.
    """
    asked = [(request, answer) for answer in answers if answer.pass_number == 1 for request in answer.requests]
    return [_sample(engine, request, answer) for request, answer in sorted(asked, key=lambda a: a[0].id)[:SAMPLES]]


def _sample(engine: Engine, request: Request, answer: Answer) -> Sample:
    record = next(record for record in answer.records if record.id == request.id)
    output = None if record.output_token_ids is None else engine.decode(list(record.output_token_ids))
    return Sample(index=request.id, prompt=_cut(_asked(engine, request)), output=_cut(output))


def _asked(engine: Engine, request: Request) -> str | None:
    if request.messages is not None:
        return "\n".join(f"{message.role}: {message.content}" for message in request.messages)
    return request.prompt if request.prompt is not None else engine.decode(list(request.prompt_token_ids or ()))


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= TEXT_LENGTH else text[: TEXT_LENGTH - 1] + "…"
