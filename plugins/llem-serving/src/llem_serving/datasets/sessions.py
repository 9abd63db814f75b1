"""A session: a conversation as turns that follow one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llem.plugin_api import Message


@dataclass(frozen=True, slots=True)
class Turn:
    """The messages until the model shall answer, and the recorded answer.

    Attributes:
        messages: of the system and the user, in order; the last is the user's.
        answer: as recorded; None where the record ends with a question.
    """

    messages: tuple[Message, ...]
    answer: str | None


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation.

    Attributes:
        id: as in the dataset; where it has none, the number of its line.
        turns: at least one; all but the last have an answer.
    """

    id: str
    turns: tuple[Turn, ...]


def next_prompt(session: Session, turn: int, answers: Sequence[str] | None = None) -> tuple[Message, ...]:
    """The chat that asks for the answer of a turn: everything that was said before, then the turn's own messages.

    Args:
        session: the conversation.
        turn: from 0.
        answers: the model's own answers of the turns before; more are not looked at. None: the recorded ones.

    Raises:
        IndexError: there is no such turn.
        ValueError: there are fewer answers than turns before it.
    """
    if not 0 <= turn < len(session.turns):
        raise IndexError(f"no turn {turn} of {len(session.turns)}")
    said: list[Message] = []
    for place, before in enumerate(session.turns[:turn]):
        answer = before.answer if answers is None else answers[place] if place < len(answers) else None
        if answer is None:
            raise ValueError(f"turn {turn} needs an answer to turn {place}")
        said += [*before.messages, Message("assistant", answer)]
    return (*said, *session.turns[turn].messages)
