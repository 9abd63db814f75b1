"""An answer that breaks off, and a server that is seen to have ended only a moment later."""

from __future__ import annotations

import time
from typing import Any

import pytest

from llem.plugin_api import ModelError
from llem_openai.client import Client


class BreaksOff:
    """An exchange whose answers break off."""

    def ask_all(self, requests: Any, at_once: int) -> None:
        """Ask nobody."""

    def wait(self, asked: Any) -> Any:
        """Fail as a connection does."""
        raise ModelError("the connection ended in the middle of an answer.")


def test_a_server_that_is_seen_to_have_ended_a_moment_later_is_the_cause() -> None:
    """The kernel closes a killed process's connections first."""
    begin = time.monotonic()

    def check() -> None:
        if time.monotonic() - begin > 0.1:
            raise ModelError("process 7 (server) has ended.")

    client = Client(BreaksOff(), check, lambda heard, record: None)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="process 7"):
        client.answer([], 1)


def test_an_answer_of_a_server_that_goes_on_breaks_off_for_its_own_reason() -> None:
    client = Client(BreaksOff(), lambda: None, lambda heard, record: None)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="in the middle of an answer"):
        client.answer([], 1)
