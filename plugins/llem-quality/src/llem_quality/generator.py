"""The load generator of the scenario `quality`: asks each question once, and has the answers scored when the window is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from llem.plugin_api import (
    Answer,
    DriveContext,
    Engine,
    LlemError,
    Request,
    RequestRecord,
    ScenarioFigures,
    Served,
)
from llem_quality.config import QualityConfig
from llem_quality.questions import Question
from llem_quality.scoring import Score, score
from llem_quality.task_file import load_task


class QualityLoad:
    """Asks by `generate`, for batches of the engine's own making. Made with a loaded engine, driven once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._batches: Sequence[Sequence[Request]] = ()
        self._score: Score | None = None

    def group(self, requests: Sequence[Request]) -> Sequence[Sequence[Request]]:
        """The batches that the engine forms."""
        self._batches = self._engine.batches(requests)
        return self._batches

    def answer(self, batch: Sequence[Request], pass_number: int = 1, batch_number: int = 1) -> Answer:
        """Release one batch and wait for it."""
        released = time.monotonic_ns()
        records = self._engine.generate(batch)
        if any(one.text is None and one.output_token_ids is None for one in records):
            raise _untold()  # at the first answer, and not when all have been asked for
        return Answer(pass_number, batch_number, released, time.monotonic_ns(), batch, records)

    def fill_window(
        self,
        batches: Sequence[Sequence[Request]],
        open_ns: int,
        minimum_s: float,
        answered: Callable[[Answer], None],
    ) -> list[Answer]:
        """Not for questions that are asked once: see `drive`."""
        raise NotImplementedError("the scenario quality opens its window itself")

    def drive(self, context: DriveContext) -> Served:
        """See `DrivesWindow.drive`. Questions are worded before the window opens, and answers are scored after it has closed."""
        asked = context.config.sections["quality"]
        assert isinstance(asked, QualityConfig)
        task = load_task(context.config.dataset.path, context.base_dir)
        answers: list[Answer] = []

        def answer(questions: Sequence[Question]) -> list[str]:
            if [one.prompt for one in questions] != [one.prompt for one in context.requests]:
                raise LlemError(
                    "the task worded its questions otherwise than when they were read.",
                    where=f"dataset.path: {context.config.dataset.path}",
                    remedy="Give it a task that draws nothing at random.",
                )
            answers.extend(self._ask(context))
            texts = {one.records[0].id: self._text(one.records[0]) for one in answers}
            return [texts[request.id] for request in context.requests]

        self._score = score(task, len(context.requests), asked, answer)
        return Served(inside=answers, beside=(), unanswered=())

    def figures(self, energy_j: Callable[[int, int], float | None]) -> ScenarioFigures:
        """See `DrivesWindow.figures`. Energy per correct answer is a metric over the window's own energy."""
        assert self._score is not None
        return ScenarioFigures(metrics=self._score.metrics())

    def close(self) -> None:
        """Nothing is held."""

    def _ask(self, context: DriveContext) -> list[Answer]:
        """Every question inside the window, an answer each."""
        found: list[Answer] = []
        self._engine.synchronize()
        context.window.open()
        for number, batch in enumerate(self._batches, start=1):
            found += _each(self.answer(batch, batch_number=number))
            context.window.progress("questions of the task", len(found), len(context.requests), "questions")
        self._engine.synchronize()
        context.window.close()
        return found

    def _text(self, record: RequestRecord) -> str:
        if record.text is not None:
            return record.text
        text = None if record.output_token_ids is None else self._engine.decode(record.output_token_ids)
        if text is None:
            raise _untold()
        return text


def _untold() -> LlemError:
    return LlemError(
        "the engine counts tokens and tells no text, so that answers cannot be scored.",
        remedy="Take another backend, or give this one a tokenizer.",
    )


def _each(whole: Answer) -> list[Answer]:
    """The answers to a batch, one for each of its requests."""
    records = {record.id: record for record in whole.records}
    if missing := [one.id for one in whole.requests if one.id not in records]:
        raise LlemError(f"the engine gave no answer to question {missing[0]}.")
    return [
        Answer(
            whole.pass_number,
            whole.batch_number,
            whole.released_ns,
            whole.returned_ns,
            [request],
            [records[request.id]],
        )
        for request in whole.requests
    ]
