"""Sessions of a load: requests that follow one another, each after the answer before it and a time to think."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from llem.plugin_api import Engine, LlemError, Message, Request
from llem_serving.in_flight import Exchange, InFlight

Session = tuple[Request, ...]


def sessions_of(requests: Sequence[Request]) -> list[Session]:
    """The sessions of a workload in its order: neighbouring requests with one number, and others alone."""
    numbered = (((place, None) if one.session is None else (0, one.session), one) for place, one in enumerate(requests))
    return [tuple(one for _, one in group) for _, group in groupby(numbered, key=lambda pair: pair[0])]


async def until(t_ns: int) -> None:
    """Wait for an instant (monotonic ns)."""
    await asyncio.sleep(max(0.0, (t_ns - time.monotonic_ns()) / 1e9))
    # A loop may wake a moment early, and nothing may leave before it arrives.
    while (left_ns := t_ns - time.monotonic_ns()) > 0:
        await asyncio.sleep(left_ns / 1e9)


@dataclass(frozen=True)
class Walker:
    """Takes sessions through their turns.

    A session ends with its last turn, or with one that fails.

    Attributes:
        engine: answers.
        flight: sends requests.
        think_s: from an answer to the next turn's arrival.
        own: later turns hold the model's own answers, and not the recorded ones.
    """

    engine: Engine
    flight: InFlight
    think_s: float
    own: bool

    async def walk(self, session: Session, due_ns: int) -> Exchange:
        """All turns, the first of which arrives now. Returns the last one that was asked."""
        return await self.go_on(session, self.flight.arrive(session[0], due_ns))

    async def go_on(self, session: Session, asked: Exchange) -> Exchange:
        """The turns after the first one, which has arrived already."""
        await self.flight.until_ended(asked)
        for before, turn in pairwise(session):
            if asked.answer is None or asked.ended_ns is None:
                break
            request = self._with_own(turn, before, asked) if self.own else turn
            due_ns = asked.ended_ns + round(self.think_s * 1e9)
            await until(due_ns)
            asked = self.flight.arrive(request, due_ns, asked)
            await self.flight.until_ended(asked)
        return asked

    def _with_own(self, turn: Request, before: Request, asked: Exchange) -> Request:
        """A turn with the answers that were given in place of the recorded ones.

        Raises:
            LlemError: the engine does not tell what it answered, or the dataset has no messages to put an answer among.
        """
        if turn.messages is None or before.messages is None or asked.request.messages is None:
            raise LlemError(
                "the turns of this dataset are no messages, and an answer of the model's own has no place among them.",
                where="load.answers",
                remedy="Set load.answers: recorded, or use the dataset conversations.",
            )
        asked.text = self._text(asked)
        # In the dataset a turn is the one before it, the recorded answer, and what is said then.
        said = turn.messages[len(before.messages) + 1 :]
        return replace(turn, messages=(*asked.request.messages, Message("assistant", asked.text), *said))

    def _text(self, asked: Exchange) -> str:
        assert asked.answer is not None
        for record in asked.answer.records:
            if record.text is not None:
                return record.text
            if record.output_token_ids is not None:
                text = self.engine.decode(record.output_token_ids)
                if text is not None:
                    return text
        raise LlemError(
            "the engine does not tell the text of its answers, and the next turn of a conversation was to hold it.",
            where="load.answers",
            remedy="Set load.answers: recorded, or use a backend that gives text.",
        )
